import Synchronization

/// Wakes one loop of this process when there is something new to do. Several calls before it looks count as one.
package final class WakeSignal: Sendable {
    private struct State {
        var isSet = false
        var lastWaiter: UInt64 = 0
        var waiter: (id: UInt64, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state = Mutex(State())

    package init() {}

    /// Wakes the loop, or keeps it from falling asleep once.
    package func wake() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            if state.waiter == nil { state.isSet = true }
            return state.waiter
        }
        waiter?.continuation.resume()
    }

    /// Waits until `wake` is called (or was called since the last wait), `timeout` has passed by `sleeper`, or the
    /// task is cancelled. For one waiting task at a time: a second one sends the first away.
    package func wait(timeout: Duration, sleeper: any Clock<Duration>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await sleeper.sleep(for: timeout) }
            await group.next()
            group.cancelAll()
        }
    }

    private func wait() async {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let ready: [CheckedContinuation<Void, Never>] = state.withLock { state in
                    if state.isSet || Task.isCancelled {
                        state.isSet = false
                        return [continuation]
                    }
                    defer { state.waiter = (id, continuation) }
                    return state.waiter.map { [$0.continuation] } ?? []
                }
                for continuation in ready { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                guard state.waiter?.id == id else { return CheckedContinuation<Void, Never>?.none }
                defer { state.waiter = nil }
                return state.waiter?.continuation
            }
            waiter?.resume()
        }
    }
}
