import Storage
import Synchronization

/// Statements that were issued while it listened, each with the parameters of its first use.
final class StatementLog: Sendable {
    private struct State {
        var isListening = false
        var statements: [String: [SQLValue]] = [:]
    }

    private let state = Mutex(State())

    /// Every statement so far.
    var statements: [String: [SQLValue]] { state.withLock { $0.statements } }

    func listen() { state.withLock { $0.isListening = true } }

    func note(_ sql: String, _ parameters: [SQLValue]) {
        state.withLock { state in
            if state.isListening, state.statements[sql] == nil { state.statements[sql] = parameters }
        }
    }
}

/// A database that writes down what is asked of it.
struct RecordingDatabase: Database {
    let base: any Database
    let log: StatementLog

    var dialect: SQLDialect { base.dialect }

    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T {
        try await base.read { try body(RecordingReadScope($0, log)) }
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await base.write { try body(RecordingScope($0, log)) }
    }

    func append<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await base.append { try body(RecordingScope($0, log)) }
    }

    func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T, failing failure: BodyFailure,
        asking questions: [BodyQuestion], settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        base.submit(
            { try body(RecordingScope($0, log)) }, failing: failure, asking: questions, settled: settled)
    }

    func stream(
        for client: String?, _ freshness: ReadFreshness,
        _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        try await base.stream(for: client, freshness) { try body(RecordingReadScope($0, log), $1) }
    }

    func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {
        base.listen(to: topic) { try action($0, RecordingReadScope($1, log)) }
    }

    func statistics() -> DatabaseStatistics { base.statistics() }

    func close() async { await base.close() }
}

private class RecordingReadScope: ReadScope {
    private let asked: any ReadScope
    fileprivate let log: StatementLog

    init(_ asked: any ReadScope, _ log: StatementLog) {
        self.asked = asked
        self.log = log
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
        log.note(sql, parameters)
        return try asked.query(sql, parameters)
    }

    func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row? {
        log.note(sql, parameters)
        return try asked.first(sql, parameters)
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws {
        log.note(sql, parameters)
        try asked.forEach(sql, parameters, body)
    }
}

private final class RecordingScope: RecordingReadScope, WriteScope {
    private let base: any WriteScope

    init(_ base: any WriteScope, _ log: StatementLog) {
        self.base = base
        super.init(base, log)
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Int {
        log.note(sql, parameters)
        return try base.execute(sql, parameters)
    }

    func enqueue(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        log.note(sql, parameters)
        try base.enqueue(sql, parameters)
    }

    func enqueueForOneRow(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        log.note(sql, parameters)
        try base.enqueueForOneRow(sql, parameters)
    }

    var isRemote: Bool { base.isRemote }

    func advance(_ sequence: SequenceName, by step: Int64) throws(StorageError) -> Int64 {
        try base.advance(sequence, by: step)
    }

    func writeSequences() throws(StorageError) { try base.writeSequences() }

    func announce(_ topic: AnnouncementTopic, _ payload: String) { base.announce(topic, payload) }

    func expectLongStatements() throws(StorageError) { try base.expectLongStatements() }

    func afterCommit(_ action: @escaping @Sendable () -> Void) { base.afterCommit(action) }

    func afterGroup(_ key: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
        base.afterGroup(key, action)
    }
}
