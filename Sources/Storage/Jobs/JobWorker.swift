package import Base
package import Logging
import Synchronization

/// What a job came to.
package enum JobOutcome: Sendable {
    /// Done; nothing is left to write.
    case done
    /// Done once `effects` have run, in the transaction that removes the job.
    case doneWith(effects: @Sendable (any WriteScope) throws -> Void)
    /// To be tried again, by the rules of `JobRetry`.
    case retry(reason: String)
    /// To be tried again at a moment of the worker's choosing (say, a peer's `Retry-After`).
    case retryAt(Timestamp, reason: String)
    /// Never to be tried again.
    case giveUp(reason: String)
}

/// A loop that claims jobs of one kind and does them, several at once.
package struct JobWorker: Sendable {
    /// Bounds of a worker.
    package struct Limits: Sendable {
        /// Jobs done at once.
        package var concurrency = 4
        /// How long a claim holds. A job that takes longer is cancelled, for another may claim it then.
        package var lease = Duration.seconds(120)
        /// Looks for work at least so often, even when nobody woke it: another process may have queued some.
        package var pollInterval = Duration.seconds(15)
        package var retry = JobRetry()

        package init() {}
    }

    private let kind: JobKind
    private let database: any Database
    private let store: JobStore
    private let signal: WakeSignal
    private let clock: any WallClock
    private let sleeper: any Clock<Duration>
    private let randomness: any Randomness
    private let limits: Limits
    private let logger: Logger

    /// - Parameters:
    ///   - signal: woken by those who queue jobs, after their commit.
    ///   - sleeper: what measures pauses.
    package init(
        kind: JobKind, database: any Database, signal: WakeSignal, clock: any WallClock,
        sleeper: any Clock<Duration> = ContinuousClock(), randomness: any Randomness, limits: Limits = Limits(),
        logger: Logger
    ) {
        self.kind = kind
        self.database = database
        store = JobStore(dialect: database.dialect, randomness: randomness)
        self.signal = signal
        self.clock = clock
        self.sleeper = sleeper
        self.randomness = randomness
        self.limits = limits
        self.logger = logger
    }

    /// Works until the task is cancelled or the database is closed. Jobs under way are then cancelled; they are claimed
    /// anew once their leases have run out.
    package func run(_ perform: @escaping @Sendable (Job) async throws -> JobOutcome) async {
        let hands = Hands(limits.concurrency)
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                var pause = limits.pollInterval
                do {
                    let free = hands.free
                    let jobs = free > 0 ? try await claim(free) : []
                    for job in jobs {
                        hands.take()
                        group.addTask {
                            await work(on: job, perform)
                            hands.give()
                            signal.wake()
                        }
                    }
                    // With every hand full, the next one to be free wakes the loop.
                    if jobs.count < free { pause = try await untilNextDue() }
                } catch StorageError.closed {
                    return group.cancelAll()
                } catch {
                    logger.error("claiming jobs failed", metadata: ["kind": "\(kind.rawValue)", "error": "\(error)"])
                    pause = .seconds(1)
                }
                await signal.wait(timeout: pause, sleeper: sleeper)
            }
        }
    }

    /// How many jobs may still be taken.
    private final class Hands: Sendable {
        private let count: Mutex<Int>

        init(_ count: Int) { self.count = Mutex(max(count, 1)) }

        var free: Int { count.withLock { $0 } }
        func take() { count.withLock { $0 -= 1 } }
        func give() { count.withLock { $0 += 1 } }
    }

    private func claim(_ limit: Int) async throws -> [Job] {
        let (store, kind, lease, now) = (store, kind, limits.lease, clock.now())
        return try await database.write { scope in
            try store.claim(kind, limit: limit, lease: lease, now: now, in: scope)
        }
    }

    private func untilNextDue() async throws -> Duration {
        let (store, kind) = (store, kind)
        guard let due = try await database.read({ try store.nextDue(kind, in: $0) }) else {
            return limits.pollInterval
        }
        return min(max(due.since(clock.now()), .milliseconds(1)), limits.pollInterval)
    }

    private func work(on job: Job, _ perform: @escaping @Sendable (Job) async throws -> JobOutcome) async {
        do {
            let outcome = try await withinLease { try await perform(job) }
            try await settle(job, outcome)
        } catch is CancellationError {
            return
        } catch {
            logger.error(
                "a job failed",
                metadata: ["kind": "\(kind.rawValue)", "key": "\(job.key)", "error": "\(error)"])
            try? await settle(job, .retry(reason: String(describing: error)))
        }
    }

    /// Runs `body`, cancelled when the lease runs out.
    private func withinLease(_ body: @escaping @Sendable () async throws -> JobOutcome) async throws -> JobOutcome {
        try await withThrowingTaskGroup(of: JobOutcome.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await sleeper.sleep(for: limits.lease)
                return .retry(reason: "took longer than its lease")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .retry(reason: "cancelled")
        }
    }

    private func settle(_ job: Job, _ outcome: JobOutcome) async throws {
        let (store, now) = (store, clock.now())
        let retry = limits.retry.next(after: job.attempts, now: now, randomness: randomness)
        try await database.write { scope in
            switch outcome {
            case .done:
                _ = try store.complete(job, in: scope)
            case .doneWith(let effects):
                guard try store.complete(job, in: scope) else { return }
                try effects(scope)
            case .retry(let reason):
                try store.fail(job, reason: reason, retryAt: retry, now: now, in: scope)
            case .retryAt(let moment, let reason):
                try store.fail(job, reason: reason, retryAt: moment, now: now, in: scope)
            case .giveUp(let reason):
                try store.fail(job, reason: reason, retryAt: nil, now: now, in: scope)
            }
        }
    }
}
