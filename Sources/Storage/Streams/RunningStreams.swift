import Synchronization

/// The streams that run now, so that they can be ended for the sake of the database.
final class RunningStreams: Sendable {
    private let streams = Mutex<[ObjectIdentifier: (buffer: ByteBuffer, stop: StopFlag)]>([:])

    var count: Int { streams.withLock { $0.count } }

    func add(_ buffer: ByteBuffer, _ stop: StopFlag) {
        streams.withLock { $0[ObjectIdentifier(buffer)] = (buffer, stop) }
    }

    func remove(_ buffer: ByteBuffer) {
        _ = streams.withLock { $0.removeValue(forKey: ObjectIdentifier(buffer)) }
    }

    /// Ends every stream; its consumer sees `error`.
    func stopAll(with error: StorageError) {
        let all = streams.withLock { Array($0.values) }
        for (buffer, stop) in all {
            stop.raise()
            buffer.finish(.failure(error))
        }
    }
}
