import GRDBSQLite

/// One prepared statement. Used by its connection's thread alone.
final class SQLiteStatement {
    /// The statement as its user wrote it.
    let sql: String
    let pointer: OpaquePointer
    let parameterCount: Int
    let columnCount: Int
    let changesDatabase: Bool
    /// A statement whose rows are being read can't be started again meanwhile.
    var isBusy = false
    /// The connection's count of look-ups when it was last asked for.
    var lastUse = 0

    init(sql: String, pointer: OpaquePointer) {
        self.sql = sql
        self.pointer = pointer
        parameterCount = Int(sqlite3_bind_parameter_count(pointer))
        columnCount = Int(sqlite3_column_count(pointer))
        changesDatabase = sqlite3_stmt_readonly(pointer) == 0
    }

    deinit {
        sqlite3_finalize(pointer)
    }

    /// Binds `values` to `?1…?n`. The statement must be reset.
    func bind(_ values: [SQLValue]) throws(StorageError) {
        guard values.count == parameterCount else {
            throw .statement(detail: "\(parameterCount) parameters expected, \(values.count) given")
        }
        for index in values.indices {
            let position = Int32(index + 1)
            let code =
                switch values[index] {
                case .null: sqlite3_bind_null(pointer, position)
                case .integer(let value): sqlite3_bind_int64(pointer, position, value)
                case .real(let value): sqlite3_bind_double(pointer, position, value)
                case .text(let value): try bind(value, at: position)
                case .blob(let value): bind(value, at: position)
                }
            guard code == SQLITE_OK else { throw StorageError(sqlite: code, message: "binding $\(position)") }
        }
    }

    /// Makes one step.
    /// - Returns: whether a row is there to be read.
    func step() throws(StorageError) -> Bool {
        switch sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code:
            let message = sqlite3_db_handle(pointer).flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) }
            throw StorageError(sqlite: code, message: message ?? "")
        }
    }

    /// Makes the statement ready for its next use.
    func reset() {
        sqlite3_reset(pointer)
        isBusy = false
    }

    /// The current row.
    func row() -> Row {
        Row(
            [SQLValue](unsafeUninitializedCapacity: columnCount) { buffer, count in
                for column in 0..<columnCount {
                    buffer.initializeElement(at: column, to: value(Int32(column)))
                }
                count = columnCount
            })
    }

    private func value(_ column: Int32) -> SQLValue {
        switch sqlite3_column_type(pointer, column) {
        case SQLITE_INTEGER:
            return .integer(sqlite3_column_int64(pointer, column))
        case SQLITE_FLOAT:
            return .real(sqlite3_column_double(pointer, column))
        case SQLITE_TEXT:
            guard let text = sqlite3_column_text(pointer, column) else { return .text("") }
            let count = Int(sqlite3_column_bytes(pointer, column))
            return .text(String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            let bytes = sqlite3_column_blob(pointer, column)
            let count = Int(sqlite3_column_bytes(pointer, column))
            return .blob([UInt8](UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)))
        default:
            return .null
        }
    }

    // SQLITE_TRANSIENT: SQLite copies the bytes before the call returns.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    private func bind(_ text: String, at position: Int32) throws(StorageError) -> Int32 {
        var text = text
        let code: Int32? = text.withUTF8 { utf8 in
            if utf8.contains(0) { return nil }
            return utf8.withMemoryRebound(to: CChar.self) { characters in
                sqlite3_bind_text64(
                    pointer, position, characters.baseAddress, UInt64(characters.count), Self.transient,
                    UInt8(SQLITE_UTF8))
            }
        }
        guard let code else { throw .invalidParameter(index: Int(position), reason: "a text with U+0000") }
        return code
    }

    private func bind(_ blob: [UInt8], at position: Int32) -> Int32 {
        // A null pointer would bind NULL, and an empty array may have one.
        if blob.isEmpty { return sqlite3_bind_zeroblob(pointer, position, 0) }
        return blob.withUnsafeBytes { bytes in
            sqlite3_bind_blob64(pointer, position, bytes.baseAddress, UInt64(bytes.count), Self.transient)
        }
    }
}
