/// One row of an answer: its values by position, counted from 0 in the order of the `SELECT` list.
///
/// Each reader throws `StorageError.decoding` when the column isn't there or holds another type.
package struct Row: Sendable, Hashable {
    /// The values, in the order of the `SELECT` list.
    package let values: [SQLValue]

    package init(_ values: [SQLValue]) {
        self.values = values
    }

    /// The number of columns.
    package var count: Int { values.count }

    /// The value at `column`.
    package func value(_ column: Int) throws(StorageError) -> SQLValue {
        guard values.indices.contains(column) else {
            throw .decoding(column: column, expected: "a column", found: "\(values.count) columns")
        }
        return values[column]
    }

    /// The integer at `column`.
    package func integer(_ column: Int) throws(StorageError) -> Int64 {
        guard case .integer(let integer) = try value(column) else { throw mismatch(column, "integer") }
        return integer
    }

    /// The integer at `column` as a truth value: 0 is false, all else is true.
    package func boolean(_ column: Int) throws(StorageError) -> Bool {
        try integer(column) != 0
    }

    /// The number at `column`; an integer is widened.
    package func real(_ column: Int) throws(StorageError) -> Double {
        switch try value(column) {
        case .real(let real): return real
        case .integer(let integer): return Double(integer)
        default: throw mismatch(column, "real")
        }
    }

    /// The text at `column`.
    package func text(_ column: Int) throws(StorageError) -> String {
        guard case .text(let text) = try value(column) else { throw mismatch(column, "text") }
        return text
    }

    /// The bytes at `column`.
    package func blob(_ column: Int) throws(StorageError) -> [UInt8] {
        guard case .blob(let blob) = try value(column) else { throw mismatch(column, "blob") }
        return blob
    }

    /// Whether the value at `column` is `NULL`.
    package func isNull(_ column: Int) throws(StorageError) -> Bool {
        try value(column) == .null
    }

    /// The integer at `column`, or nil for `NULL`.
    package func optionalInteger(_ column: Int) throws(StorageError) -> Int64? {
        try isNull(column) ? nil : integer(column)
    }

    /// The number at `column`, or nil for `NULL`.
    package func optionalReal(_ column: Int) throws(StorageError) -> Double? {
        try isNull(column) ? nil : real(column)
    }

    /// The text at `column`, or nil for `NULL`.
    package func optionalText(_ column: Int) throws(StorageError) -> String? {
        try isNull(column) ? nil : text(column)
    }

    /// The bytes at `column`, or nil for `NULL`.
    package func optionalBlob(_ column: Int) throws(StorageError) -> [UInt8]? {
        try isNull(column) ? nil : blob(column)
    }

    private func mismatch(_ column: Int, _ expected: String) -> StorageError {
        .decoding(column: column, expected: expected, found: values[column].kind)
    }
}
