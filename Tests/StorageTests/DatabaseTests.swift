import Base
import Storage
import TestDatabases
import Testing

@Suite struct DatabaseTests {
    @Test(arguments: Engine.all) func whatWasWrittenIsThereAfterReopening(_ engine: Engine) async throws {
        var store = try await TestStore(engine)
        for id in 1...20 { try await store.insert(Int64(id), "note \(id)") }
        store = try await store.reopened()
        #expect(try await store.bodies() == (1...20).map { "note \($0)" })
        await store.database.close()
    }

    @Test(arguments: Engine.all) func parametersGoByNumberNotByOrder(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let row = try await store.database.read {
            try $0.first("SELECT $2, $1, $2, '$3'", [.text("one"), .integer(2)])
        }
        #expect(row?.values == [.integer(2), .text("one"), .integer(2), .text("$3")])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func everyKindOfValueSurvives(_ engine: Engine) async throws {
        let store = try await TestStore(
            engine,
            [
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

    @Test(arguments: Engine.all) func aStatementMayBeAskedAgainWhileItsRowsAreRead(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        for id in 1...5 { try await store.insert(Int64(id), "\(id)") }
        let pairs = try await store.database.read { scope in
            var pairs = 0
            let sql = "SELECT id FROM note WHERE id > $1 ORDER BY id"
            try scope.forEach(sql, [0]) { outer in
                try scope.forEach(sql, [.integer(try outer.integer(0))]) { _ in
                    pairs += 1
                    return true
                }
                return true
            }
            return pairs
        }
        #expect(pairs == 10)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func moreStatementsThanAreKeptStillRun(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.database.write { scope in
            for id in 0..<1000 {
                try scope.execute("INSERT INTO note (id, body) VALUES (\(id), $1)", [.text("\(id)")])
                let found = try scope.first("SELECT body FROM note WHERE id = $1", [.integer(id)])?.text(0)
                guard found == "\(id)" else { throw Refusal(reason: id) }
            }
        }
        #expect(try await store.bodies().count == 1000)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func mistakesAreTold(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        for (sql, parameters) in [
            ("SELEC 1", []), ("", []), ("SELECT id FROM nowhere", []), ("SELECT $1", []), ("SELECT 1", [1]),
            ("SELECT 1; SELECT 2", []),
        ] as [(String, [SQLValue])] {
            do {
                _ = try await store.database.read { try $0.query(sql, parameters) }
                Issue.record("\(sql) ran")
            } catch StorageError.statement {}
        }
        await #expect(throws: StorageError.decoding(column: 0, expected: "integer", found: "text")) {
            try await store.database.read { try $0.first("SELECT 'a'")?.integer(0) }
        }
        await #expect(throws: StorageError.decoding(column: 1, expected: "a column", found: "1 columns")) {
            try await store.database.read { try $0.first("SELECT 'a'")?.text(1) }
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func tooManyReadsAreRefused(_ engine: Engine) async throws {
        var options = TestOptions()
        options.readersMax = 1
        options.readsWaitingMax = 2
        let store = try await TestStore(engine, options: options)
        let database = store.database
        let gate = Gate()
        let isHeld = Ran()
        async let held: Void = database.read { _ in
            isHeld.add(1)
            gate.wait()
        }
        while isHeld.all.isEmpty { await Task.yield() }
        let results = await withTaskGroup(of: StorageError?.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    do { try await database.read { _ in } } catch { return error as? StorageError }
                    return nil
                }
            }
            var refused = 0
            var all: [StorageError?] = []
            for await error in group {
                all.append(error)
                if error != nil { refused += 1 }
                // Two wait: the others have been refused by now.
                if refused == 8 { gate.open() }
            }
            return all
        }
        try await held
        #expect(results.compactMap(\.self).allSatisfy { $0 == .overloaded })
        #expect(results.filter { $0 == nil }.count == 2)
        await database.close()
    }

    /// The log of changes stays near its bound however much is written, and readers don't stop that.
    @Test(arguments: Engine.all) func aStreamGivesAllBytesOfOneState(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
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
