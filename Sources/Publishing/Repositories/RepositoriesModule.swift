package import ATProtocol
package import Base
package import Contracts
package import Logging
package import Storage
package import Web

/// Wires the room.
package struct RepositoriesModule: Sendable {
    package let service: RepositoryService
    package let writer: RepositoryWriter
    package let reader: RepositoryReader
    package let export: RepositoryExport
    package let imports: RepositoryImport
    package let rebuild: RepositoryRebuild
    private let accounts: any Accounts
    private let disposal: TreeDisposal

    /// What the room is built on.
    package struct Foundation: Sendable {
        package var database: any Database
        package var log: EventLog
        package var accounts: any Accounts
        package var keys: any SigningKeys
        package var directory: any IdentityDirectory
        package var catalog: LexiconCatalog
        package var rules: RepositoryRules
        package var clock: any WallClock
        package var randomness: any Randomness
        /// A directory for archives on their way in.
        package var spoolDirectory: String
        package var logger: Logger

        package init(
            database: any Database, log: EventLog, accounts: any Accounts, keys: any SigningKeys,
            directory: any IdentityDirectory, catalog: LexiconCatalog, rules: RepositoryRules, clock: any WallClock,
            randomness: any Randomness, spoolDirectory: String, logger: Logger
        ) {
            self.database = database
            self.log = log
            self.accounts = accounts
            self.keys = keys
            self.directory = directory
            self.catalog = catalog
            self.rules = rules
            self.clock = clock
            self.randomness = randomness
            self.spoolDirectory = spoolDirectory
            self.logger = logger
        }
    }

    /// - Parameter service: the one `makeService` gave, which the rooms that own accounts hold already.
    package init(_ foundation: Foundation, service: RepositoryService) {
        let ledger = BlobLedger()
        let (database, log, clock) = (foundation.database, foundation.log, foundation.clock)
        self.service = service
        accounts = foundation.accounts
        writer = RepositoryWriter(
            database: database, log: log, accounts: foundation.accounts, keys: foundation.keys, blobs: ledger,
            catalog: foundation.catalog, rules: foundation.rules, clock: clock, randomness: foundation.randomness)
        reader = RepositoryReader(
            database: database, accounts: foundation.accounts, directory: foundation.directory)
        export = RepositoryExport(database: database)
        imports = RepositoryImport(
            database: database, log: log, writer: writer, accounts: foundation.accounts, keys: foundation.keys,
            blobs: ledger, clock: clock, spoolDirectory: foundation.spoolDirectory)
        rebuild = RepositoryRebuild(
            database: database, log: log, writer: writer, accounts: foundation.accounts, keys: foundation.keys,
            clock: clock)
        disposal = TreeDisposal(database: database, clock: clock, logger: foundation.logger)
    }

    /// The service that creates and removes repositories: it needs no accounts, and accounts need it.
    package static func makeService(
        database: any Database, log: EventLog, clock: any WallClock, rules: RepositoryRules
    ) -> RepositoryService {
        RepositoryService(database: database, log: log, clock: clock, blobs: BlobLedger(), rules: rules)
    }

    package static var migrations: [Migration] { RepositorySchema.migrations }

    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        RepositoryRoutes(writer: writer, reader: reader, accounts: accounts, imports: imports).add(to: &routes)
        SyncRoutes(reader: reader, export: export).add(to: &routes)
    }

    /// Background work: runs until the task is cancelled.
    package func run() async throws { try await disposal.run() }
}

/// Removes trees that imports and deletions left behind, a little at a time.
struct TreeDisposal: Sendable {
    let database: any Database
    let clock: any WallClock
    let logger: Logger
    var sleeper: any Clock<Duration> = ContinuousClock()

    /// Rows of each table removed in one transaction.
    private static let batchCount = 500
    private static let pause = Duration.milliseconds(20)
    private static let interval = Duration.seconds(60)
    /// A tree that was begun so long ago and not adopted was left behind, by whichever process; an import that takes
    /// longer fails.
    static let abandonedAfter = Duration.seconds(6 * 3600)

    func run() async throws {
        while !Task.isCancelled {
            do {
                try await round()
            } catch is CancellationError {
                return
            } catch {
                logger.error("removal of trees failed", metadata: ["cause": "\(error)"])
            }
            do { try await sleeper.sleep(for: Self.interval) } catch { return }
        }
    }

    func round() async throws {
        let moment = clock.now().advanced(by: .zero - Self.abandonedAfter)
        try await database.write { try RepositoryStore.retireAbandoned(before: moment, in: $0) }
        while let tree = try await database.read({ try RepositoryStore.nextDisposal(in: $0) }) {
            while try await !database.write({ scope in
                let rows = try RepositoryStore.removeBatch(tree: tree, limit: Self.batchCount, in: scope)
                let mentions = try BlobLedger().removeMentions(tree: tree, limit: Self.batchCount, in: scope)
                guard rows == 0, mentions == 0 else { return false }
                try RepositoryStore.disposed(tree: tree, in: scope)
                return true
            }) {
                try await sleeper.sleep(for: Self.pause)
            }
        }
    }
}
