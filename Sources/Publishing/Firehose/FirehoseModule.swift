package import Base
package import Contracts
package import Logging
package import Storage
package import Web

/// Wires the room.
package struct FirehoseModule: Sendable {
    package let service: FirehoseService
    private let log: EventLog
    private let clock: any WallClock
    private let logger: Logger
    private let sleeper: any Clock<Duration>

    private static let interval = Duration.seconds(10)

    package init(
        log: EventLog, clock: any WallClock, limits: FirehoseLimits = FirehoseLimits(), logger: Logger,
        sleeper: any Clock<Duration> = ContinuousClock()
    ) {
        service = FirehoseService(log: log, limits: limits)
        self.log = log
        self.clock = clock
        self.logger = logger
        self.sleeper = sleeper
    }

    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        FirehoseRoutes(firehose: service).add(to: &routes)
    }

    /// Background work: ends what retention no longer keeps, until the task is cancelled.
    package func run() async throws {
        while !Task.isCancelled {
            do {
                _ = try await log.removeExpired(now: clock.now())
            } catch is CancellationError {
                return
            } catch {
                logger.error("retention of the log failed", metadata: ["cause": "\(error)"])
            }
            do { try await sleeper.sleep(for: Self.interval) } catch { return }
        }
    }
}
