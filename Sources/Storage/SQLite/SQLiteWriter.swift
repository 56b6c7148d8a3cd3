import GRDBSQLite

/// The writing connection as the committer drives it, and the scope its bodies see.
final class SQLiteWriter: WriteConnection, WriteScope {
    private let connection: SQLiteConnection
    private let checkpointer: SQLiteCheckpointer
    private var sequences = GroupSequences()
    /// Why SQLite has given up the transaction (a full disk, say). From then on nothing may run: it would be committed
    /// by itself.
    private var loss: StorageError?
    /// The first statement of the body that failed: whatever the body makes of it, none of its changes are kept.
    private var itemFailure: StorageError?
    private var actions = GroupActions()

    init(connection: SQLiteConnection, checkpointer: SQLiteCheckpointer) {
        self.connection = connection
        self.checkpointer = checkpointer
    }

    // MARK: WriteConnection

    var scope: any WriteScope { self }
    var itemChanged: Bool { connection.hasChanged }

    func begin() throws(StorageError) {
        try connection.execute("BEGIN IMMEDIATE", [])
    }

    func commit() throws(StorageError) {
        try writeSequences()
        try connection.execute("COMMIT", [])
        sequences = GroupSequences()
    }

    func rollback() {
        if connection.isInTransaction { _ = try? connection.execute("ROLLBACK", []) }
        loss = nil
        sequences = GroupSequences()
        actions = GroupActions()
    }

    func beginItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        if isolation != .promise { try connection.execute("SAVEPOINT item", []) }
        connection.hasChanged = false
        itemFailure = nil
    }

    func endItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        if let loss = loss ?? itemFailure { throw loss }
        if isolation != .promise { try connection.execute("RELEASE item", []) }
        actions.keepItem()
        sequences.keepItem()
    }

    func undoItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        actions.dropItem()
        sequences.dropItem()
        if let loss { throw loss }
        guard isolation != .promise else { return }
        try connection.execute("ROLLBACK TO item", [])
        try connection.execute("RELEASE item", [])
    }

    func takeActions() -> [@Sendable () -> Void] {
        actions.take()
    }

    func maintain() {
        checkpointer.afterGroup(logPages: connection.logPages, on: connection.handle)
    }

    // MARK: WriteScope

    func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
        try guarding { () throws(StorageError) in try connection.query(sql, parameters) }
    }

    func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row? {
        try guarding { () throws(StorageError) in try connection.first(sql, parameters) }
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws {
        if let loss { throw loss }
        do {
            try connection.forEach(sql, parameters, body)
        } catch {
            noteLoss(StorageError(any: error))
            throw error
        }
    }

    func execute(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Int {
        try guarding { () throws(StorageError) in try connection.execute(sql, parameters) }
    }

    func enqueue(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        _ = try execute(sql, parameters)
    }

    func enqueueForOneRow(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) {
        guard try execute(sql, parameters) == 1 else { throw .statement(detail: "not one row was changed") }
    }

    var isRemote: Bool { false }

    func advance(_ sequence: SequenceName, by step: Int64) throws(StorageError) -> Int64 {
        if !sequences.knows(sequence) {
            let row = try first("SELECT value FROM storage_sequence WHERE name = $1", [.text(sequence.name)])
            sequences.learn(sequence, try row?.integer(0) ?? 0)
        }
        return sequences.advance(sequence, by: step)
    }

    func writeSequences() throws(StorageError) {
        for (name, value) in sequences.changes {
            try connection.execute(
                """
                INSERT INTO storage_sequence (name, value) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(name.name), .integer(value)])
        }
        sequences.markWritten()
    }

    func afterCommit(_ action: @escaping @Sendable () -> Void) {
        actions.add(action)
    }

    func afterGroup(_ key: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
        actions.add(key, action)
    }

    // One process has the file: there is nobody to be told.
    func announce(_ topic: AnnouncementTopic, _ payload: String) {}

    // A statement may take as long as it takes.
    func expectLongStatements() throws(StorageError) {}

    private func guarding<T>(_ body: () throws(StorageError) -> T) throws(StorageError) -> T {
        if let loss { throw loss }
        do {
            return try body()
        } catch {
            itemFailure = itemFailure ?? error
            noteLoss(error)
            throw error
        }
    }

    private func noteLoss(_ error: StorageError) {
        if !connection.isInTransaction { loss = error }
    }
}
