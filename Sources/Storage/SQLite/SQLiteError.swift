import GRDBSQLite

extension StorageError {
    /// What an extended result code of SQLite means.
    init(sqlite code: Int32, message: String) {
        switch code & 0xff {
        case SQLITE_CONSTRAINT where message == CopyMark.heldMessage:
            self = .held
        case SQLITE_CONSTRAINT:
            self = .constraintViolation(ConstraintKind(sqlite: code), detail: message)
        case SQLITE_FULL:
            self = .full
        case SQLITE_BUSY, SQLITE_LOCKED:
            self = .busy
        case SQLITE_INTERRUPT:
            self = .timedOut
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            self = .corrupt(detail: message)
        case SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_NOMEM, SQLITE_PERM, SQLITE_AUTH, SQLITE_PROTOCOL, SQLITE_NOLFS:
            self = .unavailable(detail: "\(message) (SQLite \(code))")
        default:
            self = .statement(detail: "\(message) (SQLite \(code))")
        }
    }
}

extension StorageError.ConstraintKind {
    fileprivate init(sqlite code: Int32) {
        // The extended codes are macros of expressions, which Swift doesn't import: SQLITE_CONSTRAINT | (n << 8).
        switch code >> 8 {
        case 1: self = .check
        case 3: self = .foreignKey
        case 5: self = .notNull
        case 6, 10: self = .primaryKey
        case 8: self = .unique
        case 12: self = .type
        default: self = .other
        }
    }
}
