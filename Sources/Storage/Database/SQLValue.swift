/// One value going into or coming out of SQL: the common subset of SQLite's and PostgreSQL's types.
///
/// Booleans are integers 0 and 1; moments are integers (microseconds since 1970); CIDs and keys are blobs.
package enum SQLValue: Sendable, Hashable {
    /// SQL `NULL`.
    case null
    /// `BIGINT`.
    case integer(Int64)
    /// `DOUBLE PRECISION`.
    case real(Double)
    /// `TEXT`, UTF-8, compared bytewise. Must not contain U+0000, which PostgreSQL can't hold.
    case text(String)
    /// `BYTEA`.
    case blob([UInt8])
}

extension SQLValue {
    /// A text, or `NULL`.
    package static func text(optional value: String?) -> SQLValue { value.map(SQLValue.text) ?? .null }

    /// An integer, or `NULL`.
    package static func integer(optional value: Int64?) -> SQLValue { value.map(SQLValue.integer) ?? .null }

    /// A blob, or `NULL`.
    package static func blob(optional value: [UInt8]?) -> SQLValue { value.map(SQLValue.blob) ?? .null }

    /// An integer that fits the platform's `Int`.
    package static func integer(_ value: Int) -> SQLValue { .integer(Int64(value)) }

    /// 1 for true, 0 for false: the common subset has no boolean type.
    package static func boolean(_ value: Bool) -> SQLValue { .integer(value ? 1 : 0) }

    /// The kind of the value, for messages: `null`, `integer`, `real`, `text` or `blob`.
    var kind: String {
        switch self {
        case .null: "null"
        case .integer: "integer"
        case .real: "real"
        case .text: "text"
        case .blob: "blob"
        }
    }
}

extension SQLValue: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByNilLiteral,
    ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(stringLiteral value: String) { self = .text(value) }
    package init(nilLiteral: ()) { self = .null }
    package init(floatLiteral value: Double) { self = .real(value) }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }
}
