import Synchronization

/// Who may run a stream, and who waits for it: first come, first served, but no client has more than its share.
///
/// Streams hold threads and snapshots for as long as their readers like; without shares one slow client would hold all.
final class StreamShares: Sendable {
    private struct Entry {
        let client: String?
        let buffer: ByteBuffer
        let start: @Sendable () -> Void
    }

    private struct State {
        var running = 0
        var runningByClient: [String: Int] = [:]
        var waiting: [Entry] = []
        var isClosed = false
    }

    private enum Decision {
        case start
        case wait
        case refuse(StorageError)
    }

    private let limits: StreamLimits
    private let state = Mutex(State())

    init(limits: StreamLimits) {
        self.limits = limits
    }

    /// Calls `start` at once or, in the order of arrival, when there is room; each start wants one `leave`.
    ///
    /// - Parameters:
    ///   - client: whose share it takes; nil is the server's own and has no share.
    ///   - buffer: told when the stream will never start.
    /// - Throws: `.overloaded`, `.shareExceeded`, `.closed`; nothing is called then.
    func enter(_ client: String?, _ buffer: ByteBuffer, start: @escaping @Sendable () -> Void) throws(StorageError) {
        let decision = state.withLock { state in
            let decision = decide(client, &state)
            switch decision {
            case .start: count(1, client, &state)
            case .wait: state.waiting.append(Entry(client: client, buffer: buffer, start: start))
            case .refuse: break
            }
            return decision
        }
        switch decision {
        case .start: start()
        case .wait: break
        case .refuse(let error): throw error
        }
    }

    /// A stream of `client` has ended: the first that waits and has a share left takes its place.
    func leave(_ client: String?) {
        let next: Entry? = state.withLock { state in
            count(-1, client, &state)
            state.waiting.removeAll { $0.buffer.isOver }
            guard let index = state.waiting.firstIndex(where: { mayRun($0.client, state) }) else { return nil }
            let next = state.waiting.remove(at: index)
            count(1, next.client, &state)
            return next
        }
        next?.start()
    }

    /// Whether somebody waits for what a stream of `client` holds.
    func isContended(for client: String?) -> Bool {
        state.withLock { state in
            state.waiting.contains { waiting in
                if waiting.buffer.isOver { return false }
                if waiting.client == client { return true }
                return state.running >= limits.runningMax && hasShare(waiting.client, state)
            }
        }
    }

    /// Ends those that wait, and refuses all that come.
    func close() {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for entry in waiting { entry.buffer.finish(.failure(StorageError.closed)) }
    }

    private func decide(_ client: String?, _ state: inout State) -> Decision {
        if state.isClosed { return .refuse(.closed) }
        state.waiting.removeAll { $0.buffer.isOver }
        if mayRun(client, state) { return .start }
        if let client, state.waiting.count(where: { $0.client == client }) >= limits.waitingPerClientMax {
            return .refuse(.shareExceeded)
        }
        return state.waiting.count < limits.waitingMax ? .wait : .refuse(.overloaded)
    }

    private func mayRun(_ client: String?, _ state: borrowing State) -> Bool {
        state.running < limits.runningMax && hasShare(client, state)
    }

    private func hasShare(_ client: String?, _ state: borrowing State) -> Bool {
        guard let client else { return true }
        return state.runningByClient[client, default: 0] < limits.runningPerClientMax
    }

    private func count(_ step: Int, _ client: String?, _ state: inout State) {
        state.running += step
        guard let client else { return }
        let running = state.runningByClient[client, default: 0] + step
        state.runningByClient[client] = running > 0 ? running : nil
    }
}
