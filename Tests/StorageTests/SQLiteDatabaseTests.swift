import Base
import Foundation
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

    @Test func aStatementMayBeAskedAgainWhileItsRowsAreRead() async throws {
        let store = try await TestStore()
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

    @Test func moreStatementsThanAreKeptStillRun() async throws {
        let store = try await TestStore()
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

    @Test func mistakesAreTold() async throws {
        let store = try await TestStore()
        for (sql, parameters) in [
            ("SELECT", []), ("", []), ("SELECT id FROM nowhere", []), ("SELECT $1", []), ("SELECT 1", [1]),
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

    @Test func tooManyReadsAreRefused() async throws {
        var options = SQLiteOptions()
        options.readersMax = 1
        options.readsWaitingMax = 2
        let store = try await TestStore(options: options)
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

    @Test func anotherProcessThatHoldsTheFileIsWaitedFor() async throws {
        var options = SQLiteOptions()
        options.busyTimeout = .milliseconds(20)
        let store = try await TestStore(options: options)
        let other = try SQLiteDatabase(path: store.directory.file("kith.sqlite"), options: options)
        let gate = Gate()
        let isHeld = Ran()
        async let held: Void = other.write { scope in
            try scope.execute("INSERT INTO note (id, body) VALUES (1, 'theirs')")
            isHeld.add(1)
            gate.wait()
        }
        while isHeld.all.isEmpty { await Task.yield() }
        await #expect(throws: StorageError.busy) { try await store.insert(2, "ours") }
        #expect(try await store.bodies().isEmpty)
        gate.open()
        try await held
        try await store.insert(2, "ours")
        #expect(try await store.bodies() == ["theirs", "ours"])
        await other.close()
        await store.database.close()
    }

    @Test func whatIsNoDatabaseIsRefused() throws {
        let directory = try ScratchDirectory()
        let path = directory.file("kith.sqlite")
        try Data(repeating: 0x41, count: 10_000).write(to: URL(fileURLWithPath: path))
        #expect(throws: StorageError.self) { try SQLiteDatabase(path: path) }
        do {
            _ = try SQLiteDatabase(path: path)
        } catch {
            guard case .corrupt = error else { throw error }
        }
        #expect(throws: StorageError.self) { try SQLiteDatabase(path: directory.file("missing/kith.sqlite")) }
    }

    @Test func theFileIsItsOwnersAlone() async throws {
        let store = try await TestStore()
        try await store.insert(1, "private")
        for name in ["kith.sqlite", "kith.sqlite-wal", "kith.sqlite-shm"] {
            let path = store.directory.file(name)
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        }
        await store.database.close()
    }

    /// The log of changes stays near its bound however much is written, and readers don't stop that.
    @Test func theLogOfChangesIsTrimmed() async throws {
        var options = SQLiteOptions()
        options.checkpointSizeBytes = 512 << 10
        let store = try await TestStore(options: options)
        let database = store.database
        var largest = 0
        for id in 1...1500 {
            try await store.insert(Int64(id), "\(id) " + String(repeating: "z", count: 4000))
            if id % 5 == 0 { _ = try await database.read { try $0.first("SELECT count(*) FROM note") } }
            largest = max(largest, database.statistics().logSizeBytes)
        }
        #expect(database.statistics().checkpoints >= 3)
        #expect(largest < 4 << 20)
        #expect(try await database.read { try $0.first("PRAGMA integrity_check")?.text(0) } == "ok")
        await database.close()
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
