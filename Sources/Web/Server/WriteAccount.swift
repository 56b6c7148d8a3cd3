import Synchronization

/// What one connection was given to write and the socket has not taken yet.
///
/// Writability alone tells too late: it changes on the event loop, and until that comes around a task could hand over
/// megabytes. One task adds and waits; the event loop settles.
final class WriteAccount: Sendable {
    /// No more is made of an answer while more than this waits for the socket.
    static let byteCountMax = 32 * 1024

    private struct State {
        var pending = 0
        var isOver = false
        var waiter: CheckedContinuation<Void, any Error>?
    }

    /// The connection is gone.
    struct Ended: Error {}

    private let state = Mutex(State())

    /// Bytes that wait.
    var pendingByteCount: Int { state.withLock { $0.pending } }

    /// Whether the writer waits for the socket.
    var isWaited: Bool { state.withLock { $0.waiter != nil } }

    /// Bytes are about to be handed to the connection.
    func add(_ byteCount: Int) { state.withLock { $0.pending += byteCount } }

    /// The socket has taken bytes, or never will.
    func settle(_ byteCount: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            state.pending -= byteCount
            guard state.pending <= Self.byteCountMax else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Nothing will be settled any more.
    func end() { finish(Ended()) }

    /// Waits until at most `byteCountMax` are pending.
    ///
    /// - Throws: `Ended`; `CancellationError`.
    func waitForRoom() async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let result: Result<Void, any Error>? = state.withLock { state in
                    if state.isOver { return .failure(Ended()) }
                    if state.pending <= Self.byteCountMax { return .success(()) }
                    state.waiter = continuation
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            finish(CancellationError())
        }
    }

    private func finish(_ error: any Error) {
        let waiter = state.withLock { state in
            state.isOver = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: error)
    }
}
