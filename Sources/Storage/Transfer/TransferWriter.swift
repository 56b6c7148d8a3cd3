/// Writes tables as bytes, from one consistent state: for a copy, a backup, a comparison. Memory is bounded by one row.
///
/// The bytes are frames: a byte that names the kind, 4 bytes of length, and
/// - `1` a table begins: its description; tables come by name in the order of its bytes;
/// - `2` rows: how many (4 bytes), then the rows (`RowCodec`), in the order of the key;
/// - `3` the table ends: how many rows it had (8 bytes) and the digest of all (`TableSummary`);
/// - `4` all tables have come: how many (4 bytes). Nothing follows.
package enum TransferWriter {
    /// Rows are gathered until they have so many bytes.
    private static let groupSizeBytes = 64 << 10

    /// Writes every table of the state that `scope` sees.
    ///
    /// - Parameter summarised: told what each table held, once it is written.
    /// - Returns: what each table held.
    @discardableResult
    package static func write(
        _ scope: any ReadScope, _ dialect: SQLDialect, to sink: any ByteSink,
        summarised: (TableSummary) -> Void = { _ in }
    ) throws -> [TableSummary] {
        let tables = try TableCatalog.tables(in: scope, dialect)
        var summaries: [TableSummary] = []
        for table in tables {
            let summary = try write(table, scope, to: sink)
            summaries.append(summary)
            summarised(summary)
        }
        try sink.write(TransferFrame.end(count: tables.count))
        return summaries
    }

    /// Writes one table.
    static func write(
        _ table: TransferTable, _ scope: any ReadScope, to sink: any ByteSink
    ) throws -> TableSummary {
        var description: [UInt8] = []
        TransferFrame.append(table, to: &description)
        try sink.write(TransferFrame.frame(.table, description))
        let summary = try forEachGroup(of: table, table.selectAll, [], scope) { count, rows in
            try sink.write(TransferFrame.rows(count: count, rows))
        }
        try sink.write(TransferFrame.tableEnd(summary))
        return summary
    }

    /// What a table holds, without its rows going anywhere.
    ///
    /// - Parameter alive: called often meanwhile.
    package static func summary(
        of table: TransferTable, in scope: any ReadScope, alive: () -> Void = {}
    ) throws -> TableSummary {
        try forEachGroup(of: table, table.selectAll, [], scope) { _, _ in alive() }
    }

    /// Asks for rows of a table and hands them out in groups.
    static func forEachGroup(
        of table: TransferTable, _ sql: String, _ parameters: [SQLValue], _ scope: any ReadScope,
        _ take: (_ count: Int, _ rows: [UInt8]) throws -> Void
    ) throws -> TableSummary {
        var digest = TableDigest(table)
        var group: [UInt8] = []
        var count = 0
        func flush() throws {
            guard count > 0 else { return }
            digest.update(group[...])
            digest.count(count)
            try take(count, group)
            group.removeAll(keepingCapacity: true)
            count = 0
        }
        try scope.forEach(sql, parameters) { row in
            try RowCodec.append(row.values, of: table, to: &group)
            count += 1
            if group.count >= groupSizeBytes { try flush() }
            return true
        }
        try flush()
        return digest.summary
    }
}

/// The frames of `TransferWriter`.
enum TransferFrame {
    enum Kind: UInt8 {
        case table = 1
        case rows = 2
        case tableEnd = 3
        case end = 4
        /// Of a round of a copy alone: keys of rows that were changed.
        case keys = 5
        /// Of a round of a copy alone: what a table holds.
        case summary = 6
    }

    /// Bytes of a frame: a group of rows and the one that fills it.
    static let sizeBytesMax = RowCodec.rowSizeBytesMax + (1 << 20)

    static func frame(_ kind: Kind, _ body: [UInt8]) -> [UInt8] {
        var bytes = [kind.rawValue]
        bytes.reserveCapacity(body.count + 5)
        RowCodec.append32(body.count, to: &bytes)
        return bytes + body
    }

    static func rows(count: Int, _ rows: [UInt8], kind: Kind = .rows) -> [UInt8] {
        var bytes = [kind.rawValue]
        bytes.reserveCapacity(rows.count + 9)
        RowCodec.append32(rows.count + 4, to: &bytes)
        RowCodec.append32(count, to: &bytes)
        return bytes + rows
    }

    static func tableEnd(_ summary: TableSummary) -> [UInt8] {
        var body: [UInt8] = []
        RowCodec.append64(UInt64(bitPattern: summary.rowCount), to: &body)
        return frame(.tableEnd, body + summary.digest)
    }

    static func summary(_ summary: TableSummary) -> [UInt8] {
        var body: [UInt8] = []
        RowCodec.append64(UInt64(bitPattern: summary.rowCount), to: &body)
        return frame(.summary, body + summary.digest + Array(summary.table.utf8))
    }

    static func end(count: Int) -> [UInt8] {
        var body: [UInt8] = []
        RowCodec.append32(count, to: &body)
        return frame(.end, body)
    }

    /// Appends the description of a table.
    static func append(_ table: TransferTable, to bytes: inout [UInt8]) {
        func append(_ name: String) {
            bytes.append(UInt8(truncatingIfNeeded: name.utf8.count))
            bytes += name.utf8
        }
        append(table.name)
        bytes.append(UInt8(truncatingIfNeeded: table.columns.count))
        for column in table.columns {
            append(column.name)
            bytes.append(column.kind.rawValue)
        }
        bytes.append(UInt8(truncatingIfNeeded: table.key.count))
        for position in table.key { bytes.append(UInt8(truncatingIfNeeded: position)) }
    }

    static func table(_ bytes: ArraySlice<UInt8>) throws(TransferError) -> TransferTable {
        var reader = TransferReader(bytes: bytes, position: bytes.startIndex)
        func name() throws(TransferError) -> String {
            let bytes = try reader.bytes(Int(try reader.byte()))
            guard let name = String(validating: bytes, as: UTF8.self) else { throw .malformed("a name") }
            return name
        }
        let table = try name()
        var columns: [TransferTable.Column] = []
        for _ in 0..<(try reader.byte()) {
            let column = try name()
            guard let kind = TransferTable.Kind(rawValue: try reader.byte()) else { throw .malformed("a column") }
            columns.append(.init(column, kind))
        }
        var key: [Int] = []
        for _ in 0..<(try reader.byte()) { key.append(Int(try reader.byte())) }
        guard reader.position == bytes.endIndex else { throw .malformed("the description of a table") }
        return try TransferTable(name: table, columns: columns, key: key)
    }
}
