import Base
import TestDatabases
import Testing

@testable import Storage

/// What of a statement is code, and what is text, a quoted name or a comment.
@Suite struct SQLScannerTests {
    /// Statements, what SQLite is given for them, and how many parameters they have.
    private static let statements: [(sql: String, sqlite: String, count: Int)] = [
        ("SELECT $1, $2", "SELECT ?1, ?2", 2),
        ("SELECT $2", "SELECT ?2", 2),
        ("SELECT $12, $3", "SELECT ?12, ?3", 12),
        ("SELECT '$1', $1", "SELECT '$1', ?1", 1),
        ("SELECT 'it''s $9', $1", "SELECT 'it''s $9', ?1", 1),
        ("SELECT '''$9''', '', $1", "SELECT '''$9''', '', ?1", 1),
        ("SELECT '\"', $1, '\"'", "SELECT '\"', ?1, '\"'", 1),
        ("SELECT \"$9\" FROM \"it's $8\" WHERE a = $1", "SELECT \"$9\" FROM \"it's $8\" WHERE a = ?1", 1),
        ("SELECT \"a\"\"$9\", $1", "SELECT \"a\"\"$9\", ?1", 1),
        ("SELECT $1 -- not $9, don't\n, $2", "SELECT ?1 -- not $9, don't\n, ?2", 2),
        ("SELECT $1 - $2", "SELECT ?1 - ?2", 2),
        ("SELECT $1 -$2-$3", "SELECT ?1 -?2-?3", 3),
        ("SELECT /* $9 isn't 'one */ $1 /**/ , $2", "SELECT /* $9 isn't 'one */ ?1 /**/ , ?2", 2),
        ("SELECT /*/ $9 */ $1", "SELECT /*/ $9 */ ?1", 1),
        ("SELECT $4/$1*$2", "SELECT ?4/?1*?2", 4),
        ("SELECT '/*', $1, '*/', '--', $2", "SELECT '/*', ?1, '*/', '--', ?2", 2),
        ("SELECT /* -- */ $1", "SELECT /* -- */ ?1", 1),
        ("SELECT -- /*\n $1", "SELECT -- /*\n ?1", 1),
        ("SELECT 'ä$9ö', $1, 'never ends $8", "SELECT 'ä$9ö', ?1, 'never ends $8", 1),
        ("SELECT 1 -- $9", "SELECT 1 -- $9", 0),
        ("", "", 0),
    ]

    @Test func placeholdersAreFoundInCodeAlone() {
        for (sql, sqlite, count) in Self.statements {
            #expect(SQLDialect.sqlitePlaceholders(sql) == sqlite)
            #expect(SQLDialect.parameterCount(sql) == count, "\(sql)")
        }
        #expect(SQLDialect.parameterCount("SELECT $" + String(repeating: "9", count: 400)) < 1_000_000)
    }

    @Test func wordsAreTranslatedInCodeAlone() {
        let schema =
            "CREATE TABLE \"a BIGINT\" (b BIGINT DEFAULT 1, /* BIGINT */ c TEXT DEFAULT 'no '' BIGINT', BIGINTä BYTEA)"
        #expect(
            SQLDialect.sqlite.schema(schema)
                == "CREATE TABLE \"a BIGINT\" (b INTEGER DEFAULT 1, /* BIGINT */ c TEXT DEFAULT 'no '' BIGINT', BIGINTä BLOB) STRICT"
        )
        #expect(
            SQLDialect.postgreSQL.schema("CREATE TABLE a (b TEXT, -- TEXT\n c BYTEA)")
                == "CREATE TABLE a (b TEXT COLLATE \"C\", -- TEXT\n c BYTEA)")
    }

    /// The engines themselves read it so.
    @Test(arguments: Engine.all) func theEnginesAgree(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "it's $2 -- /* \"")
        let row = try await store.database.read { scope in
            try scope.first(
                """
                SELECT id AS "$3 '", body, 'it''s $4' /* $5 isn't */ FROM note -- $6 '
                WHERE id = $1 AND body = $2
                """, [1, "it's $2 -- /* \""])
        }
        #expect(try row?.text(2) == "it's $4")
        await #expect(throws: StorageError.self) {
            try await store.database.read { try $0.first("SELECT '$1'", [1]) }
        }
        await store.database.close()
    }
}
