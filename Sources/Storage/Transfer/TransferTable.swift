/// A table as both engines know it: what is copied, backed up and compared.
package struct TransferTable: Sendable, Hashable {
    /// One column of it.
    package struct Column: Sendable, Hashable {
        /// A word of lowercase letters, digits and underscores.
        package let name: String
        package let kind: Kind

        package init(_ name: String, _ kind: Kind) {
            self.name = name
            self.kind = kind
        }
    }

    /// The types of the common subset (`SQLDialect`); any column may hold `NULL` besides.
    package enum Kind: UInt8, Sendable {
        case integer = 1
        case real = 2
        case text = 3
        case blob = 4
    }

    /// A word of lowercase letters, digits and underscores.
    package let name: String
    /// In the order in which the schema declares them.
    package let columns: [Column]
    /// The columns of the primary key, in its order, as positions in `columns`; never empty.
    package let key: [Int]

    /// - Throws: `.unsuitable` when a name is no such word, or the key isn't one.
    package init(name: String, columns: [Column], key: [Int]) throws(TransferError) {
        guard Self.isWord(name) else { throw .unsuitable(table: name, reason: "its name is no plain word") }
        guard columns.allSatisfy({ Self.isWord($0.name) }), !columns.isEmpty, columns.count <= Self.columnsMax else {
            throw .unsuitable(table: name, reason: "its columns can't be told")
        }
        guard !key.isEmpty, Set(key).count == key.count, key.allSatisfy(columns.indices.contains) else {
            throw .unsuitable(table: name, reason: "it has no primary key")
        }
        self.name = name
        self.columns = columns
        self.key = key
    }

    /// Columns of a table.
    static let columnsMax = 200
    /// Bytes of a name, as PostgreSQL allows.
    static let nameBytesMax = 63

    private static func isWord(_ name: String) -> Bool {
        let isPlain = name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f }
        return isPlain && !name.isEmpty && name.utf8.count <= nameBytesMax
    }

    // MARK: SQL

    /// The columns, for a `SELECT` or `INSERT`; `alias` stands before each.
    func columnList(_ alias: String = "") -> String { Self.list(columns.map(\.name), alias) }

    /// The columns of the key, in its order.
    func keyList(_ alias: String = "") -> String { Self.list(key.map { columns[$0].name }, alias) }

    /// Every row, in the order of the key.
    var selectAll: String { "SELECT \(columnList()) FROM \"\(name)\" ORDER BY \(keyList())" }

    /// Adds one row.
    var insert: String {
        let places = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        return "INSERT INTO \"\(name)\" (\(columnList())) VALUES (\(places))"
    }

    /// `key = $1 AND …`.
    var whereKey: String {
        key.enumerated().map { "\"\(columns[$1].name)\" = $\($0 + 1)" }.joined(separator: " AND ")
    }

    private static func list(_ names: [String], _ alias: String) -> String {
        let prefix = alias.isEmpty ? "" : alias + "."
        return names.map { "\(prefix)\"\($0)\"" }.joined(separator: ", ")
    }
}

/// Finds the tables of a database in the engine's own catalogue.
package enum TableCatalog {
    /// Tables whose names begin so belong to copying itself, and stay where they are.
    static let ownPrefix = "storage_copy"

    /// Every table, by name in the order of its bytes, except those of copying itself.
    ///
    /// - Throws: `TransferError.unsuitable` for a table that can't be copied; storage errors.
    package static func tables(in scope: any ReadScope, _ dialect: SQLDialect) throws -> [TransferTable] {
        let names = try scope.query(dialect.engine == .sqlite ? sqliteTables : postgreSQLTables).map { try $0.text(0) }
        return try names.filter { !$0.hasPrefix(ownPrefix) }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .map { try table($0, in: scope, dialect) }
    }

    private static func table(
        _ name: String, in scope: any ReadScope, _ dialect: SQLDialect
    ) throws -> TransferTable {
        var columns: [TransferTable.Column] = []
        var key: [(place: Int64, column: Int)] = []
        let sql = dialect.engine == .sqlite ? sqliteColumns : postgreSQLColumns
        for row in try scope.query(sql, [.text(name)]) {
            let (column, type, place) = (try row.text(0), try row.text(1), try row.integer(2))
            guard let kind = kinds[type.lowercased()] else {
                throw TransferError.unsuitable(table: name, reason: "column \(column) is of type \(type)")
            }
            if place > 0 { key.append((place, columns.count)) }
            columns.append(.init(column, kind))
        }
        return try TransferTable(
            name: name, columns: columns, key: key.sorted { $0.place < $1.place }.map(\.column))
    }

    private static let kinds: [String: TransferTable.Kind] = [
        "integer": .integer, "real": .real, "text": .text, "blob": .blob,
        "bigint": .integer, "double precision": .real, "bytea": .blob,
    ]

    private static let sqliteTables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    private static let sqliteColumns = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid"
    private static let postgreSQLTables = """
        SELECT relname::TEXT FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        """
    private static let postgreSQLColumns = """
        SELECT a.attname::TEXT, format_type(a.atttypid, NULL)::TEXT,
            COALESCE(array_position(i.indkey::SMALLINT[], a.attnum) + 1, 0)::BIGINT
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relname::TEXT = $1
            AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
        """
}
