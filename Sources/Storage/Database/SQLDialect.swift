/// How the common subset of SQL is spelled for one engine. Where engines must differ, the difference is here.
package struct SQLDialect: Sendable, Hashable {
    /// `sqlite` or `postgresql`.
    package let engine: Engine
    /// Appended to the `SELECT` that picks rows to be claimed, so that several claimers don't wait for one another.
    package let claimSuffix: String

    /// The engines there are.
    package enum Engine: String, Sendable {
        case sqlite
        case postgresql
    }

    /// SQLite ≥ 3.40: `BIGINT` → `INTEGER`, `BYTEA` → `BLOB`, `CLUSTERED` → `WITHOUT ROWID`; every table is `STRICT`,
    /// so that a value of another type is refused as PostgreSQL refuses it. One writer at a time: claims don't meet.
    package static let sqlite = SQLDialect(engine: .sqlite, claimSuffix: "")

    /// PostgreSQL ≥ 15: `TEXT` → `TEXT COLLATE "C"`, so that text compares bytewise whatever the database's own order is;
    /// `CLUSTERED` is dropped, for there every table is a heap. Claims run in the committer's transactions, which the
    /// processes on a database take in turns: there is nothing to skip.
    package static let postgreSQL = SQLDialect(engine: .postgresql, claimSuffix: "")

    /// Translates one schema statement (`CREATE TABLE`, `CREATE INDEX`, `ALTER TABLE`, or any other, left as it is).
    ///
    /// Words inside quotes and comments stay. The statement must be one, and neither begin nor end with a comment.
    package func schema(_ statement: String) -> String {
        guard Self.changesTable(statement) else { return statement }
        let plain = engine == .sqlite ? statement.replacing("DOUBLE PRECISION", with: "REAL") : statement
        let words = Self.translating(plain, types)
        guard Self.startsTable(statement) else { return words }
        let trimmed = String(words.reversed().drop { $0 == " " || $0 == "\n" || $0 == ";" }.reversed())
        let isClustered = trimmed.hasSuffix("CLUSTERED")
        let table = isClustered ? String(trimmed.dropLast("CLUSTERED".count)) : trimmed
        switch engine {
        case .sqlite: return table + (isClustered ? "WITHOUT ROWID, STRICT" : " STRICT")
        case .postgresql: return table
        }
    }

    private var types: [String: String] {
        switch engine {
        case .sqlite: ["BIGINT": "INTEGER", "BYTEA": "BLOB"]
        case .postgresql: ["TEXT": "TEXT COLLATE \"C\""]
        }
    }

    private static func changesTable(_ statement: String) -> Bool {
        let words = statement.split(maxSplits: 3) { $0 == " " || $0 == "\n" }.prefix(2)
        return words.last?.uppercased() == "TABLE"
    }

    private static func startsTable(_ statement: String) -> Bool {
        let words = statement.split(maxSplits: 3) { $0 == " " || $0 == "\n" }.prefix(2)
        return words.map { $0.uppercased() } == ["CREATE", "TABLE"]
    }
}
