/// The threads on which an engine runs its streams, and who may use them.
final class StreamThreads<Connection>: Sendable {
    typealias Body = @Sendable (any ReadScope, any ByteSink) throws -> Void
    /// Runs a body inside one read transaction of the connection, ended when the flag is raised.
    typealias Reading = @Sendable (Connection, StopFlag, (any ReadScope) throws -> Void) throws -> Void

    private let limits: StreamLimits
    private let shares: StreamShares
    private let running: RunningStreams
    private let threads: WorkerThreads<Connection>
    private let reading: Reading

    init(
        name: String, limits: StreamLimits, running: RunningStreams, reading: @escaping Reading,
        around: @escaping WorkerThreads<Connection>.Around
    ) {
        self.reading = reading
        self.limits = limits
        self.running = running
        shares = StreamShares(limits: limits)
        // Who waits is the shares' matter; a thread that hands its place on may not be idle yet.
        threads = WorkerThreads(
            name: name, threadsMax: limits.runningMax, queueMax: limits.runningMax, around: around)
    }

    /// Starts a stream, at once or when there is room.
    func stream(for client: String?, _ body: @escaping Body) throws(StorageError) -> ByteStream {
        let (shares, running, threads, reading) = (shares, running, threads, reading)
        let pace = ByteBuffer.Pace(least: limits.leastRate) { shares.isContended(for: client) }
        let buffer = ByteBuffer(sizeBytesMax: limits.bufferBytes, stallTimeout: limits.stallTimeout, pace: pace)
        let end: @Sendable (Result<Void, any Error>) -> Void = { end in
            buffer.finish(end)
            shares.leave(client)
        }
        try shares.enter(client, buffer) {
            do throws(StorageError) {
                try threads.launch { connection in
                    end(
                        Result {
                            let stop = StopFlag()
                            try running.add(buffer, stop)
                            defer { running.remove(buffer) }
                            try reading(connection, stop) { scope in
                                let sink = ChunkingSink(buffer)
                                try body(scope, sink)
                                try sink.flush()
                            }
                        })
                } failed: { error in
                    end(.failure(error))
                }
            } catch {
                end(.failure(error))
            }
        }
        return ByteStream(buffer)
    }

    /// Runs a short question on one of the threads, if one is free for it.
    func ask<T: Sendable>(_ question: @escaping @Sendable (Connection) throws -> T) async throws -> T {
        try await threads.run(question)
    }

    /// Ends those that wait and refuses all that come. Those that run are ended by `RunningStreams.close`.
    func close() async {
        shares.close()
        await threads.close()
    }
}
