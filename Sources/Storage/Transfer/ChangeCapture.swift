import Synchronization

/// Has a database write down which rows change while it is copied, and refuses writes when it is held or has moved.
///
/// Triggers of the engine do both: no writer can pass them by, whichever process it is and whatever version it has. Each
/// table has a table of keys beside it, `storage_copy_on_…`. See docs/decisions/0009-copying-while-serving.md.
final class ChangeCapture: Sendable {
    static let keysPrefix = TableCatalog.ownPrefix + "_on_"
    private static let triggers = ["insert", "update", "delete"]
    /// Attempts to take triggers away from a table that others read.
    private static let removalsMax = 30

    private let database: any Database
    private let token: String
    private let renewedAt = Mutex(ContinuousClock.now)
    private static let renewal = Duration.seconds(3)

    init(_ database: any Database, token: String) {
        self.database = database
        self.token = token
    }

    private var dialect: SQLDialect { database.dialect }

    // MARK: Installing

    /// Begins to write down changes. What an earlier copy left is removed.
    func install(_ tables: [TransferTable], peer: String) async throws {
        let (token, dialect) = (token, dialect)
        let leftover = try await database.write { scope in
            let mark = try CopyMark.find(in: scope, dialect)
            if let mark, mark.phase == .moved { throw CopyError.moved(to: mark.peer) }
            // A file belongs to one process, and that one to one copier: there, whoever left the mark is gone.
            let isShared = dialect.engine == .postgresql
            if isShared, let mark, mark.phase == .capturing || mark.phase == .held, mark.isAlive {
                throw CopyError.underWay
            }
            try CopyMark.set(.capturing, token: token, peer: peer, in: scope, dialect)
            return try Self.keyTables(in: scope, dialect)
        }
        for table in leftover { try await write { try Self.drop(table, scope: $0, dialect) } }
        for table in tables {
            guard table.name.utf8.count + Self.keysPrefix.utf8.count <= TransferTable.nameBytesMax else {
                throw TransferError.unsuitable(table: table.name, reason: "its name is too long")
            }
            try await write { scope in
                for statement in Self.statements(table, dialect) { try scope.execute(statement) }
            }
        }
    }

