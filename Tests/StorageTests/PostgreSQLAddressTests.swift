import Base
import TestDatabases
import Testing

@testable import Storage

/// What is said of addresses and refusals.
@Suite struct PostgreSQLAddressTests {
    @Test(arguments: [
        "postgresql://kith:se/cret@localhost/kith", "postgresql://kith:secret%zz@localhost/kith",
        "postgresql://localhost:secret/kith", "postgresql://localhost:0/kith",
        "postgresql://kith:se/x?secret=1@localhost/kith",
        "postgresql://[secret/kith", "secret",
    ])
    func whatCannotBeReadIsNotQuoted(_ address: String) throws {
        let mistake = try #require(PostgreSQLAddress.mistake(in: address))
        #expect(!mistake.contains("secret") && mistake.contains("%XX"))
    }

    @Test(arguments: [
        "postgresql:///kith", "postgresql://a:5432,b:5433/kith?sslmode=verify-full", "postgresql://%2Frun/kith",
    ])
    func whatCanBeReadIsTried(_ address: String) {
        #expect(PostgreSQLAddress.mistake(in: address) == nil)
    }

    @Test func refusalsAreToldFromAbsence() {
        let refused = PostgreSQLAddress.refusal(
            "connection to server at \"::1\", port 5432 failed: FATAL:  28P01: password authentication failed for user "
                + "\"kith\"\nLOCATION:  auth_failed, auth.c:334\n")
        #expect(
            refused
                == .unavailable(
                    detail: "connection to server at \"::1\", port 5432 failed: FATAL: password authentication failed "
                        + "for user \"kith\" (28P01)"))
        #expect(PostgreSQLAddress.isRefusal(refused))
        let starting = PostgreSQLAddress.refusal(
            "connection to x failed: FATAL:  57P03: the database system is starting up")
        #expect(!PostgreSQLAddress.isRefusal(starting))
        let absent = PostgreSQLAddress.refusal(
            "connection to server at \"::1\", port 5432 failed: Connection refused\n\tIs it?")
        #expect(absent == .unavailable(detail: "connection to server at \"::1\", port 5432 failed: Connection refused"))
        #expect(!PostgreSQLAddress.isRefusal(absent))
    }

    @Test func tablesAreFoundInTheSchema() {
        let migration = Migration(
            room: "a", number: 1,
            statements: [
                "CREATE TABLE one (id BIGINT)", "CREATE TABLE IF NOT EXISTS two(id BIGINT)",
                "CREATE INDEX three ON one (id)",
                "CREATE TABLE\n    four (\n id BIGINT)",
            ])
        #expect(migration.tableNames == ["one", "two", "four"])
    }
}
