import Base

/// Whose a database is.
package struct InstanceMark: Sendable, Hashable {
    /// The public name under which it was last served; nil before that.
    package let name: String?
    /// Of the key its secrets are sealed with (`KeyVault.fingerprint`); nil before there is any.
    package let keyFingerprint: String?

    /// Reads what stands in the database, with nothing in it before the first migration.
    package static func find(in scope: any ReadScope, _ dialect: SQLDialect) throws -> InstanceMark {
        guard try dialect.hasTable("storage_meta", in: scope) else {
            return InstanceMark(name: nil, keyFingerprint: nil)
        }
        func value(_ name: String) throws -> String? {
            try scope.first("SELECT value FROM storage_meta WHERE name = $1", [.text(name)])?.text(0)
        }
        return InstanceMark(name: try value("instance.name"), keyFingerprint: try value("vault.key"))
    }

    /// Writes down the name under which the database is served from now on.
    /// - Throws: storage errors.
    package static func remember(name: String, in database: some Database) async throws {
        let known = try await database.read { try $0.first(Self.select)?.text(0) }
        guard known != name else { return }
        try await database.write { scope in
            _ = try scope.execute(
                """
                INSERT INTO storage_meta (name, value) VALUES ('instance.name', $1)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(name)])
        }
    }

    private static let select = "SELECT value FROM storage_meta WHERE name = 'instance.name'"
}

/// Why a database can't be served, besides what copying (`CopyError`) and the schema (`MigrationError`) have against it.
package enum UnfitDatabase: Error, Sendable, Hashable, CustomStringConvertible {
    /// Its secrets are sealed with another key.
    case otherKey
    /// It was last served under another public name.
    case otherName(found: String)
    /// The connection's search path leads to no schema that the user may use.
    case noSchema(user: String)
    /// Steps of the schema are missing, and the user may not apply them.
    case mayNotMigrate(user: String, stepCount: Int, detail: String)
    /// The user may not read and write a table.
    case mayNotUse(user: String, table: String)

    package var description: String {
        switch self {
        case .otherKey:
            "the database belongs to another instance: its secrets are sealed with another key than this instance has"
        case .otherName(let found):
            "the database belongs to \(found), which is another name than this instance has (hostname)"
        case .noSchema(let user): "the database has no schema for tables that the user \(user) may use"
        case .mayNotMigrate(let user, let count, let detail):
            "the database lacks \(count) \(count == 1 ? "step" : "steps") of the schema, and the user \(user) may not "
                + "apply them: \(detail)"
        case .mayNotUse(let user, let table):
            "the user \(user) may not read and write the table '\(table)' of the database"
        }
    }
}

/// Whether this program can serve a database as a certain instance, found out without changing anything in it.
package struct DatabaseFitness: Sendable {
    private let migrations: [Migration]
    private let migrator: Migrator
    /// Of this instance's key; nil where the key isn't known.
    private let keyFingerprint: String?
    /// Public names that are this instance's; empty where it may have any.
    private let names: Set<String>

    /// - Parameters:
    ///   - migrations: those of all rooms; those of Storage come by themselves.
    ///   - keyFingerprint: of this instance's key (`KeyVault.fingerprint`); nil where the key isn't known.
    ///   - names: the public names that are this instance's; none where it may have any.
    package init(_ migrations: [Migration], keyFingerprint: String?, names: Set<String>) {
        self.migrations = StorageSchema.migrations + migrations
        migrator = Migrator(migrations, clock: SystemClock())
        self.keyFingerprint = keyFingerprint
        self.names = names
    }

    /// Looks at all of it.
    /// - Returns: `CopyError`, `MigrationError`, `UnfitDatabase` and `StorageError` that keep it from being served; none
    ///   when it may be.
    package func mistakes(of database: any Database) async -> [any Error] {
        let dialect = database.dialect
        var mistakes: [any Error] = []
        func note<T>(_ question: () async throws -> T) async -> T? {
            do { return try await question() } catch {
                mistakes.append(error)
                return nil
            }
        }
        let missing = await note { try await migrator.missing(in: database).count } ?? 0
        if dialect.engine == .postgresql {
            let lacking = await note { try await database.read { try rights(missing, in: $0, dialect) } }
            if let unfit = lacking ?? nil {
                // What can't be read for want of rights needs no second sentence.
                return mistakes.filter { !Self.isStatement($0) } + [unfit]
            }
        }
        await note { try await CopyMark.confirmUsable(database) }
        let mark = await note { try await database.read { try InstanceMark.find(in: $0, dialect) } }
        return mistakes + (mark.map(mistakes(of:)) ?? [])
    }

    /// What the mark of a database says against its being this instance's.
    package func mistakes(of mark: InstanceMark) -> [any Error] {
        if let found = mark.keyFingerprint, let keyFingerprint, found != keyFingerprint {
            return [UnfitDatabase.otherKey]
        }
        if let found = mark.name, !names.isEmpty, !names.contains(found) {
            return [UnfitDatabase.otherName(found: found)]
        }
        return []
    }

    private static func isStatement(_ error: any Error) -> Bool {
        switch error {
        case StorageError.statement, MigrationError.unreadable(.statement): true
        default: false
        }
    }

    private func rights(
        _ missing: Int, in scope: any ReadScope, _ dialect: SQLDialect
    ) throws -> UnfitDatabase? {
        let place = try scope.first(
            """
            SELECT current_user::TEXT, current_schema()::TEXT,
                COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false)
            """)
        guard let place else { return nil }
        let user = try place.text(0)
        guard let schema = try place.optionalText(1) else { return .noSchema(user: user) }
        let tables = try scope.query(
            """
            SELECT relname::TEXT, pg_has_role(relowner, 'USAGE'),
                has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
            FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            ORDER BY relname
            """)
        let ours = migrations.reduce(into: Set(["storage_migration"])) { $0.formUnion($1.tableNames) }
        for table in tables {
            let name = try table.text(0)
            guard ours.contains(name) else { continue }
            if try !table.boolean(2) { return .mayNotUse(user: user, table: name) }
            guard try missing == 0 || table.boolean(1) else {
                return .mayNotMigrate(
                    user: user, stepCount: missing, detail: "the table '\(name)' is owned by somebody else")
            }
        }
        guard try missing == 0 || place.boolean(2) else {
            return .mayNotMigrate(
                user: user, stepCount: missing, detail: "it has no right to CREATE in the schema '\(schema)'")
        }
        return nil
    }
}

extension Migration {
    /// The tables that its statements make.
    var tableNames: Set<String> {
        var names: Set<String> = []
        for statement in statements {
            let words = statement.split { $0 == " " || $0 == "\n" || $0 == "(" }.prefix(6).map { String($0) }
            guard words.prefix(2) == ["CREATE", "TABLE"] else { continue }
            let rest = words.dropFirst(2)
            if let name = (rest.first == "IF" ? rest.dropFirst(3) : rest).first { names.insert(name) }
        }
        return names
    }
}

extension SQLDialect {
    /// Whether the database has a table of this name, where the connection looks for tables.
    func hasTable(_ name: String, in scope: any ReadScope) throws -> Bool {
        let sql =
            switch engine {
            case .sqlite: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1"
            case .postgresql:
                "SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = $1::TEXT"
            }
        return try scope.first(sql, [.text(name)]) != nil
    }
}
