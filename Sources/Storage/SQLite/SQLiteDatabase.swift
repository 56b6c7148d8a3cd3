import GRDB
import GRDBSQLite
import Synchronization

/// The embedded engine: one SQLite file, one thread that writes, a few that read.
package final class SQLiteDatabase: Database {
    package let dialect = SQLDialect.sqlite

    private let options: SQLiteOptions
    private let committer: Committer
    private let readers: WorkerThreads<SQLiteConnection>
    private let streamers: WorkerThreads<SQLiteConnection>
    private let running: RunningStreams
    private let shares: StreamShares
    private let checkpointer: SQLiteCheckpointer

    /// Opens the file at `path`, creating it if need be. Blocks for as long as the file system does.
    /// - Throws: `.unavailable` when it can't be opened, `.corrupt` when it is not a database, `.busy`.
    package init(path: String, options: SQLiteOptions = SQLiteOptions()) throws(StorageError) {
        let file = SQLiteFile(path: path, options: options)
        let queue = try file.openWriter()
        let checkpointQueue = try file.openCheckpointer()
        let running = RunningStreams()
        let checkpointer = SQLiteCheckpointer(options: options, streams: running)
        self.options = options
        self.running = running
        self.checkpointer = checkpointer
        committer = Committer(
            limits: .init(
                queueMax: options.writesWaitingMax, groupMax: options.groupMax,
                groupDurationMax: options.groupDurationMax))
        readers = WorkerThreads(name: "kith-read", threadsMax: options.readersMax, queueMax: options.readsWaitingMax) {
            try file.withReader($0)
        }
        // Who waits is the shares' matter; a thread that hands its place on may not be idle yet.
        streamers = WorkerThreads(name: "kith-stream", threadsMax: options.streamsMax, queueMax: options.streamsMax) {
            try file.withReader($0)
        }
        shares = StreamShares(
            limits: StreamShares.Limits(
                runningMax: options.streamsMax, waitingMax: options.streamsWaitingMax,
                runningPerClientMax: options.streamsPerClientMax,
                waitingPerClientMax: options.streamsWaitingPerClientMax))
        checkpointer.start(checkpointQueue)
        committer.start(name: "kith-commit") { loop in
            queue.inDatabase { db in
                guard let handle = db.sqliteConnection else { return }
                let connection = SQLiteConnection(handle: handle)
                connection.countLogPages()
                loop(SQLiteWriter(connection: connection, checkpointer: checkpointer))
                sqlite3_wal_hook(handle, nil, nil)
                connection.finalizeStatements()
                checkpointer.stop()
            }
            try? queue.close()
        }
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T {
        let limit = options.readDurationMax
        return try await readers.run { connection in
            try connection.reading(deadline: ContinuousClock().now + limit) { try body(connection) }
        }
    }

    @discardableResult
    package func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await committer.run(.savepoint, body)
    }

    @discardableResult
    package func append<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await committer.run(.promise, body)
    }

    package func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T,
        settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        committer.submit(.promise, body, settled: settled)
    }

    package func stream(
        for client: String?, _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        let (shares, running, streamers) = (shares, running, streamers)
        let pace = ByteBuffer.Pace(least: options.leastRate) { shares.isContended(for: client) }
        let buffer = ByteBuffer(
            sizeBytesMax: options.streamBufferBytes, stallTimeout: options.stallTimeout, pace: pace)
        let end: @Sendable (Result<Void, any Error>) -> Void = { end in
            buffer.finish(end)
            shares.leave(client)
        }
        try shares.enter(client, buffer) {
            do throws(StorageError) {
                try streamers.launch { connection in
                    end(Result { try Self.run(body, into: buffer, on: connection, running) })
                } failed: { error in
                    end(.failure(error))
                }
            } catch {
                end(.failure(error))
            }
        }
        return ByteStream(buffer)
    }

    private static func run(
        _ body: (any ReadScope, any ByteSink) throws -> Void, into buffer: ByteBuffer,
        on connection: SQLiteConnection, _ running: RunningStreams
    ) throws {
        let stop = StopFlag()
        try running.add(buffer, stop)
        defer { running.remove(buffer) }
        try connection.reading(stop: stop) {
            let sink = ChunkingSink(buffer)
            try body(connection, sink)
            try sink.flush()
        }
    }

    package func statistics() -> DatabaseStatistics {
        var statistics = committer.statistics()
        checkpointer.report(into: &statistics)
        statistics.streams = running.count
        return statistics
    }

    package func close() async {
        shares.close()
        running.close()
        await streamers.close()
        await readers.close()
        await committer.close()
    }
}
