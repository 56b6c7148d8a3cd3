import Synchronization

/// The streams that run now, so that they can be ended for the sake of the database.
final class RunningStreams: Sendable {
    private struct State {
        var streams: [ObjectIdentifier: (buffer: ByteBuffer, stop: StopFlag)] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.streams.count } }

    /// Adds a stream that is about to run.
    /// - Throws: `.closed`.
    func add(_ buffer: ByteBuffer, _ stop: StopFlag) throws(StorageError) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.streams[ObjectIdentifier(buffer)] = (buffer, stop) }
            return state.isClosed
        }
        if isClosed { throw .closed }
    }

    func remove(_ buffer: ByteBuffer) {
        state.withLock { $0.streams[ObjectIdentifier(buffer)] = nil }
    }

    /// Ends every stream; its consumer sees `error`.
    func stopAll(with error: StorageError) {
        let all = state.withLock { Array($0.streams.values) }
        for (buffer, stop) in all {
            stop.raise()
            buffer.finish(.failure(error))
        }
    }

    /// Ends every stream, and every one that is still to come, with `.closed`.
    func close() {
        state.withLock { $0.isClosed = true }
        stopAll(with: .closed)
    }
}
