/// Why tables can't be read, carried or loaded.
package enum TransferError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A table that the common subset of the engines doesn't describe.
    case unsuitable(table: String, reason: String)
    /// A row holds what one of the engines can't: a number that is none (NaN), or a value larger than the limit.
    case value(table: String, reason: String)
    /// The bytes are not what `TransferWriter` makes, or were changed.
    case malformed(String)
    /// The bytes end too early.
    case truncated
    /// The rows of a table are not those its digest was made of.
    case digest(table: String)
    /// The tables of the database are not those that come.
    case otherTables(String)
    /// The database that is to be filled holds something already.
    case notEmpty(table: String)

    package var description: String {
        switch self {
        case .unsuitable(let table, let reason): "the table '\(table)' can't be copied: \(reason)"
        case .value(let table, let reason): "a row of '\(table)' can't be copied: \(reason)"
        case .malformed(let reason): "the copy of the tables is damaged: \(reason)"
        case .truncated: "the copy of the tables is not whole"
        case .digest(let table): "the rows of '\(table)' are not those that were written"
        case .otherTables(let reason): "the tables of the two databases differ: \(reason)"
        case .notEmpty(let table): "the database is not empty: '\(table)' has rows"
        }
    }
}
