import Synchronization

/// A bounded number of places, given in the order of arrival.
final class RequestSlots: Sendable {
    private enum Grant {
        case granted
        case refused
        case cancelled
    }

    private struct State {
        var free: Int
        var lastWaiter: UInt64 = 0
        var waiters: [(id: UInt64, continuation: CheckedContinuation<Grant, Never>)] = []
    }

    private let waitingMax: Int
    private let state: Mutex<State>

    /// - Parameters:
    ///   - count: how many places there are.
    ///   - waitingMax: how many may wait for one; a further one is refused.
    init(count: Int, waitingMax: Int) {
        self.waitingMax = waitingMax
        state = Mutex(State(free: count))
    }

    /// A place; given back by `end`, or when it is dropped.
    final class Place: Sendable {
        private let slots: RequestSlots
        private let isHeld = Atomic(true)

        fileprivate init(_ slots: RequestSlots) { self.slots = slots }

        deinit { end() }

        func end() {
            if isHeld.exchange(false, ordering: .acquiringAndReleasing) { slots.release() }
        }
    }

    /// Waits for a place.
    /// - Throws: `S3Failure.overloaded` when too many wait; `CancellationError`.
    func take() async throws -> Place {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let grant = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Grant, Never>) in
                let grant: Grant? = state.withLock { state in
                    if Task.isCancelled { return .cancelled }
                    if state.free > 0 {
                        state.free -= 1
                        return .granted
                    }
                    if state.waiters.count >= waitingMax { return .refused }
                    state.waiters.append((id, continuation))
                    return nil
                }
                if let grant { continuation.resume(returning: grant) }
            }
        } onCancel: {
            let waiter: CheckedContinuation<Grant, Never>? = state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: .cancelled)
        }
        switch grant {
        case .granted: return Place(self)
        case .refused: throw S3Failure.overloaded
        case .cancelled: throw CancellationError()
        }
    }

    private func release() {
        let next: CheckedContinuation<Grant, Never>? = state.withLock { state in
            if state.waiters.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst().continuation
        }
        next?.resume(returning: .granted)
    }
}
