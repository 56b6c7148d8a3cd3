import Synchronization

/// What there is to be known of a database without knowing the rooms.
package struct DatabaseInspection: Sendable, Hashable {
    /// A table and how many rows it has.
    package struct Table: Sendable, Hashable {
        package let name: String
        package let rowCount: Int64
    }

    /// One room's part of the schema.
    package struct Schema: Sendable, Hashable {
        package let room: String
        /// Steps applied to this database.
        package let applied: Int
        /// Steps that this program knows.
        package let known: Int
    }

    package let engine: SQLDialect.Engine
    /// As the engine gives it, e.g. `3.40.1`.
    package let version: String
    package let sizeBytes: Int64
    /// By name.
    package let schema: [Schema]
    /// The number of the newest event.
    package let eventHead: Int64
    /// By name; empty before the first migration.
    package let tables: [Table]
    /// What a copy has left.
    package let mark: CopyMark?

    /// Looks, in one consistent state, for as long as counting takes.
    package static func inspect(_ database: any Database, _ migrations: [Migration]) async throws -> DatabaseInspection
    {
        let dialect = database.dialect
        let found = Found()
        let stream = try await database.stream { scope, _ in
            found.set(try inspect(scope, dialect, StorageSchema.migrations + migrations))
        }
        for try await _ in stream {}
        guard let inspection = found.value else { throw StorageError.closed }
        return inspection
    }

    private static func inspect(
        _ scope: any ReadScope, _ dialect: SQLDialect, _ migrations: [Migration]
    ) throws -> DatabaseInspection {
        let all = try scope.first(dialect.engine == .sqlite ? sqlite : postgreSQL)
        let tables = try TableCatalog.tables(in: scope, dialect)
        let names = Set(tables.map(\.name))
        var applied: [String: Int] = [:]
        if names.contains("storage_migration") {
            for row in try scope.query("SELECT room, COUNT(*) FROM storage_migration GROUP BY room") {
                applied[try row.text(0)] = Int(try row.integer(1))
            }
        }
        var known: [String: Int] = [:]
        for migration in migrations { known[migration.room, default: 0] += 1 }
        let rooms = Set(applied.keys).union(known.keys).sorted()
        let head = names.contains("storage_sequence") ? try EventLog.head(in: scope) : 0
        return DatabaseInspection(
            engine: dialect.engine, version: try all?.text(0) ?? "", sizeBytes: try all?.integer(1) ?? 0,
            schema: rooms.map { Schema(room: $0, applied: applied[$0] ?? 0, known: known[$0] ?? 0) }, eventHead: head,
            tables: try tables.map { table in
                Table(
                    name: table.name,
                    rowCount: try scope.first("SELECT COUNT(*) FROM \"\(table.name)\"")?.integer(0) ?? 0)
            }, mark: try CopyMark.find(in: scope, dialect))
    }

    private static let sqlite = """
        SELECT sqlite_version(), p.page_count * s.page_size FROM pragma_page_count AS p, pragma_page_size AS s
        """
    private static let postgreSQL = """
        SELECT current_setting('server_version'), pg_database_size(current_database())
        """
}

/// Takes a value from the thread of a stream.
private final class Found: Sendable {
    private let state = Mutex<DatabaseInspection?>(nil)

    var value: DatabaseInspection? { state.withLock { $0 } }

    func set(_ value: DatabaseInspection) { state.withLock { $0 = value } }
}
