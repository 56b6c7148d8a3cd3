/// An instance's database, whichever engine stands behind it.
///
/// Rooms keep SQL in their stores and speak the common subset of SQLite ≥ 3.40 and PostgreSQL ≥ 15: parameters are
/// `$1…$n`; schema statements use the types `BIGINT`, `DOUBLE PRECISION`, `TEXT` and `BYTEA` and may end in
/// `CLUSTERED` (see `SQLDialect`). Bodies are synchronous and run on the engine's own threads: they must not wait for
/// anything but their scope. A scope must not leave its body.
package protocol Database: Sendable {
    /// How the common subset is spelled for this engine.
    var dialect: SQLDialect { get }

    /// Reads one consistent state: everything committed before the call, nothing committed after the first statement.
    ///
    /// Never waits for writers. For short questions; a long walk belongs into `stream`. The body may run a second time,
    /// when the connection to a server was lost: it must not change anything outside.
    /// - Throws: what `body` throws; `StorageError.timedOut` past the time limit of a read; `.overloaded`, `.closed`.
    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T

    /// Changes the database: joins the committer's next group and returns once the group is on disk.
    ///
    /// The body runs inside a savepoint: when it throws, its own changes are undone and the others of the group land.
    /// It may run a second time (when its group has to be replayed), so that it must not change anything but its
    /// scope. A task cancelled before the call changes nothing; once queued, a write runs to its end.
    /// - Throws: what `body` throws; `.overloaded` (nothing was changed) when the queue is full; `.full`,
    ///   `.unavailable` … when the group could not be committed (nothing of it was changed).
    @discardableResult
    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T

    /// As `write`, for bodies that throw only before their first change: the path of repository commits.
    ///
    /// Without a savepoint, and therefore cheaper. A body that breaks the promise costs its whole group a replay, one
    /// by one, in which only the culprit fails.
    @discardableResult
    func append<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T

    /// As `write` or `append`, but returns at once. Bodies run in the order of submission, so that one who builds on a
    /// write that is not durable yet can submit behind it.
    ///
    /// - Parameters:
    ///   - failure: what a body that throws leaves behind.
    ///   - questions: what `body` is going to ask first. An engine behind a wire sends the questions of many bodies
    ///     together, so that none of them waits; each of these is then ended, by an error, once it has asked.
    ///   - settled: told the result once the group is on disk, on the committer's thread: it must be short and
    ///     must not block.
    func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T, failing failure: BodyFailure,
        asking questions: [BodyQuestion], settled: @escaping @Sendable (Result<T, any Error>) -> Void)

    /// Reads one consistent state for as long as it takes, on a thread of its own, writing bytes to a bounded buffer.
    ///
    /// The producer waits while the buffer is full. The stream ends with `.stalled` when the consumer takes nothing
    /// for longer than the stall timeout, when it takes too little while others wait for its place, and when its
    /// snapshot would make the log of changes outgrow its bound. A consumer that drops the stream, or whose task is
    /// cancelled, ends the producer at its next `write`.
    /// - Parameter client: whose share of the streams it takes, e.g. an address; nil is this server itself.
    /// - Parameter freshness: whether a server that is a little behind may answer.
    /// - Throws: `.overloaded` when too many streams run and wait, `.shareExceeded` when too many are of `client`;
    ///   `.closed`. What `body` throws ends the stream.
    func stream(
        for client: String?, _ freshness: ReadFreshness,
        _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream

    /// Has `action` run when another process has announced something of `topic` (`WriteScope.announce`), or may have:
    /// then without a payload, whenever notices can have been lost, and now and then unless all payloads count.
    ///
    /// Runs on a thread of the engine, one action after another, with a scope that sees what was announced. What it
    /// throws has it called again, without a payload. Where one process alone uses the database it is never run.
    func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction)

    /// Counters for metrics, since the database was opened. Cheap.
    func statistics() -> DatabaseStatistics

    /// Refuses new work with `.closed`, finishes what was accepted, and closes. May be called twice.
    func close() async
}

/// What can be asked inside a body. Not sendable: it lives on the engine's thread for as long as the body runs.
package protocol ReadScope: AnyObject {
    /// All rows of the answer, in order. For answers known to be small; see `forEach`.
    func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row]

    /// The first row of the answer, or nil.
    func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row?

    /// Calls `body` with each row in order until it returns false or throws. The scope may be used inside `body`.
    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws
}

