extension SQLDialect {
    /// Rewrites `$n` as `?n`: SQLite takes `$1` for a name and numbers names in order of appearance.
    ///
    /// Text in quotes is left alone. SQL with comments is not expected.
    static func sqlitePlaceholders(_ sql: String) -> String {
        var result: [UInt8] = []
        result.reserveCapacity(sql.utf8.count)
        var quote: UInt8?
        for byte in sql.utf8 {
            if byte == quote {
                quote = nil
            } else if quote == nil, byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                quote = byte
            }
            result.append(quote == nil && byte == UInt8(ascii: "$") ? UInt8(ascii: "?") : byte)
        }
        return String(decoding: result, as: UTF8.self)
    }
}
