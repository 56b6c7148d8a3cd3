import GRDB
import GRDBSQLite

/// One connection to a SQLite file, used by one thread alone.
///
/// GRDB opens, configures and closes it; statements are prepared, bound and stepped through SQLite's own interface,
/// because the committer's path pays for every microsecond.
final class SQLiteConnection {
    /// Statements kept prepared; past this the least recently used quarter is dropped.
    static let statementsMax = 256

    let handle: OpaquePointer
    private var statements: [String: SQLiteStatement] = [:]
    /// The last statement found for a text at some address: most are literals, which have one address each, and then
    /// neither the text nor its hash is looked at.
    private var recent: [SQLiteStatement?] = Array(repeating: nil, count: 256)
    private var lookups = 0
    /// Whether a statement that may change the database has run since this was last set to false.
    var hasChanged = false

    /// Pages in the write-ahead log after the last commit; kept by `countLogPages`.
    private(set) var logPages = 0

    init(handle: OpaquePointer) {
        self.handle = handle
        // GRDB's own observers would only cost time: its statements are not used from here on.
        sqlite3_set_authorizer(handle, nil, nil)
        _ = sqlite3_commit_hook(handle, nil, nil)
        _ = sqlite3_rollback_hook(handle, nil, nil)
    }

    /// Whether a transaction is open.
    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    /// Has every commit tell the size of the log. The connection must outlive its last commit.
    func countLogPages() {
        _ = sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                guard let context else { return SQLITE_OK }
                Unmanaged<SQLiteConnection>.fromOpaque(context).takeUnretainedValue().logPages = Int(pages)
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Drops all prepared statements, which would keep the connection from closing.
    func finalizeStatements() {
        statements = [:]
        recent = Array(repeating: nil, count: recent.count)
    }

    /// Runs a statement and returns the number of rows it changed.
    @discardableResult
    func execute(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Int {
        let statement = try start(sql, parameters)
        defer { statement.reset() }
        while try step(statement) {}
        return Int(sqlite3_changes(handle))
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
        let statement = try start(sql, parameters)
        defer { statement.reset() }
        var rows: [Row] = []
        while try step(statement) { rows.append(statement.row()) }
        return rows
    }

    func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row? {
        let statement = try start(sql, parameters)
        defer { statement.reset() }
        guard try step(statement) else { return nil }
        let row = statement.row()
        // `INSERT … RETURNING` is complete only when it has run to its end.
        if statement.changesDatabase { while try step(statement) {} }
        return row
    }

    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws {
        let statement = try start(sql, parameters)
        defer { statement.reset() }
        while try step(statement) {
            guard try body(statement.row()) else { return }
        }
    }

    /// Finds or prepares the statement and binds its parameters.
    private func start(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> SQLiteStatement {
        let statement = try statement(for: sql)
        try statement.bind(parameters)
        statement.isBusy = true
        return statement
    }

    private func step(_ statement: SQLiteStatement) throws(StorageError) -> Bool {
        // A statement that fails has changed nothing: SQLite undoes it by itself.
        let hasRow = try statement.step()
        if statement.changesDatabase { hasChanged = true }
        return hasRow
    }

    private func statement(for sql: String) throws(StorageError) -> SQLiteStatement {
        lookups += 1
        let address = sql.utf8.withContiguousStorageIfAvailable { UInt(bitPattern: $0.baseAddress) } ?? 0
        let slot = Int((address >> 3 ^ address >> 11) & UInt(recent.count - 1))
        let statement: SQLiteStatement
        // Comparing two strings that share their storage compares no more than that.
        if let found = recent[slot], found.sql == sql {
            statement = found
        } else if let found = statements[sql] {
            statement = found
        } else {
            statement = try prepare(sql)
            if statements.count >= Self.statementsMax { evict() }
            statements[sql] = statement
        }
        // Asked again while its rows are being read: this one use gets a statement of its own.
        if statement.isBusy { return try prepare(sql) }
        recent[slot] = statement
        statement.lastUse = lookups
        return statement
    }

    private func prepare(_ sql: String) throws(StorageError) -> SQLiteStatement {
        var pointer: OpaquePointer?
        var text = SQLDialect.sqlitePlaceholders(sql)
        var trailing = false
        let code = text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { characters in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(
                    handle, characters.baseAddress, Int32(characters.count), UInt32(SQLITE_PREPARE_PERSISTENT),
                    &pointer, &tail)
                if let tail, let base = characters.baseAddress {
                    trailing = characters[(tail - base)...].contains { $0 > 32 && $0 != 59 }
                }
                return code
            }
        }
        guard code == SQLITE_OK else {
            throw StorageError(sqlite: code, message: String(cString: sqlite3_errmsg(handle)))
        }
        guard let pointer else { throw .statement(detail: "an empty statement") }
        let statement = SQLiteStatement(sql: sql, pointer: pointer)
        guard !trailing else { throw .statement(detail: "more than one statement") }
        return statement
    }

    private func evict() {
        let idle = statements.filter { !$0.value.isBusy }.sorted { $0.value.lastUse < $1.value.lastUse }
        for (sql, _) in idle.prefix(Self.statementsMax / 4) { statements[sql] = nil }
        recent = Array(repeating: nil, count: recent.count)
    }
}
