package import Base

/// Why the database, or something stored beside it, could not do what was asked.
package enum StorageError: Error, Sendable, Hashable {
    /// A constraint of the schema refused a row. `detail` names table and columns; it is for logs only.
    case constraintViolation(ConstraintKind, detail: String)
    /// The disk, or the size allowed to this database, is full. Nothing was changed.
    case full
    /// Another process held the database for longer than the busy timeout. May be tried again.
    case busy
    /// Too many writes or streams wait already. Nothing was changed; may be tried again.
    case overloaded
    /// This client's streams hold and wait for all that one client may. May be tried again.
    case shareExceeded
    /// A read ran past its time limit and was interrupted.
    case timedOut
    /// A stream's consumer took nothing for too long, or too little while others waited, or its snapshot kept the log of changes from being trimmed.
    case stalled
    /// The database is closed, or closing.
    case closed
    /// Writes are held for a moment, because the database is being moved; or for good, because it was. Nothing was changed.
    case held
    /// The database can't be reached, opened, read or written. May be tried again.
    case unavailable(detail: String)
    /// The connection was lost while the group was being committed: whether it is in the database can't be told. Trying
    /// again may do the same a second time.
    case outcomeUnknown
    /// The file is not a database, or is damaged.
    case corrupt(detail: String)
    /// A statement is wrong, unknown to the schema, or not allowed in this scope: a mistake in this program.
    case statement(detail: String)
    /// A value that the common subset of the engines can't hold, e.g. a text with U+0000. `index` counts from 1.
    case invalidParameter(index: Int, reason: String)
    /// A column holds another type than the reader expected: a mistake in this program, or an older schema.
    case decoding(column: Int, expected: String, found: String)

    /// Which rule of the schema was broken.
    package enum ConstraintKind: Sendable, Hashable {
        case primaryKey
        case unique
        case notNull
        case check
        case foreignKey
        /// A value of another type than the column's.
        case type
        case other
    }

    /// Whether, met while a database is being opened, it stays until somebody changes the address, the rights or the
    /// database itself.
    package var isLasting: Bool {
        switch self {
        case .corrupt, .statement, .invalidParameter, .decoding, .constraintViolation: true
        case .unavailable: PostgreSQLAddress.isLasting(self) || SQLiteFile.isLasting(self)
        case .full, .busy, .overloaded, .shareExceeded, .timedOut, .stalled, .closed, .held, .outcomeUnknown: false
        }
    }

    /// Whether the very same request may succeed a little later.
    package var isTransient: Bool {
        switch self {
        case .full, .busy, .overloaded, .shareExceeded, .timedOut, .stalled, .closed, .held, .unavailable,
            .outcomeUnknown:
            true
        case .constraintViolation, .corrupt, .statement, .invalidParameter, .decoding: false
        }
    }
}

extension StorageError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .full:
            WireFailure(
                status: 507, error: "InsufficientStorage", message: "The server has no room left. Nothing was changed.")
        case .shareExceeded:
            WireFailure(
                status: 429, error: "RateLimitExceeded",
                message: "Too many downloads of yours run at once. Please try again when one has ended.",
                headers: [.init(name: "Retry-After", value: "10")])
        case .busy, .overloaded, .timedOut, .stalled, .closed, .held, .unavailable, .outcomeUnknown:
            WireFailure(
                status: 503, error: "ServiceUnavailable", message: "The server is busy. Please try again shortly.",
                headers: [.init(name: "Retry-After", value: "1")])
        case .invalidParameter:
            WireFailure(
                status: 400, error: "InvalidRequest", message: "A text must not contain the character U+0000.")
        case .constraintViolation, .corrupt, .statement, .decoding:
            WireFailure(status: 500, error: "InternalServerError", message: "Internal Server Error")
        }
    }
}
