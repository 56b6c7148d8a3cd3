/// What one round of a copy carries: the rows of the source that changed, as of one state.
///
/// Memory is bounded by a frame. For each table that changed come the keys of what changed and then the rows that are
/// there now: whoever removes the keys and adds the rows has the source's state, and no two rows ever clash meanwhile.
struct CopyRound: Sendable {
    let tables: [TransferTable]
    /// The first generation of keys that counts.
    let generation: Int64
    /// Whether to sum up every table, as of the same state, at the end.
    let sumsUp: Bool
    /// Called often while tables are summed up.
    var alive: @Sendable () -> Void = {}

    private static let keysSizeBytes = 64 << 10

    /// Writes the round; for `Database.stream` of the source.
    func write(_ scope: any ReadScope, to sink: any ByteSink) throws {
        var count = 0
        for table in tables where try writeKeys(of: table, scope, to: sink) {
            let summary = try TransferWriter.forEachGroup(
                of: table, ChangeCapture.changedRows(table), [.integer(generation)], scope
            ) { count, rows in
                try sink.write(TransferFrame.rows(count: count, rows))
            }
            try sink.write(TransferFrame.tableEnd(summary))
            count += 1
        }
        try sink.write(TransferFrame.end(count: count))
        guard sumsUp else { return }
        for table in tables {
            try sink.write(TransferFrame.summary(try TransferWriter.summary(of: table, in: scope, alive: alive)))
        }
    }

    /// - Returns: whether there were any; without any, nothing is written.
    private func writeKeys(of table: TransferTable, _ scope: any ReadScope, to sink: any ByteSink) throws -> Bool {
        var hasBegun = false
        var group: [UInt8] = []
        var count = 0
        func flush() throws {
            guard count > 0 else { return }
            if !hasBegun {
                var description: [UInt8] = []
                TransferFrame.append(table, to: &description)
                try sink.write(TransferFrame.frame(.table, description))
                hasBegun = true
            }
            try sink.write(TransferFrame.rows(count: count, group, kind: .keys))
            group.removeAll(keepingCapacity: true)
            count = 0
        }
        try scope.forEach(ChangeCapture.changedKeys(table), [.integer(generation)]) { row in
            try RowCodec.appendRow(row.values, table: table.name, to: &group)
            count += 1
            if group.count >= Self.keysSizeBytes { try flush() }
            return true
        }
        try flush()
        return hasBegun
    }
}

/// The rows of the last round, kept to be compared with what the target holds then.
struct CopyDelta: Sendable {
    struct Table: Sendable {
        let table: TransferTable
        var keys: [[SQLValue]] = []
        /// The rows as `RowCodec` writes them.
        var rows: Set<[UInt8]> = []
    }

    private(set) var tables: [Table] = []
    private(set) var keyCount = 0
    private(set) var sizeBytes = 0

    mutating func begin(_ table: TransferTable) {
        tables.append(Table(table: table))
    }

    mutating func take(keys: [[SQLValue]]) {
        guard !tables.isEmpty else { return }
        tables[tables.count - 1].keys += keys
        keyCount += keys.count
    }

    mutating func take(rows: [[SQLValue]]) throws(TransferError) {
        guard let table = tables.last?.table else { return }
        for row in rows {
            var bytes: [UInt8] = []
            try RowCodec.append(row, of: table, to: &bytes)
            sizeBytes += bytes.count
            tables[tables.count - 1].rows.insert(bytes)
        }
    }

    /// Keys asked for in one question.
    private static let keysPerQuestion = 100

    /// Makes sure that a database holds these rows under these keys, and nothing else.
    /// - Throws: `CopyError.differs`.
    func confirm(in scope: any ReadScope) throws {
        for part in tables {
            var found: Set<[UInt8]> = []
            var start = 0
            while start < part.keys.count {
                let keys = part.keys[start..<min(start + Self.keysPerQuestion, part.keys.count)]
                for row in try scope.query(Self.question(part.table, count: keys.count), keys.flatMap { $0 }) {
                    var bytes: [UInt8] = []
                    try RowCodec.append(row.values, of: part.table, to: &bytes)
                    found.insert(bytes)
                }
                start += keys.count
            }
            guard found == part.rows else { throw CopyError.differs(table: part.table.name) }
        }
    }

    private static func question(_ table: TransferTable, count: Int) -> String {
        let width = table.key.count
        let values = (0..<count).map { row in
            "(" + (0..<width).map { "$\(row * width + $0 + 1)" }.joined(separator: ", ") + ")"
        }
        let join = table.key.enumerated().map { "t.\"\(table.columns[$1].name)\" = c.column\($0 + 1)" }
        return """
            SELECT \(table.columnList("t")) FROM (VALUES \(values.joined(separator: ", "))) AS c
            JOIN "\(table.name)" AS t ON \(join.joined(separator: " AND "))
            """
    }
}
