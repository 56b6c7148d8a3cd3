import GRDB
import GRDBSQLite
import Synchronization

/// The embedded engine: one SQLite file, one thread that writes, a few that read.
package final class SQLiteDatabase: Database {
    package let dialect = SQLDialect.sqlite

    private let options: SQLiteOptions
    private let committer: Committer
    private let readers: WorkerThreads<SQLiteConnection>
    private let streams: StreamThreads<SQLiteConnection>
    private let running: RunningStreams
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
        streams = StreamThreads(
            name: "kith-stream", limits: options.streams, running: running,
            reading: { connection, stop, body in try connection.reading(stop: stop) { try body(connection) } },
            around: { try file.withReader($0) })
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
        _ body: @escaping @Sendable (any WriteScope) throws -> T, failing failure: BodyFailure,
        asking questions: [BodyQuestion], settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        committer.submit(failure == .undone ? .savepoint : .promise, body, asking: questions, settled: settled)
    }

    package func stream(
        for client: String?, _ freshness: ReadFreshness,
        _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        try streams.stream(for: client, body)
    }

    package func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {}

    package func statistics() -> DatabaseStatistics {
        var statistics = committer.statistics()
        checkpointer.report(into: &statistics)
        statistics.streams = running.count
        return statistics
    }

    package func close() async {
        running.close()
        await streams.close()
        await readers.close()
        await committer.close()
    }
}
