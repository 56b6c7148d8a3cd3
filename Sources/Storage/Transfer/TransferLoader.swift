/// Fills an empty database, brought up to date by the same program, with the tables of another.
///
/// Everything comes along: sequences, the record of schema steps, the mark of the vault's key. Rows are written in
/// groups of bounded size, each durable by itself: a load that is broken off leaves a part, which `empty` removes.
package struct TransferLoader: Sendable {
    /// Rows of one group.
    private static let rowsMax = 512
    /// About so many bytes of values in a group.
    private static let sizeBytesMax = 1 << 20
    /// The record of schema steps has rows in every database.
    private static let bookkeeping = "storage_migration"

    private let database: any Database

    package init(_ database: any Database) {
        self.database = database
    }

    /// Checks that nothing is in the way, and makes room for the record of schema steps.
    /// - Throws: `TransferError.notEmpty` when a table has rows; storage errors.
    package func prepare() async throws {
        let dialect = database.dialect
        try await database.write { scope in
            for table in try TableCatalog.tables(in: scope, dialect) where table.name != Self.bookkeeping {
                guard try scope.first("SELECT 1 FROM \"\(table.name)\" LIMIT 1") == nil else {
                    throw TransferError.notEmpty(table: table.name)
                }
            }
            try scope.execute("DELETE FROM \(Self.bookkeeping)")
        }
    }

    /// Removes all rows of all tables.
    package func empty() async throws {
        let dialect = database.dialect
        let tables = try await database.read { try TableCatalog.tables(in: $0, dialect) }
        for table in tables {
            try await database.write { scope in
                try scope.expectLongStatements()
                try scope.execute("DELETE FROM \"\(table.name)\"")
            }
        }
    }

    /// Loads what a `TransferWriter` wrote. `prepare` comes first.
    ///
    /// - Parameter progress: told the table at work and its rows so far, often.
    /// - Returns: what each table that came held.
    /// - Throws: `TransferError` when the bytes are wrong or the tables others; storage errors. Some rows may be there.
    package func load<Bytes: AsyncSequence>(
        _ bytes: Bytes, progress: (_ table: String, _ rowCount: Int64) -> Void = { _, _ in }
    ) async throws -> [TableSummary] where Bytes.Element == [UInt8] {
        let dialect = database.dialect
        let expected = try await database.read { try TableCatalog.tables(in: $0, dialect) }
        var decoder = TransferDecoder()
        var summaries: [TableSummary] = []
        var table: TransferTable?
        var rowCount: Int64 = 0
        for try await chunk in bytes {
            decoder.append(chunk)
            while let element = try decoder.next() {
                switch element {
                case .table(let next):
                    try Self.check(next, expected)
                    (table, rowCount) = (next, 0)
                    progress(next.name, 0)
                case .rows(let rows):
                    guard let table else { throw TransferError.malformed("rows outside a table") }
                    try await insert(rows, into: table)
                    rowCount += Int64(rows.count)
                    progress(table.name, rowCount)
                case .tableEnd(let summary): summaries.append(summary)
                case .keys, .summary: throw TransferError.malformed("an unexpected frame")
                case .end:
                    guard summaries.count == expected.count else {
                        throw TransferError.otherTables("\(summaries.count) came, there are \(expected.count)")
                    }
                }
            }
        }
        try decoder.finish()
        return summaries
    }

    /// Adds rows, in as many groups as their size demands.
    func insert(_ rows: [[SQLValue]], into table: TransferTable) async throws {
        let sql = table.insert
        var start = 0
        while start < rows.count {
            var (end, size) = (start, 0)
            while end < rows.count, end - start < Self.rowsMax, size < Self.sizeBytesMax {
                size += rows[end].reduce(0) { $0 + $1.sizeBytes }
                end += 1
            }
            let group = rows[start..<end]
            try await database.write { scope in
                for row in group { try scope.enqueue(sql, row) }
            }
            start = end
        }
    }

    static func check(_ table: TransferTable, _ expected: [TransferTable]) throws(TransferError) {
        guard let own = expected.first(where: { $0.name == table.name }) else {
            throw .otherTables("there is no '\(table.name)'")
        }
        guard own == table else { throw .otherTables("'\(table.name)' has other columns") }
    }
}

extension SQLValue {
    /// About what it takes.
    var sizeBytes: Int {
        switch self {
        case .null: 1
        case .integer, .real: 8
        case .text(let text): text.utf8.count
        case .blob(let blob): blob.count
        }
    }
}
