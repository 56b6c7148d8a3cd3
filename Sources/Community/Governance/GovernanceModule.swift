package import Base
package import Contracts
package import Logging
package import Storage
package import Web

/// Wires the room.
package struct GovernanceModule: Sendable {
    package let service: GovernanceService
    private let worker: JobWorker

    /// - Parameters:
    ///   - signal: the one that `service` wakes.
    ///   - sleeper: what measures pauses.
    package init(
        _ service: GovernanceService, signal: WakeSignal, randomness: any Randomness, logger: Logger,
        sleeper: any Clock<Duration> = ContinuousClock()
    ) {
        self.service = service
        var limits = JobWorker.Limits()
        limits.pollInterval = .seconds(5)
        worker = JobWorker(
            kind: GovernanceService.closing, database: service.database, signal: signal, clock: service.clock,
            sleeper: sleeper, randomness: randomness, limits: limits, logger: logger)
    }

    package static var migrations: [Migration] { GovernanceSchema.migrations }

    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        GovernanceRoutes(governance: service).add(to: &routes)
    }

    /// Background work: closes proposals when their time is up, until the task is cancelled.
    package func run() async {
        await worker.run { try await service.perform($0) }
    }
}
