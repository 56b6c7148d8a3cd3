import Base

/// The database that is being filled.
struct CopyTarget: Sendable {
    private static let bookkeeping = "storage_migration"
    /// Attempts to take the last step.
    private static let attemptsMax = 20
    /// Keys removed in one transaction.
    private static let keysMax = 1000

    let database: any Database
    let loader: TransferLoader

    init(_ database: any Database) {
        self.database = database
        loader = TransferLoader(database)
    }

    private var dialect: SQLDialect { database.dialect }

    // MARK: Before and after

    /// Makes an empty database ready, and takes it for the copy. What a copy of the same instance left that was broken
    /// off is removed.
    ///
    /// - Parameter identity: the mark of the vault's key of the instance that is copied.
    func prepare(
        _ migrations: [Migration], clock: any WallClock, token: String, identity: String
    ) async throws {
        let dialect = dialect
        let (mark, tables) = try await found(dialect)
        switch mark?.phase {
        case .receiving, .complete:
            guard mark?.peer == identity else { throw CopyError.otherInstance }
            try await removeAll(tables)
        case .capturing, .held, .moved: throw CopyError.targetBusy
        case nil: try await confirmEmpty(tables, identity: identity)
        }
        do throws(MigrationError) {
            _ = try await Migrator(migrations, clock: clock).migrate(database)
        } catch {
            switch error {
            case .unreadable(.statement(let detail)) where detail.contains("42501"),
                .failed(_, _, .statement(let detail)) where detail.contains("42501"):
                throw CopyError.missingRights(detail)
            default: throw error
            }
        }
        try await database.write { scope in
            try CopyMark.set(.receiving, token: token, peer: identity, in: scope, dialect)
        }
    }

    /// What is there. A table that couldn't be copied is none of ours.
    private func found(_ dialect: SQLDialect) async throws -> (CopyMark?, [TransferTable]) {
        do {
            return try await database.read { scope in
                (try CopyMark.find(in: scope, dialect), try TableCatalog.tables(in: scope, dialect))
            }
        } catch TransferError.unsuitable(let table, _) {
            throw CopyError.foreignTables(table)
        }
    }

    private func confirmEmpty(_ tables: [TransferTable], identity: String) async throws {
        guard let first = tables.first else { return }
        guard tables.contains(where: { $0.name == Self.bookkeeping }) else {
            throw CopyError.foreignTables(first.name)
        }
        let key = try await database.read { scope in
            guard tables.contains(where: { $0.name == "storage_meta" }) else { return String?.none }
            return try scope.first("SELECT value FROM storage_meta WHERE name = 'vault.key'")?.text(0)
        }
        if let key, key != identity { throw CopyError.otherInstance }
        for table in tables where table.name != Self.bookkeeping {
            let row = try await database.read { try $0.first("SELECT 1 FROM \"\(table.name)\" LIMIT 1") }
            guard row == nil else { throw CopyError.targetNotEmpty(table: table.name) }
        }
    }

    /// The mark goes last, so that what is left of an interrupted removal is known for what it is.
    private func removeAll(_ tables: [TransferTable]) async throws {
        for name in tables.map(\.name) + ["storage_copy"] {
            try await database.write { scope in
                try scope.expectLongStatements()
                try scope.execute("DROP TABLE \"\(name)\"")
            }
        }
    }

    /// The copy is whole.
    func complete(token: String) async throws {
        let changed = try await database.write { scope in
            try scope.execute(
                "UPDATE storage_copy SET phase = 'complete' WHERE token = $1 AND phase IN ('receiving', 'complete')",
                [.text(token)])
        }
        guard changed == 1 else { throw CopyError.takenOver }
    }

    /// The source has moved: from now on this one counts. Runs whether or not the task was cancelled.
    /// - Throws: `CopyError.unopened`.
    func open(token: String) async throws(CopyError) {
        for _ in 0..<Self.attemptsMax {
            let isOpen = await withCheckedContinuation { continuation in
                database.submit { scope in
                    try scope.execute(
                        "DELETE FROM storage_copy WHERE token = $1 AND phase = 'complete'", [.text(token)])
                } settled: { result in
                    continuation.resume(returning: (try? result.get()) != nil)
                }
            }
            if isOpen { return }
        }
        throw .unopened
    }

    // MARK: Filling

    /// Takes a whole table from its first row to its last.
    func take(
        _ table: TransferTable, from stream: ByteStream, progress: (Int64) async throws -> Void
    ) async throws {
        try await database.write { scope in
            // Steps of the schema may have left rows of their own; those of the source count.
            try scope.execute("DELETE FROM \"\(table.name)\"")
        }
        var decoder = TransferDecoder()
        var rowCount: Int64 = 0
        var isWhole = false
        for try await chunk in stream {
            decoder.append(chunk)
            while let element = try decoder.next() {
                switch element {
                case .table(let come): try TransferLoader.check(come, [table])
                case .rows(let rows):
                    try await loader.insert(rows, into: table)
                    rowCount += Int64(rows.count)
                    try await progress(rowCount)
                case .tableEnd: isWhole = true
                case .end, .keys, .summary: throw TransferError.malformed("an unexpected frame")
                }
            }
        }
        guard isWhole else { throw TransferError.truncated }
    }

    /// Takes the changes of a round.
    ///
    /// - Parameters:
    ///   - changed: called once all changes are taken, before what the source sums up.
    ///   - progress: told the keys so far.
    /// - Returns: what was taken, and what the source's tables hold, if it says.
    func take<Bytes: AsyncSequence>(
        round stream: Bytes, keepingMax: Int, changed: () -> Void = {}, progress: (Int) async throws -> Void
    ) async throws -> (delta: CopyDelta?, keyCount: Int, summaries: [TableSummary]) where Bytes.Element == [UInt8] {
        var decoder = TransferDecoder(isRound: true)
        var delta: CopyDelta? = CopyDelta()
        var (keyCount, summaries): (Int, [TableSummary]) = (0, [])
        var table: TransferTable?
        for try await chunk in stream {
            decoder.append(chunk)
            while let element = try decoder.next() {
                switch element {
                case .table(let next):
                    guard next.name != Self.bookkeeping else { throw CopyError.schemaChanged }
                    table = next
                    delta?.begin(next)
                case .keys(let keys):
                    guard let table else { continue }
                    try await remove(keys, from: table)
                    keyCount += keys.count
                    delta?.take(keys: keys)
                case .rows(let rows):
                    guard let table else { continue }
                    try await loader.insert(rows, into: table)
                    try delta?.take(rows: rows)
                case .tableEnd: try await progress(keyCount)
                case .end: changed()
                case .summary(let summary): summaries.append(summary)
                }
                if let kept = delta, kept.sizeBytes + kept.keyCount * 100 > keepingMax { delta = nil }
            }
        }
        try decoder.finish()
        return (delta, keyCount, summaries)
    }

    private func remove(_ keys: [[SQLValue]], from table: TransferTable) async throws {
        let sql = "DELETE FROM \"\(table.name)\" WHERE \(table.whereKey)"
        var start = 0
        while start < keys.count {
            let group = keys[start..<min(start + Self.keysMax, keys.count)]
            try await database.write { scope in
                for key in group { try scope.enqueue(sql, key) }
            }
            start += group.count
        }
    }
}
