import GRDBSQLite

/// The writing connection as the committer drives it, and the scope its bodies see.
final class SQLiteWriter: WriteConnection, WriteScope {
    private let connection: SQLiteConnection
    private let checkpointer: SQLiteCheckpointer
    private var sequences: [SequenceName: Int64] = [:]
    /// Why SQLite has given up the transaction (a full disk, say). From then on nothing may run: it would be committed
    /// by itself.
    private var loss: StorageError?
    private var actions: [@Sendable () -> Void] = []
    private var groupActions: [(key: ObjectIdentifier, action: @Sendable () -> Void)] = []
    private var itemActions: [@Sendable () -> Void] = []
    private var itemGroupActions: [(key: ObjectIdentifier, action: @Sendable () -> Void)] = []

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
        for (name, value) in sequences {
            try connection.execute(
                """
                INSERT INTO storage_sequence (name, value) VALUES ($1, $2)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(name.name), .integer(value)])
        }
        try connection.execute("COMMIT", [])
        sequences = [:]
    }

    func rollback() {
        if connection.isInTransaction { _ = try? connection.execute("ROLLBACK", []) }
        loss = nil
        sequences = [:]
        actions = []
        groupActions = []
        itemActions = []
        itemGroupActions = []
    }

    func beginItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        if isolation == .savepoint { try connection.execute("SAVEPOINT item", []) }
        connection.hasChanged = false
    }

    func endItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        if let loss { throw loss }
        if isolation == .savepoint { try connection.execute("RELEASE item", []) }
        actions.append(contentsOf: itemActions)
        itemActions.removeAll(keepingCapacity: true)
        for (key, action) in itemGroupActions where !groupActions.contains(where: { $0.key == key }) {
            groupActions.append((key, action))
        }
        itemGroupActions.removeAll(keepingCapacity: true)
    }

    func undoItem(_ isolation: PendingWrite.Isolation) throws(StorageError) {
        itemActions.removeAll(keepingCapacity: true)
        itemGroupActions.removeAll(keepingCapacity: true)
        if let loss { throw loss }
        guard isolation == .savepoint else { return }
        try connection.execute("ROLLBACK TO item", [])
        try connection.execute("RELEASE item", [])
    }

    func takeActions() -> [@Sendable () -> Void] {
        defer {
            actions = []
            groupActions = []
        }
        return actions + groupActions.map(\.action)
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

    func advance(_ sequence: SequenceName, by step: Int64) throws(StorageError) -> Int64 {
        var value = sequences[sequence]
        if value == nil {
            let row = try first(
                "SELECT value FROM storage_sequence WHERE name = $1", [.text(sequence.name)])
            value = try row?.integer(0)
        }
        let next = (value ?? 0) + max(step, 1)
        sequences[sequence] = next
        return next
    }

    func afterCommit(_ action: @escaping @Sendable () -> Void) {
        itemActions.append(action)
    }

    func afterGroup(_ key: ObjectIdentifier, _ action: @escaping @Sendable () -> Void) {
        guard !itemGroupActions.contains(where: { $0.key == key }) else { return }
        itemGroupActions.append((key, action))
    }

    private func guarding<T>(_ body: () throws(StorageError) -> T) throws(StorageError) -> T {
        if let loss { throw loss }
        do {
            return try body()
        } catch {
            noteLoss(error)
            throw error
        }
    }

    private func noteLoss(_ error: StorageError) {
        if !connection.isInTransaction { loss = error }
    }
}
