import ATProtocol
import Base
import Community
import Contracts
import Hosting
import Identity
import Pages
import Publishing
import ServiceLifecycle
import Storage
import Web

/// The rooms of an instance and their routes: the one place where they meet.
struct InstanceRooms: Sendable {
    let catalog: LexiconCatalog
    let identity: IdentityModule
    let repositories: RepositoriesModule
    let communities: CommunityModule
    let blobs: BlobsModule
    let firehose: FirehoseModule
    private let governance: GovernanceModule
    let outside: OutsideWorld
    private let crawl: CrawlRequests
    let router: XRPCRouter<Caller, AccessRule>
    /// The buckets of all rate limits; nil when they are switched off.
    let limiter: RateLimiter?
    private let parts: Set<ProcessRole>

    /// The schema steps of every room, in the order they are applied.
    static let migrations: [Migration] =
        IdentityModule.migrations + RepositoriesModule.migrations + BlobsModule.migrations
        + CommunityModule.migrations

    /// Builds the rooms on an open store, and makes the administrator whom the configuration names.
    init(
        _ configuration: Configuration, _ store: InstanceStore, _ metrics: MetricRegistry, _ local: LocalOperator,
        _ surroundings: Surroundings, spoolDirectory: String
    ) async throws {
        let (database, log, clock) = (store.database, store.log, surroundings.clock)
        let (randomness, logger) = (surroundings.randomness, surroundings.logger)
        catalog = LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
        outside = try OutsideWorld(configuration)
        limiter = configuration.limitsRates ? RateLimiter(clock: clock) : nil
        let foundation = try await IdentityFoundation.open(
            try configuration.identity(), database: database, vault: store.vault, lookup: outside, clock: clock,
            randomness: randomness, limiter: limiter)
        let community = CommunityRules(database: database)
        let rules = RepositoryRules(
            guards: [.community: community.guard], observers: [ExternalKeyProjection()] + community.observers)
        let service = RepositoriesModule.makeService(
            database: database, log: log, clock: clock, rules: rules)
        repositories = RepositoriesModule(
            RepositoriesModule.Foundation(
                database: database, log: log, accounts: foundation.accounts, keys: foundation.keys,
                directory: foundation.directory, catalog: catalog, rules: rules, clock: clock, randomness: randomness,
                spoolDirectory: spoolDirectory, logger: logger),
            service: service)
        identity = IdentityModule(
            foundation, log: log, repositories: service, records: RecordDoor(writer: repositories.writer),
            vault: store.vault, randomness: randomness,
            outbound: outside.client, mail: try configuration.mail(surroundings))
        communities = Self.communities(store, foundation, identity, repositories, community, clock: clock)
        blobs = BlobsModule(
            database: database, store: store.blobs, reader: repositories.reader, clock: clock,
            limits: configuration.blobLimits, logger: logger)
        crawl = CrawlRequests(
            crawlers: configuration.crawlers, name: configuration.name, client: outside.client, log: log, logger: logger
        )
        governance = Self.governance(store, identity, community.policies, repositories, catalog, surroundings)
        firehose = FirehoseModule(log: log, clock: clock, limits: configuration.firehoseLimits, logger: logger)
        InstanceMetrics.register(store, firehose.service, in: metrics)
        let door = CallerDoor(local: local, authenticator: foundation.authenticator)
        let (accounts, repositories) = (identity.accounts, repositories)
        parts = configuration.parts
        let rooms: [(ProcessRole, (inout Router) -> Void)] = [
            (.identity, identity.addRoutes), (.repositories, repositories.addRoutes), (.blobs, blobs.addRoutes),
            (.firehose, firehose.addRoutes), (.communities, communities.addRoutes),
            (.communities, governance.addRoutes),
            (
                .communities,
                Self.attestations(store, foundation, community.policies, repositories, outside, surroundings).add
            ),
            (
                .pages,
                {
                    StartRoutes(place: configuration.place, accounts: foundation.accounts).add(to: &$0)
                    SetupRoutes(place: configuration.place, administrator: SetupDoor(accounts: accounts)).add(to: &$0)
                    PasswordRoutes(place: configuration.place, door: PasswordDoor(accounts: accounts)).add(to: &$0)
                }
            ),
        ]
        router = Self.router(door, rooms, of: parts) {
            ServerRoutes(
                configuration: configuration, did: foundation.configuration.serviceDID, database: database,
                metrics: metrics, accounts: accounts
            ).add(to: &$0)
            AdministrationRoutes(accounts: accounts, repositories: repositories).add(to: &$0)
            DatabaseRoutes(
                database: store.database, move: DatabaseMove(store.database, configuration, surroundings), local: local
            ).add(to: &$0)
            Self.backups(configuration, store, foundation, surroundings).add(to: &$0)
        }
        try await accounts.ensureBootstrapAdministrator()
    }

