import Synchronization

/// A database that can become another one while it is used: what comes after the switch goes there.
///
/// Work that has begun ends where it began. The two must hold the same at the moment of the switch.
package final class SwitchingDatabase: Database {
    private struct State {
        var current: any Database
        var former: [any Database] = []
        var listeners: [(topic: AnnouncementTopic, action: AnnouncementAction)] = []
    }

    private let state: Mutex<State>

    package init(_ database: any Database) {
        state = Mutex(State(current: database))
    }

    /// The one that is used now.
    package var current: any Database { state.withLock { $0.current } }

    /// From now on `database` is used. The former one is closed with this.
    package func switchOver(to database: any Database) {
        let listeners = state.withLock { state in
            state.former.append(state.current)
            state.current = database
            return state.listeners
        }
        for (topic, action) in listeners { database.listen(to: topic, action) }
    }

    package var dialect: SQLDialect { current.dialect }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T {
        try await current.read(body)
    }

    @discardableResult
    package func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await current.write(body)
    }

    @discardableResult
    package func append<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await current.append(body)
    }

    package func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T, failing failure: BodyFailure,
        asking questions: [BodyQuestion], settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        current.submit(body, failing: failure, asking: questions, settled: settled)
    }

    package func stream(
        for client: String?, _ freshness: ReadFreshness,
        _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        try await current.stream(for: client, freshness, body)
    }

    package func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {
        let database = state.withLock { state in
            state.listeners.append((topic, action))
            return state.current
        }
        database.listen(to: topic, action)
    }

    package func statistics() -> DatabaseStatistics { current.statistics() }

    package func close() async {
        let all = state.withLock { $0.former + [$0.current] }
        for database in all { await database.close() }
    }
}