/// What can be asked and changed inside a writing body.
///
/// A body must not go on after one of its statements has failed: some engines run nothing more for it, and undo it
/// whatever it returns.
package protocol WriteScope: ReadScope {
    /// Runs one statement.
    /// - Returns: the number of rows inserted, updated or deleted by it.
    @discardableResult
    func execute(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Int

    /// Runs one statement whose number of changed rows doesn't matter.
    ///
    /// An engine behind a wire may send it together with those after it and report its failure later, at the latest
    /// with the group's commit. For the statements of a repository commit.
    func enqueue(_ sql: String, _ parameters: [SQLValue]) throws(StorageError)

    /// As `enqueue`, for a statement that is known to change one row: when it changes another number, the body fails.
    func enqueueForOneRow(_ sql: String, _ parameters: [SQLValue]) throws(StorageError)

    /// Whether every answer that a body waits for takes its time on a wire.
    var isRemote: Bool { get }

    /// Advances a named durable sequence by `step` (1 or more) and returns its new value.
    ///
    /// Values are strictly increasing in the order of commits, over restarts and over all processes on the database;
    /// those of a body that fails are given to the next one. A sequence starts at 0, so that the first value is `step`.
    func advance(_ sequence: SequenceName, by step: Int64) throws(StorageError) -> Int64

    /// Writes down the sequences that the group has advanced so far, which otherwise comes at its end: for a body that
    /// changes what may be written from then on.
    func writeSequences() throws(StorageError)

    /// Tells the other processes on the database, once the group is durable. Of one topic and group the last payload
    /// counts, unless the topic says that all do.
    func announce(_ topic: AnnouncementTopic, _ payload: String)

    /// Lifts the time limit of statements to the end of this transaction: for changes of the schema.
    func expectLongStatements() throws(StorageError)

    /// Has `action` run once the group is on disk, before `write` returns, in the order of the group. Not run when
    /// the body or the commit fails. Actions hold up the committer: they must be short and must not block.
    func afterCommit(_ action: @escaping @Sendable () -> Void)

    /// As `afterCommit`, after all of those, and once per group for all actions given with the same `key`.
    func afterGroup(_ key: ObjectIdentifier, _ action: @escaping @Sendable () -> Void)
}

/// What a submitted body that throws leaves behind.
package enum BodyFailure: Sendable, Hashable {
    /// Nothing: as `Database.write`.
    case undone
    /// It promises to throw only before its first change: as `Database.append`.
    case early
}

/// Asks one question, as a body will.
package typealias BodyQuestion = @Sendable (any ReadScope) throws -> Void

/// What processes on one database tell one another about. Declared once, by the part that owns it.
package struct AnnouncementTopic: Sendable, Hashable {
    /// Which payloads of a topic reach the listeners.
    package enum Payloads: Sendable {
        /// The last one.
        case last
        /// All, each by itself. One that is too long, or many in one group, arrive as none.
        case all
    }

    /// A lowercase word, underscores allowed, at most 40 bytes, e.g. `log`.
    package let name: String
    let payloads: Payloads

    package init(_ name: String, payloads: Payloads = .last) {
        self.name = name
        self.payloads = payloads
    }

    /// Between the payloads that one notice carries; no payload holds it.
    static let separator: Character = "\n"
    /// Longest text of a notice, in bytes; the server takes 8000.
    private static let noticeBytesMax = 7000

    /// The text of one notice for two announcements of one group; empty when anything may have been announced.
    func joined(_ before: String, _ next: String) -> String {
        guard payloads == .all else { return next }
        guard !before.isEmpty, !next.isEmpty else { return "" }
        return bounded(before + String(Self.separator) + next)
    }

    /// The payload, or nothing in place of one that no notice can carry.
    func bounded(_ payload: String) -> String {
        payload.utf8.count <= Self.noticeBytesMax ? payload : ""
    }
}

/// What is done with an announcement: its payload, or nil when there may have been some.
package typealias AnnouncementAction = @Sendable (_ payload: String?, _ scope: any ReadScope) throws -> Void

/// How new the state must be that a long read sees.
package enum ReadFreshness: Sendable {
    /// Everything committed before the call.
    case current
    /// Every event of the log that this process knows of, and maybe no more: a replica may answer.
    case replica
}

/// The name of a durable sequence (`WriteScope.advance`). Declared once, by the part that owns it.
package struct SequenceName: Sendable, Hashable {
    /// Lowercase words joined by dots, e.g. `log.event`.
    package let name: String

    package init(_ name: String) {
        self.name = name
    }
}

extension Database {
    /// As `submit(_:failing:asking:settled:)`, for a body that throws early, and asks nothing or what can't be told.
    package func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T,
        settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        submit(body, failing: .early, asking: [], settled: settled)
    }

    /// As `stream(for:_:_:)`, of the current state.
    package func stream(
        for client: String? = nil, _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        try await stream(for: client, .current, body)
    }
}

extension ReadScope {
    /// All rows of a question without parameters.
    package func query(_ sql: String) throws(StorageError) -> [Row] { try query(sql, []) }

    /// The first row of a question without parameters, or nil.
    package func first(_ sql: String) throws(StorageError) -> Row? { try first(sql, []) }
}

extension WriteScope {
    /// Runs one statement without parameters.
    @discardableResult
    package func execute(_ sql: String) throws(StorageError) -> Int { try execute(sql, []) }
}
