import ATProtocol
import Base
import Community
import Contracts
import Identity
import Publishing
import Storage
import Synchronization
import TestDatabases

/// Communities over a real database and the real writer, with accounts and keys that live in memory.
final class GovernanceHouse: Sendable {
    let scratch: ScratchDatabase
    let database: any Database
    let log: EventLog
    let accounts = HouseAccounts()
    let clock = ManualClock()
    let policies: CommunityPolicies
    let catalog: LexiconCatalog
    let rules: RepositoryRules
    let repositories: RepositoryService
    let writer: RepositoryWriter
    let signal = WakeSignal()
    let governance: GovernanceService

    init() async throws {
        scratch = try ScratchDatabase()
        database = try scratch.open(TestOptions())
        let migrations =
            IdentityModule.migrations + RepositorySchema.migrations + BlobSchema.migrations + CommunitySchema.migrations
            + GovernanceSchema.migrations
        _ = try await Migrator(migrations, clock: clock).migrate(database)
        log = try await EventLog.open(database)
        policies = CommunityPolicies(database: database)
        catalog = LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
        rules = RepositoryRules(
            guards: [.community: CommunityGuard()],
            observers: [CommunityObserver(policies: policies), GovernanceObserver()])
        let ledger = BlobLedger()
        repositories = RepositoryService(database: database, log: log, clock: clock, blobs: ledger, rules: rules)
        writer = RepositoryWriter(
            database: database, log: log, accounts: accounts, keys: accounts, blobs: ledger, catalog: catalog,
            rules: rules, clock: clock, randomness: SeededRandomness(seed: 1))
        governance = GovernanceService(
            database: database, door: writer, accounts: accounts, communities: accounts, policies: policies,
            catalog: catalog, audit: AuditLedger(clock: clock), clock: clock, randomness: SeededRandomness(seed: 2),
            signal: signal)
    }

    func discard() async {
        log.close()
        await database.close()
    }

    // MARK: People

    /// A person of this server.
    func person(_ number: Int, roles: Set<ServerRole> = [.user]) throws -> DID {
        let did = try DID(parsing: "did:web:p\(number).test")
        accounts.add(
            AccountStanding(
                did: did, handle: try Handle(parsing: "p\(number).test"), status: .approved, roles: roles))
        return did
    }

    /// A person's full session.
    func caller(_ did: DID) -> Caller {
        let roles = accounts.find(did)?.roles ?? [.user]
        return .account(AccountCaller(did: did, status: .approved, roles: roles, scope: .full, sessionID: "s"))
    }

    // MARK: Communities

    /// A community of `memberCount` people: the first is its owner, the others are plain members.
    func community(
        _ number: Int = 1, memberCount: Int = 3, model: String = CommunitySettings.benevolentDictator,
        config: DataMap = [:], isPrivate: Bool = false
    ) async throws -> TestCommunity {
        let did = try DID(parsing: "did:web:c\(number).test")
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: UInt64(number)))
        accounts.add(key, for: did)
        accounts.add(
            AccountStanding(
                did: did, handle: try Handle(parsing: "c\(number).test"),
                status: isPrivate ? .confined : .approved, roles: [], kind: .community, isConfined: isPrivate))
        let creation = try repositories.prepareCreation(did: did, signer: key)
        let people = try (0..<memberCount).map { try person(number * 100_000 + $0) }
        let town = TestCommunity(
            did: did, people: people, ownerRole: writerKey("owner"), moderatorRole: writerKey("moderator"),
            memberRole: writerKey("member"))
        let settings = CommunitySettings(
            didMethod: "web", model: model, visibility: isPrivate ? .private : .public, joinPolicy: .open,
            config: config)
        let moment = clock.now()
        try await database.write { try self.repositories.create(creation, announced: !isPrivate, in: $0) }
        try await writer.transact(on: [did]) { transaction in
            var writes = [
                RecordWrite(
                    collection: CommunityCollections.settings,
                    action: .put(key: CommunityCollections.selfKey, record: settings.record))
            ]
            for (key, role) in [
                (town.ownerRole, DefaultRole.owner), (town.moderatorRole, .moderator), (town.memberRole, .member),
            ] {
                let record = CommunityRole(name: role.rawValue, permissions: role.permissions).record
                writes.append(
                    RecordWrite(collection: CommunityCollections.role, action: .create(key: key, record: record)))
            }
            writes.append(
                town.membership(people[0], role: town.ownerRole, key: transaction.newKey(), joinedAt: moment))
            try transaction.apply(writes, to: did, by: .act(CommunityAct.founding))
            for start in stride(from: 1, to: people.count, by: 100) {
                let some = people[start..<min(start + 100, people.count)].map {
                    town.membership($0, role: town.memberRole, key: transaction.newKey(), joinedAt: moment)
                }
                try transaction.apply(some, to: did, by: .act(CommunityAct.founding))
            }
        }
        return town
    }

    private func writerKey(_ name: String) -> RecordKey {
        var generator = TIDGenerator(clockID: UInt16(name.utf8.count))
        return RecordKey(generator.next(now: clock.now()))
    }

    /// Writes as the community itself, past every right: to set a scene.
    func arrange(_ writes: [RecordWrite], in community: DID) async throws {
        try await writer.transact(on: [community]) { transaction in
            try transaction.apply(writes, to: community, by: .act(CommunityAct.founding))
        }
    }

    /// The record at a path of a community, as it now is.
    func record(_ collection: NSID, _ key: RecordKey, of community: DID) async throws -> DataValue? {
        try await writer.transact(on: [community]) { transaction in
            try transaction.record(RepositoryPath(collection, key), of: community)?.value
        }
    }

    /// Gives a member another role.
    func give(_ role: RecordKey, to member: DID, of community: DID) async throws {
        let row = try await database.read { try CommunityStore.member(member, of: community, in: $0) }
        guard var row else { return }
        row.member.role = role.string
        try await arrange(
            [
                RecordWrite(
                    collection: CommunityCollections.member, action: .put(key: row.rkey, record: row.member.record))
            ], in: community)
    }

    /// Has a member go.
    func remove(_ member: DID, from community: DID) async throws {
        let row = try await database.read { try CommunityStore.member(member, of: community, in: $0) }
        guard let row else { return }
        try await arrange(
            [
                RecordWrite(
                    collection: CommunityCollections.member, action: .delete(key: row.rkey, mustExist: true))
            ], in: community)
    }
}

