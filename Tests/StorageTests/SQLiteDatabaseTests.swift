import Base
import Storage
import Testing

@Suite struct SQLiteDatabaseTests {
    @Test func whatWasWrittenIsThereAfterReopening() async throws {
        var store = try await TestStore()
        for id in 1...20 { try await store.insert(Int64(id), "note \(id)") }
        store = try await store.reopened()
        #expect(try await store.bodies() == (1...20).map { "note \($0)" })
        await store.database.close()
    }

    @Test func parametersGoByNumberNotByOrder() async throws {
        let store = try await TestStore()
        let row = try await store.database.read {
            try $0.first("SELECT $2, $1, $2, '$3'", [.text("one"), .integer(2)])
        }
        #expect(row?.values == [.integer(2), .text("one"), .integer(2), .text("$3")])
        await store.database.close()
    }

    @Test func everyKindOfValueSurvives() async throws {
        let store = try await TestStore([
            Migration(
                room: "values", number: 1,
                statements: [
                    """
                    CREATE TABLE held (
                        id BIGINT PRIMARY KEY NOT NULL, i BIGINT, r DOUBLE PRECISION, t TEXT, b BYTEA
                    )
                    """
                ])
        ])
        let rows: [[SQLValue]] = [
            [1, .integer(.max), .real(1.5), .text("grüße 🌍"), .blob([0, 1, 255])],
            [2, .integer(.min), .real(-0.0), .text(""), .blob([])],
            [3, .null, .null, .null, .null],
        ]
        try await store.database.write { scope in
            for row in rows { try scope.execute("INSERT INTO held (id, i, r, t, b) VALUES ($1,$2,$3,$4,$5)", row) }
        }
        let read = try await store.database.read { try $0.query("SELECT id, i, r, t, b FROM held ORDER BY id") }
        #expect(read.map(\.values) == rows)
        await store.database.close()
    }

    @Test func aStreamGivesAllBytesOfOneState() async throws {
        let store = try await TestStore()
        for id in 1...50 { try await store.insert(Int64(id), String(repeating: "x\(id)", count: 1000)) }
        let expected = try await store.bodies().joined()
        let stream = try await store.database.stream { scope, sink in
            try scope.forEach("SELECT body FROM note ORDER BY id", []) { row in
                try sink.write(Array(try row.text(0).utf8))
                return true
            }
        }
        var bytes: [UInt8] = []
        for try await chunk in stream { bytes += chunk }
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        await store.database.close()
    }
}
