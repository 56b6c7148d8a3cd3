/// Takes what `TransferWriter` wrote apart without looking into rows, so that they can be kept in other pieces and put
/// together again.
///
/// Total: any bytes give elements or an error. What rows hold is checked when they are loaded.
package struct TransferRows: Sendable {
    /// What comes.
    package enum Element: Sendable, Hashable {
        /// A table begins; its name and the description to be handed back.
        case table(name: String, description: [UInt8])
        /// Rows of it, each with its length before it.
        case rows([ArraySlice<UInt8>])
        /// It ends.
        case tableEnd(TableSummary)
        /// All have come.
        case end(tableCount: Int)
    }

    private static let headBytes = 5

    private var buffer: [UInt8] = []
    private var position = 0
    private var table: String?

    package init() {}

    /// Takes the next bytes, however they are cut.
    package mutating func append(_ bytes: [UInt8]) {
        buffer.removeFirst(position)
        position = 0
        buffer += bytes
    }

    /// The next element, or nil when more bytes are needed.
    package mutating func next() throws(TransferError) -> Element? {
        guard buffer.count - position >= Self.headBytes else { return nil }
        guard let kind = TransferFrame.Kind(rawValue: buffer[position]) else { throw .malformed("an unknown frame") }
        var reader = TransferReader(bytes: buffer[...], position: position + 1)
        let count = try reader.count32(max: TransferFrame.sizeBytesMax)
        guard buffer.count - reader.position >= count else { return nil }
        let body = try reader.bytes(count)
        position = reader.position
        switch kind {
        case .table:
            let name = try TransferFrame.table(body).name
            table = name
            return .table(name: name, description: Array(body))
        case .rows: return .rows(try Self.split(body))
        case .tableEnd: return .tableEnd(try summary(body))
        case .end:
            var reader = TransferReader(bytes: body, position: body.startIndex)
            return .end(tableCount: try reader.count32(max: Int.max))
        case .keys, .summary: throw .malformed("a frame of a copy")
        }
    }

    private static func split(_ body: ArraySlice<UInt8>) throws(TransferError) -> [ArraySlice<UInt8>] {
        let count = try TransferReader.count(body)
        let rows = try rows(in: body.dropFirst(4))
        guard rows.count == count else { throw .malformed("a group of another number of rows") }
        return rows
    }

    /// Cuts bytes into rows, each with its length before it.
    package static func rows(in bytes: ArraySlice<UInt8>) throws(TransferError) -> [ArraySlice<UInt8>] {
        var rows: [ArraySlice<UInt8>] = []
        var reader = TransferReader(bytes: bytes, position: bytes.startIndex)
        while reader.position < bytes.endIndex {
            let start = reader.position
            _ = try reader.bytes(try reader.count32(max: RowCodec.rowSizeBytesMax))
            rows.append(bytes[start..<reader.position])
        }
        return rows
    }

    private func summary(_ body: ArraySlice<UInt8>) throws(TransferError) -> TableSummary {
        guard let table, body.count == 40 else { throw .malformed("an end without a table") }
        var reader = TransferReader(bytes: body, position: body.startIndex)
        let rowCount = Int64(bitPattern: try reader.word64())
        return TableSummary(table: table, rowCount: rowCount, digest: Array(body.suffix(32)))
    }

    // MARK: Putting together

    /// The bytes that begin a table.
    package static func table(_ description: [UInt8]) -> [UInt8] { TransferFrame.frame(.table, description) }

    /// The bytes of some rows, each with its length before it; empty for none.
    package static func group(_ rows: [UInt8]) throws(TransferError) -> [UInt8] {
        let count = try self.rows(in: rows[...]).count
        return count == 0 ? [] : TransferFrame.rows(count: count, rows)
    }

    /// The bytes that end a table.
    package static func tableEnd(_ summary: TableSummary) -> [UInt8] { TransferFrame.tableEnd(summary) }

    /// The bytes that end everything.
    package static func end(tableCount: Int) -> [UInt8] { TransferFrame.end(count: tableCount) }
}

extension TransferReader {
    fileprivate static func count(_ body: ArraySlice<UInt8>) throws(TransferError) -> Int {
        var reader = TransferReader(bytes: body, position: body.startIndex)
        return try reader.count32(max: body.count / 4)
    }
}

extension TableSummary {
    /// What was written down of a table earlier.
    /// - Parameter digest: 32 bytes.
    package static func remembered(table: String, rowCount: Int64, digest: [UInt8]) -> TableSummary {
        TableSummary(table: table, rowCount: rowCount, digest: digest)
    }
}
