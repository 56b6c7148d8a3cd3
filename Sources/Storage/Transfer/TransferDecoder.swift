/// Reads what `TransferWriter` wrote, as it comes, and checks every digest.
///
/// Total: any bytes give elements or an error. Memory is bounded by one frame (257 MiB), and grows only as its bytes
/// come. Trailing bytes, tables out of order and rows that don't fit their table are errors.
package struct TransferDecoder: Sendable {
    /// What comes.
    package enum Element: Sendable, Hashable {
        /// A table begins.
        case table(TransferTable)
        /// Some rows of it, in the order of the key; never empty.
        case rows([[SQLValue]])
        /// It ends; its digest was right.
        case tableEnd(TableSummary)
        /// All have come.
        case end(tableCount: Int)
        /// In a round of a copy, before the rows of a table: keys of rows that were changed; never empty.
        case keys([[SQLValue]])
        /// In a round of a copy, after the end: what a table holds.
        case summary(TableSummary)
    }

    private static let headBytes = 5
    /// Consumed bytes are dropped once there are so many.
    private static let slackBytes = 1 << 20

    private var buffer: [UInt8] = []
    private var position = 0
    private var table: TransferTable?
    private var digest: TableDigest?
    private var lastName: String?
    private var tableCount = 0
    private var isOver = false
    private let isRound: Bool

    package init() {
        isRound = false
    }

    /// - Parameter isRound: whether it reads a round of a copy (`CopyRound`).
    init(isRound: Bool) {
        self.isRound = isRound
    }

    /// Takes the next bytes, however they are cut.
    package mutating func append(_ bytes: [UInt8]) {
        if position > Self.slackBytes || position == buffer.count {
            buffer.removeFirst(position)
            position = 0
        }
        buffer += bytes
    }

    /// The next element, or nil when more bytes are needed.
    package mutating func next() throws(TransferError) -> Element? {
        guard buffer.count - position >= Self.headBytes else {
            if isOver, position < buffer.count { throw .malformed("something follows the end") }
            return nil
        }
        guard let kind = TransferFrame.Kind(rawValue: buffer[position]) else { throw .malformed("an unknown frame") }
        guard isOver == (kind == .summary) else { throw .malformed("something follows the end") }
        var reader = TransferReader(bytes: buffer[...], position: position + 1)
        let count = try reader.count32(max: TransferFrame.sizeBytesMax)
        guard buffer.count - reader.position >= count else { return nil }
        let body = try reader.bytes(count)
        position = reader.position
        switch kind {
        case .table: return try begin(body)
        case .rows:
            guard let table else { throw .malformed("rows outside a table") }
            digest?.update(body.dropFirst(4))
            let rows = try rows(table.columns.map(\.kind), body)
            digest?.count(rows.count)
            return .rows(rows)
        case .keys:
            guard isRound, let table else { throw .malformed("an unknown frame") }
            return .keys(try rows(table.key.map { table.columns[$0].kind }, body))
        case .summary:
            guard isRound else { throw .malformed("something follows the end") }
            return try summary(body)
        case .tableEnd: return try endTable(body)
        case .end: return try end(body)
        }
    }

    /// To be called when no more bytes come.
    /// - Throws: `.truncated` unless the end has been read.
    package func finish() throws(TransferError) {
        guard isOver, position == buffer.count else { throw .truncated }
    }

    private mutating func begin(_ body: ArraySlice<UInt8>) throws(TransferError) -> Element {
        guard table == nil else { throw .malformed("a table inside another") }
        let next = try TransferFrame.table(body)
        if let lastName, !lastName.utf8.lexicographicallyPrecedes(next.name.utf8) {
            throw .malformed("tables out of order")
        }
        table = next
        digest = TableDigest(next)
        lastName = next.name
        return .table(next)
    }

    private func rows(
        _ kinds: [TransferTable.Kind], _ body: ArraySlice<UInt8>
    ) throws(TransferError) -> [[SQLValue]] {
        var reader = TransferReader(bytes: body, position: body.startIndex)
        // A row has 4 bytes of length at least.
        let count = try reader.count32(max: body.count / 4)
        guard count > 0 else { throw .malformed("a group without rows") }
        var rows: [[SQLValue]] = []
        rows.reserveCapacity(count)
        for _ in 0..<count { rows.append(try RowCodec.row(kinds, in: body, at: &reader.position)) }
        guard reader.position == body.endIndex else { throw .malformed("a group of another length") }
        return rows
    }

    private func summary(_ body: ArraySlice<UInt8>) throws(TransferError) -> Element {
        var reader = TransferReader(bytes: body, position: body.startIndex)
        let rowCount = Int64(bitPattern: try reader.word64())
        let digest = Array(try reader.bytes(32))
        guard let name = String(validating: body[reader.position...], as: UTF8.self) else { throw .malformed("a name") }
        return .summary(TableSummary(table: name, rowCount: rowCount, digest: digest))
    }

    private mutating func endTable(_ body: ArraySlice<UInt8>) throws(TransferError) -> Element {
        guard let table, let summary = digest?.summary else { throw .malformed("an end without a table") }
        var reader = TransferReader(bytes: body, position: body.startIndex)
        let rowCount = Int64(bitPattern: try reader.word64())
        guard body.endIndex - reader.position == 32 else { throw .malformed("a digest") }
        guard rowCount == summary.rowCount, body[reader.position...].elementsEqual(summary.digest) else {
            throw .digest(table: table.name)
        }
        self.table = nil
        tableCount += 1
        return .tableEnd(summary)
    }

    private mutating func end(_ body: ArraySlice<UInt8>) throws(TransferError) -> Element {
        var reader = TransferReader(bytes: body, position: body.startIndex)
        let count = try reader.count32(max: Int.max)
        guard table == nil, count == tableCount, reader.position == body.endIndex else {
            throw .malformed("tables are missing")
        }
        isOver = true
        return .end(tableCount: count)
    }
}
