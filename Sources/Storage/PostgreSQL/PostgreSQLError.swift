import CPostgreSQL

extension StorageError {
    /// What a failed result means, by its SQLSTATE (PostgreSQL's manual, appendix A).
    init(postgreSQL result: OpaquePointer?) {
        func field(_ code: Int) -> String? {
            PQresultErrorField(result, Int32(code)).map { String(cString: $0) }
        }
        self.init(
            sqlState: field(DiagnosticField.sqlState) ?? "", message: field(DiagnosticField.message) ?? "no answer",
            constraint: field(DiagnosticField.constraint))
    }

    /// What an SQLSTATE means. `message` is the server's primary message, which holds no values of rows.
    init(sqlState: String, message: String, constraint: String? = nil) {
        let detail = sqlState.isEmpty ? message : "\(message) (\(sqlState))"
        switch sqlState {
        case "40001", "40P01", "55P03": self = .busy
        case "57014": self = .timedOut
        case CopyMark.heldState: self = .held
        case "53100": self = .full
        case "08P01": self = .statement(detail: detail)
        // A result type that changed under a prepared statement: the schema was migrated by another process.
        case "0A000" where message.contains("cached plan"): self = .busy
        // Read-only: the server has become a follower, and the next connection finds the one that leads.
        case "25006" where message.contains("recovery"): self = .unavailable(detail: detail)
        case "22021", "22P05": self = .invalidParameter(index: 0, reason: detail)
        case "42804", "22P02", "22P03", "22003":
            self = .constraintViolation(.type, detail: detail)
        case "58030", "25P03", "25P04": self = .unavailable(detail: detail)
        case "XX001", "XX002": self = .corrupt(detail: detail)
        default: self = Self.byClass(sqlState, detail, constraint)
        }
    }

    private static func byClass(_ sqlState: String, _ detail: String, _ constraint: String?) -> StorageError {
        switch sqlState.prefix(2) {
        case "23":
            let named = constraint.map { "\(detail): \($0)" } ?? detail
            return .constraintViolation(ConstraintKind(sqlState: sqlState, constraint: constraint), detail: named)
        // Connection lost or refused; not authorized; no such database; no resources; being shut down; broken.
        case "", "08", "28", "3D", "53", "57", "58": return .unavailable(detail: detail)
        default: return .statement(detail: detail)
        }
    }
}

/// The codes of `PQresultErrorField`: macros of characters, which Swift doesn't import.
private enum DiagnosticField {
    static let sqlState = Int(UInt8(ascii: "C"))
    static let message = Int(UInt8(ascii: "M"))
    static let constraint = Int(UInt8(ascii: "n"))
}

extension StorageError.ConstraintKind {
    fileprivate init(sqlState: String, constraint: String?) {
        switch sqlState {
        case "23502": self = .notNull
        case "23503": self = .foreignKey
        // The name that PostgreSQL gives by itself: the schema names none.
        case "23505": self = constraint?.hasSuffix("_pkey") == true ? .primaryKey : .unique
        case "23514": self = .check
        default: self = .other
        }
    }
}
