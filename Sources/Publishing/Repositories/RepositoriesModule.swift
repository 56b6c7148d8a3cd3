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
        package var clock: any WallClock
        package var randomness: any Randomness
        /// A directory for archives on their way in.
        package var spoolDirectory: String
        package var logger: Logger

        package init(
            database: any Database, log: EventLog, accounts: any Accounts, keys: any SigningKeys,
            directory: any IdentityDirectory, catalog: LexiconCatalog, clock: any WallClock,
            randomness: any Randomness, spoolDirectory: String, logger: Logger
        ) {
            self.database = database
            self.log = log
            self.accounts = accounts
            self.keys = keys
            self.directory = directory
            self.catalog = catalog
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
            catalog: foundation.catalog, clock: clock, randomness: foundation.randomness)
        reader = RepositoryReader(
            database: database, accounts: foundation.accounts, directory: foundation.directory)
        export = RepositoryExport(database: database)
        imports = RepositoryImport(
            database: database, log: log, writer: writer, accounts: foundation.accounts, keys: foundation.keys,
            blobs: ledger, clock: clock, spoolDirectory: foundation.spoolDirectory)
        rebuild = RepositoryRebuild(
            database: database, log: log, writer: writer, accounts: foundation.accounts, keys: foundation.keys,
            clock: clock)
        disposal = TreeDisposal(database: database, logger: foundation.logger)
    }

    /// The service that creates and removes repositories: it needs no accounts, and accounts need it.
    package static func makeService(database: any Database, log: EventLog, clock: any WallClock) -> RepositoryService {
        RepositoryService(database: database, log: log, clock: clock, blobs: BlobLedger())
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
    let logger: Logger
    var sleeper: any Clock<Duration> = ContinuousClock()

    /// Rows of each table removed in one transaction.
    private static let batchCount = 500
    private static let pause = Duration.milliseconds(20)
    private static let interval = Duration.seconds(60)

    func run() async throws {
        // What was being laid down when the process ended is garbage; what is being laid down now is not.
        let present = try await database.read { try RepositoryStore.newestDisposal(in: $0) }
        while !Task.isCancelled {
            do {
                try await removeAll(through: present)
            } catch let error as StorageError where error.isTransient {
                logger.debug("trees wait for removal", metadata: ["cause": "\(error)"])
            }
            do { try await sleeper.sleep(for: Self.interval) } catch { return }
        }
    }

    private func removeAll(through newest: Int64) async throws {
        while let tree = try await database.read({ try RepositoryStore.nextDisposal(through: newest, in: $0) }) {
            while try await !database.write({ scope in
                try RepositoryStore.removeBatch(tree: tree, limit: Self.batchCount, in: scope)
            }) {
                do { try await sleeper.sleep(for: Self.pause) } catch { return }
            }
        }
    }
}
