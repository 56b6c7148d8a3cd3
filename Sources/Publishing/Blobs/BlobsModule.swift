package import Base
package import Contracts
package import Logging
package import Storage
package import Web

/// Wires the room.
package struct BlobsModule: Sendable {
    package let service: BlobService
    private let logger: Logger
    private let sleeper: any Clock<Duration>

    private static let interval = Duration.seconds(300)

    package init(
        database: any Database, store: any BlobStore, reader: RepositoryReader, clock: any WallClock,
        limits: BlobLimits, logger: Logger, sleeper: any Clock<Duration> = ContinuousClock()
    ) {
        service = BlobService(
            database: database, store: store, ledger: BlobLedger(), reader: reader, clock: clock, limits: limits)
        self.logger = logger
        self.sleeper = sleeper
    }

    package static var migrations: [Migration] { BlobSchema.migrations }

    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        BlobRoutes(blobs: service).add(to: &routes)
    }

    /// Background work: sweeps until the task is cancelled. A failed sweep is tried again at the next.
    package func run() async throws {
        while !Task.isCancelled {
            do {
                let removed = try await service.sweep()
                if removed > 0 { logger.info("blobs removed", metadata: ["count": "\(removed)"]) }
            } catch is CancellationError {
                return
            } catch {
                logger.error("sweep of blobs failed", metadata: ["cause": "\(error)"])
            }
            do { try await sleeper.sleep(for: Self.interval) } catch { return }
        }
    }
}