/// A community with its people and the keys of its roles.
struct TestCommunity: Sendable {
    let did: DID
    let people: [DID]
    let ownerRole: RecordKey
    let moderatorRole: RecordKey
    let memberRole: RecordKey

    var owner: DID { people[0] }

    func membership(_ person: DID, role: RecordKey, key: RecordKey, joinedAt: Timestamp) -> RecordWrite {
        let member = CommunityMember(did: person, handle: nil, joinedAt: joinedAt, role: role.string)
        return RecordWrite(
            collection: CommunityCollections.member, action: .create(key: key, record: member.record))
    }
}

/// Accounts, communities' accounts and keys in memory.
final class HouseAccounts: Accounts, CommunityAccounts, SigningKeys {
    private struct State {
        var standings: [DID: AccountStanding] = [:]
        var keys: [DID: PrivateKey] = [:]
        var openings: [DID] = []
    }

    private let state = Mutex(State())

    func add(_ standing: AccountStanding) { state.withLock { $0.standings[standing.did] = standing } }
    func add(_ key: PrivateKey, for did: DID) { state.withLock { $0.keys[did] = key } }
    func set(_ status: AccountStatus, of did: DID) { state.withLock { $0.standings[did]?.status = status } }
    func find(_ did: DID) -> AccountStanding? { state.withLock { $0.standings[did] } }
    /// Communities of which the directory was told as they were to be opened.
    var openings: [DID] { state.withLock { $0.openings } }

    func standing(of did: DID) async throws -> AccountStanding? { find(did) }
    func standing(of did: DID, in scope: any ReadScope) throws -> AccountStanding? { find(did) }
    func standings(of dids: [DID]) async throws -> [AccountStanding] { dids.compactMap(find) }
    func publicPeople(limit: Int) async throws -> [AccountStanding] { [] }

    func standing(of identifier: ATIdentifier) async throws -> AccountStanding? {
        switch identifier {
        case .did(let did): find(did)
        case .handle(let handle):
            state.withLock { state in state.standings.values.first { $0.handle == handle } }
        }
    }

    func signer(for did: DID) async throws -> any RepositorySigner {
        guard let key = state.withLock({ $0.keys[did] }) else { throw SigningKeyError.notInCustody }
        return key
    }

    func prepare(_ request: CommunityIdentityRequest) async throws -> PreparedCommunity {
        throw CommunityAccountError.notRegistered
    }

    func create(_ prepared: PreparedCommunity, in scope: any WriteScope) throws {}

    func prepareOpening(of did: DID) async throws { state.withLock { $0.openings.append(did) } }

    func change(_ did: DID, _ change: CommunityAccountChange, in scope: any WriteScope) throws -> Bool {
        state.withLock { state in
            switch change {
            case .suspend: state.standings[did]?.status = .suspended
            case .takedown: state.standings[did]?.status = .takendown
            case .unsuspend, .restore: state.standings[did]?.status = .approved
            case .confine:
                state.standings[did]?.status = .confined
                state.standings[did]?.isConfined = true
            case .open:
                state.standings[did]?.status = .approved
                state.standings[did]?.isConfined = false
            }
        }
        return true
    }

    func remove(_ did: DID, in scope: any WriteScope) throws {
        _ = state.withLock { $0.standings.removeValue(forKey: did) }
    }

    func forgetEvents(of did: DID) async throws {}
}
