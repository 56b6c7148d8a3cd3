/// The writing connection as the committer drives it, and the scope its bodies see.
///
/// Every group begins by taking one lock that all processes on the database share, so that groups follow one another
/// as they do in an embedded database (docs/decisions/0008). Statements are sent as bodies come to them; the writer
/// waits only where a body needs an answer, and at the commit.
final class PostgreSQLWriter: PostgreSQLScope, WriteConnection, WriteScope {
    /// Savepoints of one transaction. Past 64 of them the server keeps track of them less well, to the cost of readers.
    private static let savepointsMax = 60
    /// The number of the lock: "Kith" and 1.
    private static let lock: Int64 = 0x4b69_7468_0000_0001
    /// Owner of the statements that belong to the group as a whole; bodies count from 1.
    private static let group = 0
    /// Beyond the server's own limits, so that those are heard of first.
    private static let grace = Duration.seconds(3)
    /// Statements are handed to the network at the end of a body once so many are waiting there.
    private static let unflushedMax = 16

    private let server: PostgreSQLServer
    private let clock = ContinuousClock()
    private let identity: PostgreSQLIdentity
    private var connection: PostgreSQLConnection?
    private var knowsSequences = false
    private var sequences = GroupSequences()
    private var actions = GroupActions()
    private var announcements: [AnnouncementTopic: String] = [:]
    private var itemAnnouncements: [AnnouncementTopic: String] = [:]
    private var item = 0
    private var savepoints = 0
    private var unflushed = 0
    private var itemFailure: StorageError?
    private var isPatient = false
    private var foreseen = PostgreSQLForesight()
    private(set) var hasFailedBehind = false

    init(_ server: PostgreSQLServer, _ identity: PostgreSQLIdentity) {
        self.server = server
        self.identity = identity
    }

    func close() {
        connection = nil
    }

    // MARK: WriteConnection

    var scope: any WriteScope { self }
    var itemChanged: Bool { connection.map { $0.hasChanged || $0.failure != nil } ?? true }
    var wantsCommit: Bool { savepoints >= Self.savepointsMax }

    func begin() throws(StorageError) {
        let connection = try open()
        forget()
        connection.failure = nil
        connection.owner = Self.group
        do throws(StorageError) {
            // Not a moment earlier than the lock is ours may a snapshot be taken: hence not REPEATABLE READ.
            try connection.send("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            try connection.send("SELECT pg_advisory_xact_lock($1)", [.integer(Self.lock)])
            try learnSequences(connection)
            connection.deadline = clock.now + server.options.lockTimeout + Self.grace
            try connection.settle()
            if let failure = connection.failure { throw failure.error }
        } catch {
            rollback()
            throw error
        }
    }

    /// The connection, opened if there is none or it was lost. A notice of the loss may have come while it stood idle.
    private func open() throws(StorageError) -> PostgreSQLConnection {
        if let connection, connection.isAlive(), !connection.isSpoilt { return connection }
        connection = nil
        knowsSequences = false
        let opened = try server.connect(.write)
        connection = opened
        identity.set(writer: opened.backendID)
        return opened
    }

    /// All sequences come with the lock, so that no body has to wait for one. Before the first migration there are none.
    private func learnSequences(_ connection: PostgreSQLConnection) throws(StorageError) {
        guard knowsSequences else { return }
        let answer = PostgreSQLAnswer()
        try connection.send("SELECT name, value FROM storage_sequence", [], answer)
        learned = answer
    }

    private var learned: PostgreSQLAnswer?

    func commit() throws(StorageError) {
        guard let connection else { throw .closed }
        connection.owner = Self.group
        let commit = PostgreSQLAnswer()
        let advancesSequences = !sequences.changes.isEmpty
        try writeSequences(over: connection)
        for (topic, payload) in announcements {
            try connection.send(
                "SELECT pg_notify($1, $2)", [.text(PostgreSQLListener.channel(topic)), .text(payload)])
        }
        connection.deadline = patience
        do throws(StorageError) {
            try connection.send("COMMIT", [], commit)
            try connection.settle()
        } catch {
            // Where the server refused a statement before it, with its last words maybe, COMMIT was not reached.
            throw connection.failure.map { $0.answer !== commit } == true ? error : .outcomeUnknown
        }
        if let failure = connection.failure {
            hasFailedBehind = failure.owner != Self.group
            throw failure.error
        }
        guard commit.command == "COMMIT" else { throw .unavailable(detail: "the server undid the group") }
        knowsSequences = knowsSequences || advancesSequences
        sequences = GroupSequences()
        announcements = [:]
    }

    func rollback() {
        if let connection, connection.breakage == nil, !connection.isSpoilt {
            do throws(StorageError) {
                try connection.mark()
                connection.owner = Self.group
                try connection.send("ROLLBACK")
                try connection.mark()
                connection.deadline = clock.now + Self.grace
                try connection.settle()
            } catch {
                self.connection = nil
            }
        } else {
            connection = nil
        }
        forget()
    }

    private func forget() {
        sequences = GroupSequences()
        actions = GroupActions()
        announcements = [:]
        itemAnnouncements = [:]
        item = 0
        savepoints = 0
        itemFailure = nil
        isPatient = false
        hasFailedBehind = false
        learned = nil
        foreseen = PostgreSQLForesight()
    }

    func beginItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        guard let connection else { throw .closed }
        item += 1
        itemFailure = nil
        connection.owner = item
        if isolation != .promise {
            foreseen = PostgreSQLForesight()
            try connection.send("SAVEPOINT item")
            savepoints += 1
        }
        connection.hasChanged = false
    }

