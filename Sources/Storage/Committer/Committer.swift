import Dispatch
import Foundation
import Synchronization

/// Gathers the writes of many tasks into groups: one transaction and one flush to disk each.
///
/// While a group is being flushed the next one gathers; nobody waits for a timer. The committer owns one thread and
/// runs every body on it.
final class Committer: Sendable {
    /// Bounds of the committer.
    struct Limits: Sendable {
        /// Writes that may wait; a further one is refused with `.overloaded`.
        var queueMax = 4096
        /// Writes in one group.
        var groupMax = 256
        /// After this time no further body of a group is started: the rest waits for the next group.
        var groupDurationMax = Duration.milliseconds(25)
    }

    private struct State {
        var queue = FIFO<PendingWrite>()
        var isSleeping = false
        var isClosed = false
        var hasEnded = false
        var closeWaiters: [CheckedContinuation<Void, Never>] = []
        var statistics = DatabaseStatistics()
    }

    let limits: Limits
    let clock = ContinuousClock()
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    init(limits: Limits) {
        self.limits = limits
    }

    /// Starts the thread. `around` hands the connection to the loop, on that thread, and cleans up afterwards.
    func start(name: String, around: @escaping @Sendable (_ loop: (any WriteConnection) -> Void) -> Void) {
        let thread = Thread { [self] in
            around { connection in
                while let group = nextGroup() {
                    process(group, on: connection)
                    connection.maintain()
                }
            }
            let waiters = state.withLock { state in
                state.hasEnded = true
                defer { state.closeWaiters = [] }
                return state.closeWaiters
            }
            for waiter in waiters { waiter.resume() }
        }
        thread.name = name
        thread.stackSize = 4 << 20
        thread.start()
    }

    /// Queues `body` and returns its result once its group is durable.
    func run<T: Sendable>(
        _ isolation: PendingWrite.Isolation, _ body: @escaping @Sendable (any WriteScope) throws -> T
    ) async throws -> T {
        try Task.checkCancellation()
        return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
            submit(isolation, body) { continuation.resume(with: $0) }
        }
    }

    /// Queues `body` and returns; `settled` is told its result once its group is durable, or why it is not.
    func submit<T: Sendable>(
        _ isolation: PendingWrite.Isolation, _ body: @escaping @Sendable (any WriteScope) throws -> T,
        asking questions: [BodyQuestion] = [], settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        let write = TypedWrite(isolation: isolation, questions: questions, body: body, settled: settled)
        let (refusal, mustWake): (StorageError?, Bool) = state.withLock { state in
            if state.isClosed { return (.closed, false) }
            if state.queue.count >= limits.queueMax {
                state.statistics.overloads += 1
                return (.overloaded, false)
            }
            state.queue.append(write)
            defer { state.isSleeping = false }
            return (nil, state.isSleeping)
        }
        if let refusal { write.settle(refusal) }
        if mustWake { wake.signal() }
    }

    /// Counters so far.
    func statistics() -> DatabaseStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.queued = state.queue.count
            return statistics
        }
    }

    /// Refuses new writes, commits the waiting ones and ends the thread.
    func close() async {
        await withCheckedContinuation { continuation in
            let (ended, mustWake): (Bool, Bool) = state.withLock { state in
                state.isClosed = true
                guard !state.hasEnded else { return (true, false) }
                state.closeWaiters.append(continuation)
                defer { state.isSleeping = false }
                return (false, state.isSleeping)
            }
            if ended { continuation.resume() }
            if mustWake { wake.signal() }
        }
    }

    private func nextGroup() -> [PendingWrite]? {
        while true {
            let (group, ended): ([PendingWrite], Bool) = state.withLock { state in
                let group = state.queue.pop(atMost: limits.groupMax)
                if group.isEmpty, !state.isClosed { state.isSleeping = true }
                return (group, group.isEmpty && state.isClosed)
            }
            if ended { return nil }
            if !group.isEmpty { return group }
            wake.wait()
        }
    }

    /// Takes up to `limit` of the writes that wait now.
    func takeMore(_ limit: Int) -> [PendingWrite] {
        guard limit > 0 else { return [] }
        return state.withLock { $0.queue.pop(atMost: limit) }
    }

    func count(_ change: (inout DatabaseStatistics) -> Void) {
        state.withLock { change(&$0.statistics) }
    }
}
