import ATProtocol
import Base
import Contracts
import Foundation
import Publishing
import Storage
import Synchronization
import TestDatabases
import Testing

/// The rooms of Publishing over a real database, with accounts and keys that live in memory.
final class House: Sendable {
    let directory: String
    let scratch: ScratchDatabase
    let database: any Database
    let log: EventLog
    let accounts = TestAccounts()
    let keys = TestKeys()
    let clock = ManualClock()
    let ledger = BlobLedger()
    let service: RepositoryService
    let writer: RepositoryWriter
    let reader: RepositoryReader
    let export: RepositoryExport
    let imports: RepositoryImport
    let blobs: BlobService

    /// Opens a house; or one that was closed, with the state it had.
    init(
        reopening existing: House? = nil, options: TestOptions = TestOptions(),
        blobLimits: BlobLimits = BlobLimits(), importLimits: ImportLimits = ImportLimits(),
        rules: RepositoryRules = RepositoryRules()
    ) async throws {
        directory =
            existing?.directory ?? NSTemporaryDirectory() + "kith-publishing-" + Hex.encode(SystemRandomness().bytes(8))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        scratch = try existing?.scratch ?? ScratchDatabase()
        database = try scratch.open(options)
        let migrator = Migrator(
            RepositorySchema.migrations + BlobSchema.migrations, clock: clock)
        _ = try await migrator.migrate(database)
        log = try await EventLog.open(database)
        service = RepositoryService(database: database, log: log, clock: clock, blobs: ledger, rules: rules)
        writer = RepositoryWriter(
            database: database, log: log, accounts: accounts, keys: keys, blobs: ledger,
            catalog: try House.catalog(), rules: rules, clock: clock, randomness: SeededRandomness(seed: 1))
        reader = RepositoryReader(database: database, accounts: accounts, directory: accounts)
        export = RepositoryExport(database: database)
        imports = RepositoryImport(
            database: database, log: log, writer: writer, accounts: accounts, keys: keys, blobs: ledger, clock: clock,
            spoolDirectory: directory + "/tmp", limits: importLimits)
        let store = try DiskBlobStore(path: directory + "/blobs", randomness: SystemRandomness())
        blobs = BlobService(
            database: database, store: store, ledger: ledger, reader: reader, clock: clock, limits: blobLimits)
    }

    static func catalog() throws -> LexiconCatalog {
        LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
    }

    /// A writer as another process on the same database has it.
    func anotherWriter(seed: UInt64) throws -> RepositoryWriter {
        RepositoryWriter(
            database: database, log: log, accounts: accounts, keys: keys, blobs: ledger, catalog: try House.catalog(),
            clock: clock, randomness: SeededRandomness(seed: 1000 + seed))
    }

    /// Creates an active account with an empty repository.
    func account(_ number: Int) async throws -> DID {
        let did = try DID(parsing: "did:plc:" + String(repeating: "a", count: 16) + padded(number))
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: UInt64(number)))
        keys.add(key, for: did)
        accounts.add(did, handle: try Handle(parsing: "user\(number).test"))
        let creation = try service.prepareCreation(did: did, signer: key)
        let service = service
        try await database.write { try service.create(creation, announced: true, in: $0) }
        return did
    }

    private func padded(_ number: Int) -> String {
        let digits = Array("234567abcd")
        return String(String(number).map { digits[Int(String($0)) ?? 0] }).leftPadded(to: 8)
    }

    func caller(_ did: DID) -> Caller {
        .account(AccountCaller(did: did, status: .approved, roles: [.user], scope: .full, sessionID: "s"))
    }

    func close() async {
        log.close()
        await database.close()
    }

    func discard() async {
        await close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// The whole archive of a repository.
    func archive(_ did: DID, since: TID? = nil) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await piece in try await export.stream(did, since: since) { bytes += piece }
        return bytes
    }

    /// Every event so far.
    func events() async throws -> [LogEvent] {
        var events: [LogEvent] = []
        while true {
            let page = try await log.read(after: events.last?.seq ?? 0, limitEvents: 1000)
            if page.isEmpty { return events }
            events += page
        }
    }
}

extension String {
    fileprivate func leftPadded(to count: Int) -> String {
        String(repeating: "a", count: max(0, count - self.count)) + self
    }
}

/// Accounts in memory; their document names the handle.
final class TestAccounts: Accounts, IdentityDirectory {
    private let state = Mutex<[DID: AccountStanding]>([:])

    func add(_ did: DID, handle: Handle) {
        state.withLock { $0[did] = AccountStanding(did: did, handle: handle, status: .approved, roles: [.user]) }
    }

    func change(_ did: DID, _ body: (inout AccountStanding) -> Void) {
        state.withLock { state in
            guard var standing = state[did] else { return }
            body(&standing)
            state[did] = standing
        }
    }

    func set(_ status: AccountStatus, of did: DID) { state.withLock { $0[did]?.status = status } }

    func standing(of did: DID) async throws -> AccountStanding? { state.withLock { $0[did] } }

    func standing(of identifier: ATIdentifier) async throws -> AccountStanding? {
        state.withLock { state in
            switch identifier {
            case .did(let did): state[did]
            case .handle(let handle): state.values.first { $0.handle == handle }
            }
        }
    }

    func standing(of did: DID, in scope: any ReadScope) throws -> AccountStanding? {
        state.withLock { $0[did] }
    }

    func standings(of dids: [DID]) async throws -> [AccountStanding] {
        state.withLock { state in dids.compactMap { state[$0] } }
    }

    func publicPeople(limit: Int) async throws -> [AccountStanding] { [] }

    func document(of did: DID) async throws -> DIDDocument {
        let handle = state.withLock { $0[did]?.handle.string ?? "handle.invalid" }
        return try DIDDocument(["id": .string(did.string), "alsoKnownAs": [.string("at://\(handle)")]])
    }

    func resolve(_ handle: Handle) async throws -> DID? { try await standing(of: .handle(handle))?.did }
}

final class TestKeys: SigningKeys {
    private let state = Mutex<[DID: PrivateKey]>([:])

    func add(_ key: PrivateKey, for did: DID) { state.withLock { $0[did] = key } }
    func key(of did: DID) -> PublicKey? { state.withLock { $0[did]?.publicKey } }

    /// Called whenever a key is asked for: between the admission of a write and its commit.
    let asked = Mutex<@Sendable () -> Void>({})

    func signer(for did: DID) async throws -> any RepositorySigner {
        asked.withLock { $0 }()
        guard let key = state.withLock({ $0[did] }) else { throw SigningKeyError.notInCustody }
        return key
    }
}