    private func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        for _ in 1..<Self.removalsMax {
            do {
                return try await database.write(body)
            } catch StorageError.busy {
            } catch StorageError.held {
                // A write of the same group, refused at its very end.
            }
        }
        return try await database.write(body)
    }

    private static func keyTables(in scope: any ReadScope, _ dialect: SQLDialect) throws -> [String] {
        let sql =
            switch dialect.engine {
            case .sqlite: "SELECT name FROM sqlite_schema WHERE type = 'table'"
            case .postgresql:
                """
                SELECT relname::TEXT FROM pg_class
                WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
                """
            }
        return try scope.query(sql).map { try $0.text(0) }.filter { $0.hasPrefix(keysPrefix) }
    }

    /// Takes away the triggers of a table and its table of keys.
    private static func drop(_ keys: String, scope: any WriteScope, _ dialect: SQLDialect) throws {
        let table = String(keys.dropFirst(keysPrefix.count))
        switch dialect.engine {
        case .sqlite:
            for event in triggers { try scope.execute("DROP TRIGGER IF EXISTS \"\(keys)_\(event)\"") }
        case .postgresql:
            // Whoever reads the table holds this up, and it would hold up all who come after.
            try scope.execute("SET LOCAL lock_timeout = '200ms'")
            try scope.execute("DROP TRIGGER IF EXISTS \"\(keys)\" ON \"\(table)\"")
            try scope.execute("DROP FUNCTION IF EXISTS \"\(keys)\"()")
        }
        try scope.execute("DROP TABLE IF EXISTS \"\(keys)\"")
    }

    private static func statements(_ table: TransferTable, _ dialect: SQLDialect) -> [String] {
        let keys = keysPrefix + table.name
        let types: [TransferTable.Kind: String] = [
            .integer: "BIGINT", .real: "DOUBLE PRECISION", .text: "TEXT", .blob: "BYTEA",
        ]
        let places = table.key.indices.map { "k\($0)" }
        let columns = zip(places, table.key).map { place, column in
            "\(place) \(types[table.columns[column].kind] ?? "TEXT") NOT NULL"
        }
        let create = dialect.schema(
            """
            CREATE TABLE "\(keys)" (
                generation BIGINT NOT NULL, \(columns.joined(separator: ", ")),
                PRIMARY KEY (generation, \(places.joined(separator: ", ")))
            ) CLUSTERED
            """)
        return [create] + (dialect.engine == .sqlite ? sqlite(table, keys) : postgreSQL(table, keys))
    }

    private static func note(_ table: TransferTable, _ keys: String, row: String) -> String {
        let values = table.key.map { "\(row).\"\(table.columns[$0].name)\"" }
        let same = values.enumerated().map { "c.k\($0) = \($1)" }.joined(separator: " AND ")
        // No ON CONFLICT: SQLite would have the statement that fired the trigger decide.
        return """
            INSERT INTO "\(keys)" SELECT m.generation, \(values.joined(separator: ", ")) FROM storage_copy m
            WHERE NOT EXISTS (SELECT 1 FROM "\(keys)" c WHERE c.generation = m.generation AND \(same));
            """
    }

    private static func isHeld(_ dialect: SQLDialect) -> String {
        """
        EXISTS (SELECT 1 FROM storage_copy
            WHERE phase = 'moved' OR (phase = 'held' AND until > \(dialect.now)))
        """
    }

    private static func sqlite(_ table: TransferTable, _ keys: String) -> [String] {
        triggers.map { event in
            let rows = event == "insert" ? ["NEW"] : event == "delete" ? ["OLD"] : ["OLD", "NEW"]
            return """
                CREATE TRIGGER "\(keys)_\(event)" AFTER \(event.uppercased()) ON "\(table.name)" BEGIN
                SELECT RAISE(ABORT, '\(CopyMark.heldMessage)') WHERE \(isHeld(.sqlite));
                \(rows.map { note(table, keys, row: $0) }.joined(separator: "\n"))
                END
                """
        }
    }

    private static func postgreSQL(_ table: TransferTable, _ keys: String) -> [String] {
        [
            """
            CREATE FUNCTION "\(keys)"() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN
                IF \(isHeld(.postgreSQL)) THEN
                    RAISE EXCEPTION '\(CopyMark.heldMessage)' USING ERRCODE = '\(CopyMark.heldState)';
                END IF;
                IF TG_OP <> 'INSERT' THEN
                    \(note(table, keys, row: "OLD"))
                END IF;
                IF TG_OP <> 'DELETE' THEN
                    \(note(table, keys, row: "NEW"))
                END IF;
                RETURN NULL;
            END
            $body$
            """,
            """
            CREATE TRIGGER "\(keys)" AFTER INSERT OR UPDATE OR DELETE ON "\(table.name)"
            FOR EACH ROW EXECUTE FUNCTION "\(keys)"()
            """,
        ]
    }

    // MARK: Generations and holding

    /// Begins the next generation of keys and gives its number.
    ///
    /// - Parameter phase: `.capturing`, or `.held` to refuse writes from now on for a few seconds.
    func nextGeneration(_ phase: CopyMark.Phase) async throws -> Int64 {
        let (token, dialect) = (token, dialect)
        let time = phase == .held ? CopyMark.holdMilliseconds : CopyMark.leaseMilliseconds
        return try await write { scope in
            // Those of the writes before, in the same group: once writes are held, they would be refused, too.
            if phase == .held { try scope.writeSequences() }
            let changed = try scope.execute(
                """
                UPDATE storage_copy SET generation = generation + 1, phase = $1, until = \(dialect.now) + \(time)
                WHERE id = 1 AND token = $2 AND phase IN ('capturing', 'held')
                """, [.text(phase.rawValue), .text(token)])
            guard changed == 1, let mark = try CopyMark.find(in: scope, dialect) else { throw CopyError.takenOver }
            return mark.generation
        }
    }

    /// Gives a sign of life, now and then. Returns at once: who has lost the mark learns it at the next step.
    func renew() {
        let now = ContinuousClock.now
        let isDue = renewedAt.withLock { renewedAt in
            guard now - renewedAt > Self.renewal else { return false }
            renewedAt = now
            return true
        }
        guard isDue else { return }
        let (token, dialect) = (token, dialect)
        database.submit { scope in
            try scope.execute(
                """
                UPDATE storage_copy SET until = \(dialect.now) + \(CopyMark.leaseMilliseconds)
                WHERE id = 1 AND token = $1 AND phase = 'capturing'
                """, [.text(token)])
        } settled: { _ in
        }
    }

    /// Refuses writes for good, provided that none has come since generation `held` began.
    func seal(_ tables: [TransferTable], since held: Int64) async throws {
        let (token, dialect) = (token, dialect)
        do {
            try await database.write { scope in
                let changed = try scope.execute(
                    """
                    UPDATE storage_copy SET phase = 'moved'
                    WHERE id = 1 AND token = $1 AND phase = 'held' AND generation = $2 AND until > \(dialect.now)
                    """, [.text(token), .integer(held)])
                guard changed == 1 else { throw CopyError.holdLapsed }
                for table in tables {
                    // No clock is trusted with this: whatever slipped in has left its key.
                    let sql = "SELECT 1 FROM \"\(Self.keysPrefix)\(table.name)\" WHERE generation >= $1 LIMIT 1"
                    guard try scope.first(sql, [.integer(held)]) == nil else { throw CopyError.holdLapsed }
                }
            }
        } catch let error as StorageError {
            try await settle(error)
        }
    }

    /// Looks whether the move took place whose answer was lost.
    private func settle(_ error: StorageError) async throws {
        switch error {
        case .outcomeUnknown, .unavailable, .timedOut: break
        default: throw error
        }
        let dialect = dialect
        for _ in 0..<Self.removalsMax {
            do {
                // A write, for it has its turn only once the one in question has ended, one way or the other.
                let mark = try await database.write { try CopyMark.find(in: $0, dialect) }
                guard mark?.token == token, mark?.phase == .moved else { throw CopyError.holdLapsed }
                return
            } catch is StorageError {}
        }
        throw CopyError.unclear
    }

    // MARK: Removing

    /// Takes everything away again, as far as possible: what is left is removed when the database is next opened.
    /// Runs whether or not the task was cancelled.
    func remove() async {
        let (token, dialect) = (token, dialect)
        // First of all writes are let in.
        let keys: [String]? = await uncancelled { scope in
            let changed = try scope.execute(
                """
                UPDATE storage_copy SET phase = 'capturing', until = 0
                WHERE id = 1 AND token = $1 AND phase IN ('capturing', 'held')
                """, [.text(token)])
            return changed == 1 ? try Self.keyTables(in: scope, dialect) : nil
        }
        guard let keys else { return }
        var isClean = true
        for table in keys {
            var isDropped = false
            for _ in 0..<Self.removalsMax where !isDropped {
                isDropped =
                    await uncancelled {
                        try Self.drop(table, scope: $0, dialect); return true
                    } ?? false
            }
            isClean = isClean && isDropped
        }
        guard isClean else { return }
        _ = await uncancelled { try $0.execute("DELETE FROM storage_copy WHERE token = $1", [.text(token)]) }
    }

    /// A write that a cancelled task may make. Its first change may fail: then nothing was changed.
    private func uncancelled<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T?) async -> T? {
        await withCheckedContinuation { continuation in
            database.submit(body) { continuation.resume(returning: (try? $0.get()) ?? nil) }
        }
    }

    // MARK: Questions about changes

    /// Keys that changed in `generation` or later, in no order.
    static func changedKeys(_ table: TransferTable) -> String {
        let places = table.key.indices.map { "k\($0)" }.joined(separator: ", ")
        return "SELECT DISTINCT \(places) FROM \"\(keysPrefix)\(table.name)\" WHERE generation >= $1"
    }

    /// The rows of those keys, as far as they are there.
    static func changedRows(_ table: TransferTable) -> String {
        let join = table.key.enumerated().map { "t.\"\(table.columns[$1].name)\" = c.k\($0)" }
        return """
            SELECT \(table.columnList("t")) FROM (\(changedKeys(table))) AS c
            JOIN "\(table.name)" AS t ON \(join.joined(separator: " AND "))
            """
    }
}
