package import Base

/// A database on a PostgreSQL server, shared by any number of processes.
///
/// One connection writes, a few read, one listens; each belongs to a thread of its own. A connection that is lost is
/// made anew by whoever needs it next.
package final class PostgreSQLDatabase: Database {
    package let dialect = SQLDialect.postgreSQL

    private let options: PostgreSQLOptions
    private let server: PostgreSQLServer
    private let replica: PostgreSQLServer?
    private let committer: Committer
    private let readers: WorkerThreads<PostgreSQLReader>
    private let streams: StreamThreads<PostgreSQLReader>
    private let replicaStreams: StreamThreads<PostgreSQLReader>?
    private let running: RunningStreams
    private let listener: PostgreSQLListener

    /// Connects once, to find mistakes in the connection string early. Blocks for as long as that takes.
    ///
    /// - Parameters:
    ///   - url: `postgresql://…` as libpq reads it, with every parameter it knows, e.g. `?sslmode=verify-full`.
    ///   - randomness: spreads attempts to connect again.
    /// - Throws: `.unavailable` when the server can't be reached, is too old, refuses us or keeps no UTF-8.
    package init(
        url: String, options: PostgreSQLOptions = PostgreSQLOptions(), randomness: any Randomness = SystemRandomness()
    ) throws(StorageError) {
        let server = PostgreSQLServer(url: url, options: options, randomness: randomness)
        let replica = options.replicaURL.map {
            PostgreSQLServer(url: $0, options: options, randomness: randomness)
        }
        do throws(StorageError) {
            _ = try server.connect(.write)
        } catch {
            throw server.reasonNotToWrite(error)
        }
        let identity = PostgreSQLIdentity()
        self.options = options
        self.server = server
        self.replica = replica
        listener = PostgreSQLListener(server, identity)
        committer = Committer(
            limits: .init(
                queueMax: options.writesWaitingMax, groupMax: options.groupMax,
                groupDurationMax: options.groupDurationMax))
        readers = WorkerThreads(
            name: "kith-read", threadsMax: options.readersMax, queueMax: options.readsWaitingMax,
            around: Self.around(server, .read))
        let running = RunningStreams()
        self.running = running
        streams = Self.streams("kith-stream", server, running)
        replicaStreams = replica.map { Self.streams("kith-replica", $0, running) }
        committer.start(name: "kith-commit") { loop in
            let writer = PostgreSQLWriter(server, identity)
            loop(writer)
            writer.close()
        }
    }

    private static func around(
        _ server: PostgreSQLServer, _ purpose: PostgreSQLPurpose
    ) -> WorkerThreads<PostgreSQLReader>.Around {
        { loop in
            let reader = PostgreSQLReader(server, purpose)
            loop(reader)
            reader.close()
        }
    }

    private static func streams(
        _ name: String, _ server: PostgreSQLServer, _ running: RunningStreams
    ) -> StreamThreads<PostgreSQLReader> {
        StreamThreads(
            name: name, limits: server.options.streams, running: running,
            reading: { reader, stop, body in try reader.reading(stop: stop) { try body(reader) } },
            around: around(server, .stream))
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T {
        let limit = options.readDurationMax
        return try await readers.run { reader in
            let deadline = ContinuousClock().now + limit
            do {
                return try reader.reading(deadline: deadline) { try body(reader) }
            } catch StorageError.unavailable where reader.hasLostConnection {
                // A server that was restarted, say: whoever only reads needn't know.
                return try reader.reading(deadline: deadline) { try body(reader) }
            }
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
        if freshness == .replica, let replicaStreams, await isFresh(replicaStreams) {
            return try replicaStreams.stream(for: client, body)
        }
        return try streams.stream(for: client, body)
    }

    /// Whether the replica has every event that the first server has now. Where either can't be asked it hasn't.
    private func isFresh(_ streams: StreamThreads<PostgreSQLReader>) async -> Bool {
        let question: @Sendable (any ReadScope) throws -> Int64 = { try EventLog.head(in: $0) }
        let limit = options.connectTimeout
        do {
            let wanted = try await read(question)
            let found = try await streams.ask { reader in
                try reader.reading(deadline: ContinuousClock().now + limit) { try question(reader) }
            }
            return found >= wanted
        } catch {
            return false
        }
    }

    package func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {
        listener.add(topic, action)
    }

    package func statistics() -> DatabaseStatistics {
        var statistics = committer.statistics()
        statistics.streams = running.count
        for server in [server, replica].compactMap(\.self) {
            let attempts = server.attempts
            statistics.connections += attempts.opened
            statistics.connectionFailures += attempts.failed
        }
        return statistics
    }

    package func close() async {
        running.close()
        await streams.close()
        await replicaStreams?.close()
        await readers.close()
        await committer.close()
        listener.close()
    }
}
