import ATProtocol
import Base
import Community
import Contracts
import Foundation
import Identity
import Logging
import Publishing
import Storage
import TestDatabases
import Testing
import Web

/// Communities over a real database, with the real accounts and the real door to repositories.
final class CommunityHouse: Sendable {
    static let password = "Seven-Quiet-Rivers-7"

    let directory: String
    let scratch: ScratchDatabase
    let database: any Database
    let log: EventLog
    let clock = ManualClock()
    let foundation: IdentityFoundation
    let identity: IdentityModule
    let repositories: RepositoriesModule
    let rules: CommunityRules
    let module: CommunityModule

    var communities: CommunityService { module.communities }

    /// - Parameter audit: instead of the real one.
    init(audit: (any AuditTrail)? = nil) async throws {
        directory = NSTemporaryDirectory() + "kith-community-" + Hex.encode(SystemRandomness().bytes(8))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        scratch = try ScratchDatabase()
        database = try scratch.open()
        let migrations =
            IdentityModule.migrations + RepositoriesModule.migrations + BlobsModule.migrations
            + CommunityModule.migrations
        _ = try await Migrator(migrations, clock: clock).migrate(database)
        log = try await EventLog.open(database)
        let randomness = SystemRandomness()
        let vault = try KeyVault(secret: "a secret of at least thirty-two bytes", randomness: randomness)
        foundation = try await IdentityFoundation.open(
            try Self.configuration(), database: database, vault: vault, lookup: Nowhere(), clock: clock,
            randomness: randomness, limiter: nil)
        rules = CommunityRules(database: database)
        let all = RepositoryRules(guards: [.community: rules.guard], observers: rules.observers)
        let service = RepositoriesModule.makeService(database: database, log: log, clock: clock, rules: all)
        repositories = RepositoriesModule(
            RepositoriesModule.Foundation(
                database: database, log: log, accounts: foundation.accounts, keys: foundation.keys,
                directory: foundation.directory,
                catalog: LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8))),
                rules: all, clock: clock, randomness: randomness, spoolDirectory: directory,
                logger: Logger(label: "test")), service: service)
        identity = IdentityModule(
            foundation, log: log, repositories: service, records: RecordDoor(writer: repositories.writer),
            vault: vault, randomness: randomness, outbound: Nowhere())
        module = CommunityModule(
            CommunityModule.Foundation(
                database: database, vault: vault, door: repositories.writer, repositories: service,
                records: RecordDoor(writer: repositories.writer), archives: repositories.export,
                accounts: identity.accounts, standings: foundation.accounts, audit: audit ?? AuditLedger(clock: clock),
                passwords: identity.accounts, clock: clock), rules: rules)
    }

    private static func configuration() throws -> IdentityConfiguration {
        let origin = try #require(ServiceOrigin("http://localhost:8080"))
        var configuration = IdentityConfiguration(origin: origin, handleDomains: try #require(HandleDomains([".test"])))
        configuration.invites = .waived
        configuration.approval = .waived
        configuration.passwordCost = .least
        configuration.setting = .development
        configuration.signInFailureTimeMin = .zero
        return configuration
    }

    func discard() async {
        log.close()
        await database.close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Short ways

    /// Somebody with an account.
    func person(_ name: String) async throws -> AccountCaller {
        let made = try await identity.accounts.register(
            AccountService.NewAccount(handle: name, email: "\(name)@mail.test", password: Self.password))
        return AccountCaller(
            did: made.account.did, status: .approved, roles: [.user], scope: .full, sessionID: name)
    }

    /// A community of `owner`.
    func community(
        _ name: String, of owner: AccountCaller, _ visibility: CommunitySettings.Visibility = .public,
        _ policy: CommunitySettings.JoinPolicy = .open
    ) async throws -> DID {
        var new = NewCommunity(handle: name)
        new.visibility = visibility
        new.joinPolicy = policy
        return try await communities.create(new, by: owner).did
    }

    func join(_ did: DID, _ person: AccountCaller) async throws {
        _ = try await communities.join(did, try MemberTraits(kind: nil, tags: [], attributes: nil), by: person)
    }

    /// The key of the role of that name.
    func role(_ name: String, of did: DID) async throws -> RecordKey {
        let roles = try await database.read { try CommunityStore.roles(of: did, in: $0) }
        return try #require(roles.first { $0.role.name == name }).rkey
    }

    func row(_ did: DID) async throws -> CommunityRow? {
        try await database.read { try CommunityStore.community(did, in: $0) }
    }

    /// A plain write, as `com.atproto.repo` makes it.
    func write(_ write: RecordWrite, to did: DID, by person: AccountCaller) async throws {
        _ = try await repositories.writer.apply([write], to: did, by: .account(person))
    }
}

/// A world in which nobody answers.
struct Nowhere: RemoteLookup, OutboundHTTP {
    struct Silence: Error {}

    func get(_ url: String, sizeBytesMax: Int) async throws -> RemoteReply { throw Silence() }
    func post(_ url: String, json: [UInt8]) async throws -> RemoteReply { throw Silence() }
    func textRecords(of name: String) async throws -> [String] { [] }
    func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundResponse { throw .timeout }
}
