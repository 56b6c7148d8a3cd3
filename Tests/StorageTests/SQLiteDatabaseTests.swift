import Base
import Foundation
import Storage
import TestDatabases
import Testing

@Suite struct SQLiteDatabaseTests {
    @Test func anotherProcessThatHoldsTheFileIsWaitedFor() async throws {
        var options = TestOptions()
        options.sqlite.busyTimeout = .milliseconds(20)
        let store = try await TestStore(.sqlite, options: options)
        let other = try SQLiteDatabase(path: store.directory.file("kith.sqlite"), options: options.sqlite)
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
        let store = try await TestStore(.sqlite)
        try await store.insert(1, "private")
        for name in ["kith.sqlite", "kith.sqlite-wal", "kith.sqlite-shm"] {
            let path = store.directory.file(name)
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        }
        await store.database.close()
    }

    @Test func theLogOfChangesIsTrimmed() async throws {
        var options = TestOptions()
        options.sqlite.checkpointSizeBytes = 512 << 10
        let store = try await TestStore(.sqlite, options: options)
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
}