    func endItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        if let itemFailure { throw itemFailure }
        guard let connection else { throw .closed }
        if isolation != .promise { try connection.send("RELEASE item") }
        if isolation == .checked { try settle() }
        actions.keepItem()
        sequences.keepItem()
        for (topic, payload) in itemAnnouncements {
            announcements[topic] = announcements[topic].map { topic.joined($0, payload) } ?? payload
        }
        itemAnnouncements.removeAll(keepingCapacity: true)
        if unflushed > Self.unflushedMax {
            connection.flush()
            unflushed = 0
        }
    }

    func undoItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        actions.dropItem()
        sequences.dropItem()
        itemAnnouncements.removeAll(keepingCapacity: true)
        guard let connection else { throw .closed }
        if let breakage = connection.breakage { throw breakage }
        guard isolation != .promise else { return }
        // What is on its way may fail still, and would take the next two with it.
        connection.deadline = patience
        try connection.settle()
        if let failure = connection.failure, failure.owner != item {
            hasFailedBehind = failure.owner != Self.group
            throw failure.error
        }
        connection.failure = nil
        try connection.send("ROLLBACK TO item")
        try connection.send("RELEASE item")
    }

    func takeActions() -> [@Sendable () -> Void] {
        actions.take()
    }

    func maintain() {
        guard let connection else { return }
        if connection.isSpoilt || connection.breakage != nil { return self.connection = nil }
        connection.tidy()
    }

    func ask(_ questions: [BodyQuestion]) {
        guard let connection, connection.failure == nil else { return }
        connection.owner = Self.group
        for question in questions { foreseen.ask(question, over: connection) }
    }

    // MARK: WriteScope

    override func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
        guard let answer = foreseen.take(sql, parameters) else { return try super.query(sql, parameters) }
        if !foreseen.isSettled { try settle() }
        return answer.rows
    }

    override func send(_ sql: String, _ parameters: [SQLValue], _ answer: PostgreSQLAnswer?) throws(StorageError) {
        guard let connection else { throw .closed }
        if let failed = itemFailure ?? connection.failure?.error { throw failed }
        do throws(StorageError) {
            try connection.send(sql, parameters, answer)
            unflushed += 1
        } catch {
            itemFailure = error
            throw error
        }
    }

    override func settle() throws(StorageError) {
        guard let connection else { throw .closed }
        connection.deadline = patience
        do throws(StorageError) {
            try connection.settle()
        } catch {
            itemFailure = error
            throw error
        }
        unflushed = 0
        foreseen.isSettled = true
        guard let failure = connection.failure else { return }
        hasFailedBehind = failure.owner != item && failure.owner != Self.group
        itemFailure = failure.error
        throw failure.error
    }

    private var patience: ContinuousClock.Instant? {
        isPatient ? nil : clock.now + server.options.statementTimeout + Self.grace
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Int {
        let answer = PostgreSQLAnswer()
        try send(sql, parameters, answer)
        try settle()
        return answer.changed
    }

    func enqueue(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        try send(sql, parameters, nil)
    }

    func enqueueForOneRow(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        // The server itself refuses another number, by a division.
        try send(
            "WITH changed AS (\(sql) RETURNING 1) SELECT 1 / (CASE COUNT(*) WHEN 1 THEN 1 ELSE 0 END) FROM changed",
            parameters, nil)
    }

    var isRemote: Bool { true }

    func advance(_ sequence: SequenceName, by step: Int64) throws(StorageError) -> Int64 {
        if let answer = learned {
            for row in answer.rows { sequences.learn(SequenceName(try row.text(0)), try row.integer(1)) }
            learned = nil
        }
        if !sequences.knows(sequence) {
            let row =
                knowsSequences
                ? nil : try first("SELECT value FROM storage_sequence WHERE name = $1", [.text(sequence.name)])
            sequences.learn(sequence, try row?.integer(0) ?? 0)
        }
        return sequences.advance(sequence, by: step)
    }

    func writeSequences() throws(StorageError) {
        guard let connection else { throw .closed }
        try writeSequences(over: connection)
    }

    private func writeSequences(over connection: PostgreSQLConnection) throws(StorageError) {
        for (name, value) in sequences.changes {
            try connection.send(
                """
                INSERT INTO storage_sequence (name, value) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(name.name), .integer(value)])
        }
        sequences.markWritten()
    }

    func announce(_ topic: AnnouncementTopic, _ payload: String) {
        let next = topic.bounded(payload)
        itemAnnouncements[topic] = itemAnnouncements[topic].map { topic.joined($0, next) } ?? next
    }

    func expectLongStatements() throws(StorageError) {
        isPatient = true
        try enqueue("SET LOCAL statement_timeout = 0", [])
        try enqueue("SET LOCAL idle_in_transaction_session_timeout = 0", [])
    }

    func afterCommit(_ action: @escaping @Sendable () -> Void) {
        actions.add(action)
    }

    func afterGroup(_ key: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
        actions.add(key, action)
    }
}