    private typealias Router = XRPCRouter<Caller, AccessRule>

    private static func backups(
        _ configuration: Configuration, _ store: InstanceStore, _ foundation: IdentityFoundation,
        _ surroundings: Surroundings
    ) -> BackupRoutes {
        BackupRoutes(
            creation: BackupCreation(
                database: store.database, blobs: store.blobs, holdings: BlobLedger(), clock: surroundings.clock,
                randomness: surroundings.randomness),
            directory: DataDirectory(configuration.data),
            instance: BackedUpInstance(
                name: configuration.name.authority, did: foundation.configuration.serviceDID.string,
                version: KithVersion.number), credentials: configuration.backupCredentials)
    }

    private static func communities(
        _ store: InstanceStore, _ foundation: IdentityFoundation, _ identity: IdentityModule,
        _ repositories: RepositoriesModule, _ rules: CommunityRules, clock: any WallClock
    ) -> CommunityModule {
        CommunityModule(
            CommunityModule.Foundation(
                database: store.database, vault: store.vault, door: repositories.writer,
                repositories: repositories.service, records: RecordDoor(writer: repositories.writer),
                archives: repositories.export, accounts: identity.accounts, standings: foundation.accounts,
                audit: AuditLedger(clock: clock), passwords: identity.accounts, clock: clock), rules: rules)
    }

    private static func governance(
        _ store: InstanceStore, _ identity: IdentityModule, _ policies: CommunityPolicies,
        _ repositories: RepositoriesModule, _ catalog: LexiconCatalog, _ surroundings: Surroundings
    ) -> GovernanceModule {
        let signal = WakeSignal()
        let service = GovernanceService(
            database: store.database, door: repositories.writer, accounts: identity.foundation.accounts,
            communities: identity.accounts, policies: policies, catalog: catalog,
            audit: AuditLedger(clock: surroundings.clock), clock: surroundings.clock,
            randomness: surroundings.randomness, signal: signal)
        return GovernanceModule(
            service, signal: signal, randomness: surroundings.randomness, logger: surroundings.logger)
    }

    private static func attestations(
        _ store: InstanceStore, _ foundation: IdentityFoundation, _ policies: CommunityPolicies,
        _ repositories: RepositoriesModule, _ outside: OutsideWorld, _ surroundings: Surroundings
    ) -> AttestationRoutes {
        let (clock, directory) = (surroundings.clock, foundation.directory)
        return AttestationRoutes(
            service: AttestationService(
                AttestationService.Foundation(
                    database: store.database, door: repositories.writer, proofs: repositories.export,
                    accounts: foundation.accounts, keys: foundation.keys, identities: directory, policies: policies,
                    vault: store.vault,
                    remote: RemoteAttestations(identities: directory, client: outside.client, clock: clock),
                    audit: AuditLedger(clock: clock), clock: clock, randomness: surroundings.randomness)))
    }

    private static func router(
        _ door: CallerDoor, _ rooms: [(ProcessRole, (inout Router) -> Void)], of parts: Set<ProcessRole>,
        _ server: (inout Router) -> Void
    ) -> Router {
        var router = Router(anonymous: [.anyone]) { rule, head in try await door.caller(for: rule, head) }
        for (part, room) in rooms {
            if parts.contains(part) { room(&router) } else { router.elsewhere(room) }
        }
        server(&router)
        return router
    }

    /// Background work, in the order it is started: that of every room, where this process is a worker.
    func services(_ surroundings: Surroundings) -> [RunningService] {
        guard parts.contains(.worker) else { return [] }
        var services = [
            RunningService("accounts", IdentityUpkeep(identity, logger: surroundings.logger).run),
            RunningService("repositories", repositories.run), RunningService("blobs", blobs.run),
            RunningService("firehose", firehose.run), RunningService("governance", governance.run),
        ]
        if let mail = identity.mail {
            services.append(RunningService("mail") { await mail.run(logger: surroundings.logger) })
        }
        if !crawl.crawlers.isEmpty { services.append(RunningService("crawl requests", crawl.run)) }
        return services
    }
}

/// A loop of a room, as the service group runs it: cancelled when the server is told to stop.
struct RunningService: Service {
    /// For logs.
    let name: String
    private let body: @Sendable () async throws -> Void

    init(_ name: String, _ body: @escaping @Sendable () async throws -> Void) {
        self.name = name
        self.body = body
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await body() }
    }
}
