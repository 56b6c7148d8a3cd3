import ATProtocol
import Base
import Community
import Contracts
import Foundation
import Publishing
import Storage
import Synchronization
import TestDatabases
import Testing

/// The room over a real database and real repositories, with accounts and keys that live in memory.
final class AttestationHouse: Sendable {
    let scratch: ScratchDatabase
    let database: any Database
    let log: EventLog
    let accounts = MemoryAccounts()
    let clock = ManualClock(AttestationFixture.now)
    let writer: RepositoryWriter
    let repositories: RepositoryService
    let identities = KnownIdentities([])
    let server = AnsweringServer()
    let service: AttestationService

    init() async throws {
        scratch = try ScratchDatabase()
        database = try scratch.open(TestOptions())
        let migrations = RepositorySchema.migrations + BlobSchema.migrations + CommunityModule.migrations
        _ = try await Migrator(migrations, clock: clock).migrate(database)
        log = try await EventLog.open(database)
        let wing = CommunityRules(database: database)
        let rules = RepositoryRules(guards: [.community: wing.guard], observers: wing.observers)
        repositories = RepositoryService(
            database: database, log: log, clock: clock, blobs: BlobLedger(), rules: rules)
        let catalog = LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
        writer = RepositoryWriter(
            database: database, log: log, accounts: accounts, keys: accounts, blobs: BlobLedger(), catalog: catalog,
            rules: rules, clock: clock, randomness: SeededRandomness(seed: 1))
        service = AttestationService(
            AttestationService.Foundation(
                database: database, door: writer, proofs: RepositoryExport(database: database), accounts: accounts,
                keys: accounts, identities: identities, policies: wing.policies,
                vault: try KeyVault(secret: String(repeating: "k", count: 32), randomness: SeededRandomness(seed: 2)),
                remote: RemoteAttestations(identities: identities, client: server, clock: clock), audit: NoAudit(),
                clock: clock,
                randomness: SeededRandomness(seed: 3)))
    }

    func discard() async {
        log.close()
        await database.close()
    }

    /// A community with an owner and a member.
    struct Garden: Sendable {
        var did: DID
        var owner: DID
        var member: DID
    }

    func garden(visibility: CommunitySettings.Visibility = .public) async throws -> Garden {
        let number = accounts.count
        let random = SeededRandomness(seed: UInt64(number + 100))
        let key = PrivateKey.generate(.k256, using: random)
        let handle = try Handle(parsing: "garden\(number).test")
        let state = PLCState(
            rotationKeys: [key.publicKey], signingKey: key.publicKey, handle: handle, pds: "https://kith.example")
        let genesis = try PLCChange.update(state, prev: nil).signed(by: key)
        let did = genesis.genesisDID
        identities.add(DIDDocument(did: did, state: state), operations: [genesis.value])
        accounts.add(
            AccountStanding(
                did: did, handle: handle, status: visibility == .private ? .confined : .approved, roles: [],
                kind: .community, isConfined: visibility == .private), key: key)
        let creation = try repositories.prepareCreation(did: did, signer: key)
        let (owner, member) = (try person(random), try person(random))
        let (now, repositories) = (clock.now(), repositories)
        try await writer.transact(on: [did]) { transaction in
            try repositories.create(creation, announced: false, in: transaction.scope)
            let (owners, members) = (transaction.newKey(), transaction.newKey())
            func put(_ collection: NSID, _ key: RecordKey, _ record: DataValue) -> RecordWrite {
                RecordWrite(collection: collection, action: .create(key: key, record: record))
            }
            func role(_ role: DefaultRole, _ key: RecordKey) -> RecordWrite {
                let record = CommunityRole(name: role.rawValue, permissions: role.permissions).record
                return put(CommunityCollections.role, key, record)
            }
            func join(_ did: DID, _ role: RecordKey) -> RecordWrite {
                let member = CommunityMember(did: did, handle: nil, joinedAt: now, role: role.string)
                return put(CommunityCollections.member, transaction.newKey(), member.record)
            }
            let settings = CommunitySettings(didMethod: "plc", visibility: visibility, joinPolicy: .open).record
            let profile: DataValue = [
                "$type": .string(CommunityCollections.profile.string), "displayName": "Garden",
                "createdAt": .string(Datetime(now).string),
            ]
            try transaction.apply(
                [
                    put(CommunityCollections.settings, CommunityCollections.selfKey, settings),
                    put(CommunityCollections.profile, CommunityCollections.selfKey, profile), role(.owner, owners),
                    role(.member, members), join(owner, owners), join(member, members),
                ], to: did, by: .act(CommunityAct.founding))
        }
        return Garden(did: did, owner: owner, member: member)
    }

    func person(_ random: SeededRandomness) throws -> DID {
        let characters = Array("abcdefghijklmnopqrstuvwxyz234567")
        let name = String((0..<24).map { _ in characters[random.below(32)] })
        return try DID(parsing: "did:plc:" + name)
    }

    func caller(_ did: DID) -> Caller {
        .account(AccountCaller(did: did, status: .approved, roles: [.user], scope: .full, sessionID: "s"))
    }

    func statement(
        _ garden: Garden, claim: DataValue = ["role": "Keeper of seeds", "since": 2024], expiresAt: Timestamp? = nil,
        isPrivate: Bool = false
    ) throws -> AttestationService.Statement {
        AttestationService.Statement(
            subject: garden.member, subjectHandle: "alice.test", kind: .role, claim: try AttestationClaim(claim),
            expiresAt: expiresAt.map { Datetime($0) }, isPrivate: isPrivate)
    }

    /// Issues an attestation by the owner.
    func issue(
        _ garden: Garden, claim: DataValue = ["role": "Keeper of seeds", "since": 2024], expiresAt: Timestamp? = nil,
        isPrivate: Bool = false
    ) async throws -> RecordKey {
        try await service.issue(
            statement(garden, claim: claim, expiresAt: expiresAt, isPrivate: isPrivate), in: garden.did,
            by: caller(garden.owner)
        ).path.key
    }
}

/// Accounts and their keys in memory.
final class MemoryAccounts: Accounts, SigningKeys {
    private let state = Mutex<[DID: (standing: AccountStanding, key: PrivateKey)]>([:])

    var count: Int { state.withLock { $0.count } }

    func add(_ standing: AccountStanding, key: PrivateKey) { state.withLock { $0[standing.did] = (standing, key) } }

    func set(_ status: AccountStatus, of did: DID) { state.withLock { $0[did]?.standing.status = status } }

    func standing(of did: DID) async throws -> AccountStanding? { state.withLock { $0[did]?.standing } }

    func standing(of identifier: ATIdentifier) async throws -> AccountStanding? {
        state.withLock { state in
            switch identifier {
            case .did(let did): state[did]?.standing
            case .handle(let handle): state.values.first { $0.standing.handle == handle }?.standing
            }
        }
    }

    func standings(of dids: [DID]) async throws -> [AccountStanding] {
        state.withLock { state in dids.compactMap { state[$0]?.standing } }
    }

    func standing(of did: DID, in scope: any ReadScope) throws -> AccountStanding? {
        state.withLock { $0[did]?.standing }
    }

    func publicPeople(limit: Int) async throws -> [AccountStanding] { [] }

    func signer(for did: DID) async throws -> any RepositorySigner {
        guard let key = state.withLock({ $0[did]?.key }) else { throw SigningKeyError.notInCustody }
        return key
    }
}

/// An audit that keeps nothing.
private struct NoAudit: AuditTrail {
    func record(
        _ action: String, by caller: Caller?, target: String?, meta: DataMap, in scope: any WriteScope
    ) throws {}
}
