import Synchronization

/// A lock that tasks wait for without holding a thread, served in the order of arrival.
///
/// For short sections that may have to wait inside, e.g. the writes of one repository. Not recursive.
package final class AsyncLock: Sendable {
    private struct State {
        var isHeld = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// Index of the next waiter: removing from the front of an array is linear.
        var first = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Runs `body` while holding the lock. A waiting task that is cancelled still takes its turn.
    package func withLock<Result: Sendable>(_ body: () async throws -> Result) async rethrows -> Result {
        await acquire()
        defer { release() }
        return try await body()
    }

    /// Whether somebody holds the lock at this moment.
    package var isHeld: Bool { state.withLock { $0.isHeld } }

    private func acquire() async {
        let isMine = state.withLock { state in
            if state.isHeld { return false }
            state.isHeld = true
            return true
        }
        if isMine { return }
        await withCheckedContinuation { continuation in
            let isMine = state.withLock { state in
                if state.isHeld {
                    state.waiters.append(continuation)
                    return false
                }
                state.isHeld = true
                return true
            }
            if isMine { continuation.resume() }
        }
    }

    private func release() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard state.first < state.waiters.count else {
                state.isHeld = false
                state.waiters = []
                state.first = 0
                return nil
            }
            defer { state.first += 1 }
            return state.waiters[state.first]
        }
        next?.resume()
    }
}
