import Base
import Storage
import TestDatabases
import Testing

@Suite struct MigratorTests {
    private static let first = Migration(
        room: "things", number: 1, statements: ["CREATE TABLE thing (id BIGINT PRIMARY KEY NOT NULL)"])
    private static let second = Migration(
        room: "things", number: 2,
        statements: ["ALTER TABLE thing ADD COLUMN name TEXT", "CREATE INDEX thing_name ON thing (name)"])

    private func migrate(_ database: any Database, _ migrations: [Migration]) async throws -> [Migration] {
        try await Migrator(migrations, clock: ManualClock()).migrate(database)
    }

    @Test(arguments: Engine.all) func eachStepIsAppliedOnce(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.first])
        #expect(try await migrate(store.database, [Self.first]).isEmpty)
        #expect(try await migrate(store.database, [Self.first, Self.second]) == [Self.second])
        #expect(try await migrate(store.database, [Self.first, Self.second]).isEmpty)
        try await store.database.write { try $0.execute("INSERT INTO thing (id, name) VALUES (1, 'a')") }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func whatWasShippedMustNotChange(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.first])
        let changed = Migration(room: "things", number: 1, statements: Self.first.statements + ["SELECT 1"])
        await #expect(throws: MigrationError.changed(room: "things", number: 1)) {
            try await migrate(store.database, [changed])
        }
        let joined = Migration(room: "things", number: 1, statements: ["CREATE TABLE thing", " (id BIGINT)"])
        await #expect(throws: MigrationError.changed(room: "things", number: 1)) {
            try await migrate(store.database, [joined])
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aNewerDatabaseIsRefused(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.first, Self.second])
        await #expect(throws: MigrationError.newer(room: "things", number: 2)) {
            try await migrate(store.database, [Self.first])
        }
        await #expect(throws: MigrationError.newer(room: "things", number: 1)) {
            try await migrate(store.database, [])
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aStepThatFailsIsUndoneAndCanBeRepaired(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.first])
        let broken = Migration(
            room: "things", number: 2,
            statements: ["CREATE TABLE half (id BIGINT)", "CREATE INDEX nowhere ON missing (id)"])
        do {
            _ = try await migrate(store.database, [Self.first, broken])
            Issue.record("a broken step was applied")
        } catch MigrationError.failed(let room, let number, .statement) {
            #expect(room == "things" && number == 2)
        }
        #expect(try await migrate(store.database, [Self.first, Self.second]) == [Self.second])
        await #expect(throws: StorageError.self) {
            try await store.database.read { try $0.first("SELECT id FROM half") }
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func numbersMustFollowOneAnother(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [])
        for wrong in [[Self.second], [Self.first, Self.first]] {
            await #expect(throws: MigrationError.misnumbered(room: "things")) {
                try await migrate(store.database, wrong)
            }
        }
        await store.database.close()
    }
}

@Suite struct SQLDialectTests {
    @Test func typesAndTablesAreTranslated() {
        let dialect = SQLDialect.sqlite
        #expect(
            dialect.schema("CREATE TABLE a (b BIGINT PRIMARY KEY, c BYTEA NOT NULL, d DOUBLE PRECISION, e TEXT)")
                == "CREATE TABLE a (b INTEGER PRIMARY KEY, c BLOB NOT NULL, d REAL, e TEXT) STRICT")
        #expect(
            dialect.schema("CREATE TABLE IF NOT EXISTS a (b TEXT PRIMARY KEY NOT NULL)\n CLUSTERED\n")
                == "CREATE TABLE IF NOT EXISTS a (b TEXT PRIMARY KEY NOT NULL)\n WITHOUT ROWID, STRICT")
        #expect(
            dialect.schema("CREATE TABLE \"BIGINT\" (b TEXT DEFAULT 'BYTEA', bigint BIGINT);")
                == "CREATE TABLE \"BIGINT\" (b TEXT DEFAULT 'BYTEA', bigint INTEGER) STRICT")
        #expect(dialect.schema("ALTER TABLE a ADD COLUMN f BYTEA") == "ALTER TABLE a ADD COLUMN f BLOB")
        #expect(dialect.schema("CREATE INDEX i ON a (b)") == "CREATE INDEX i ON a (b)")
    }

    @Test(arguments: Engine.all) func textIsComparedBytewise(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let texts = ["b", "a", "B", "ä", "a\u{308}", "Z", "\u{10FFFF}", "\u{FFFD}", "aa", ""]
        for (id, text) in texts.enumerated() { try await store.insert(Int64(id), text) }
        let sorted = try await store.database.read {
            try $0.query("SELECT body FROM note ORDER BY body").map { try $0.text(0) }
        }
        let expected = texts.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(sorted.map { Array($0.utf8) } == expected)
        await store.database.close()
    }
}
