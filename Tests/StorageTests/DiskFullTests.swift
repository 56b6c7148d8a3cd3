import Base
import Foundation
import Storage
import TestDatabases
import Testing

/// A database that may not grow, and a file system that is full.
@Suite struct DiskFullTests {
    private static let insert = "INSERT INTO note (id, body) VALUES ($1, $2)"

    @Test func aFullDatabaseSaysSoAndRecovers() async throws {
        var options = TestOptions()
        options.sqlite.sizeBytesMax = 400_000
        let store = try await TestStore(.sqlite, options: options)
        let (landed, failure) = await Self.fill(store.database)
        #expect(failure as? StorageError == .full)
        #expect((failure as? StorageError)?.wire.status == 507)
        #expect(try await store.bodies().count == landed)
        // Small neighbours of a large write are not harmed by it.
        try await store.database.write { try $0.execute("DELETE FROM note WHERE id <= 10") }
        try await store.insert(5000, "there is room again")
        #expect(try await store.bodies().count == landed - 10 + 1)
        await store.database.close()
    }

    /// SQLite may give up the whole transaction: what the body does after that must not be committed by itself.
    @Test func aBodyThatIgnoresAFullDiskCommitsAllOrNothing() async throws {
        var options = TestOptions()
        options.sqlite.sizeBytesMax = 400_000
        let store = try await TestStore(.sqlite, options: options)
        for id in 1...40 {
            let outcome: Void? = try? await store.database.write { scope in
                try scope.execute(Self.insert, [.integer(2 * id), .text("before \(id)")])
                _ = try? scope.execute(
                    Self.insert, [.integer(10_000 + id), .text("\(id)" + String(repeating: "x", count: 50_000))])
                _ = try scope.execute(Self.insert, [.integer(2 * id + 1), .text("after \(id)")])
            }
            let count = try await store.database.read { scope in
                try scope.first(
                    "SELECT count(*) FROM note WHERE id IN ($1, $2)", [.integer(2 * id), .integer(2 * id + 1)])?
                    .integer(0)
            }
            #expect(count == (outcome == nil ? 0 : 2))
        }
        await store.database.close()
    }

    /// Tried once: root in a container may lack the right as well.
    private static let mayMount: Bool = {
        guard let directory = try? ScratchDirectory() else { return false }
        return mount(directory.path) && run("/bin/umount", directory.path)
    }()

    @Test(.enabled(if: mayMount, "no right to mount a file system; the tests of a full database have to do"))
    func aFullFileSystemSaysSoAndRecovers() async throws {
        let directory = try ScratchDirectory()
        let volume = directory.file("volume")
        try FileManager.default.createDirectory(atPath: volume, withIntermediateDirectories: true)
        try #require(Self.mount(volume))
        defer { _ = Self.run("/bin/umount", volume) }
        let database = try SQLiteDatabase(path: volume + "/kith.sqlite")
        _ = try await Migrator([TestStore.notes], clock: ManualClock()).migrate(database)
        let ballast = volume + "/ballast"
        try Data(repeating: 1, count: 600_000).write(to: URL(fileURLWithPath: ballast))
        let (landed, failure) = await Self.fill(database)
        #expect(failure as? StorageError == .full)
        let blobs = try DiskBlobStore(path: directory.file("volume/blobs"), randomness: SeededRandomness(seed: 1))
        let chunks = Array(repeating: [UInt8](repeating: 2, count: 100_000), count: 20)
        await #expect(throws: BlobStoreError.full) {
            try await blobs.put(chunks.asAsync(), for: EventLogTests.alice, sizeBytesMax: 10 << 20)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: volume + "/blobs/incoming").isEmpty)
        #expect(try await blobs.list(after: nil, limit: 1).isEmpty)
        await blobs.close()
        try FileManager.default.removeItem(atPath: ballast)
        try await database.write { try $0.execute(Self.insert, [9999, "there is room again"]) }
        let count = try await database.read { try $0.first("SELECT count(*) FROM note")?.integer(0) }
        #expect(count == Int64(landed + 1))
        let verdict = try await database.read { try $0.first("PRAGMA integrity_check")?.text(0) }
        #expect(verdict == "ok")
        await database.close()
    }

    /// Writes notes of 4 kB until one fails.
    private static func fill(_ database: any Database) async -> (landed: Int, failure: (any Error)?) {
        for id in 1...4000 {
            do {
                try await database.write { scope in
                    let body = "\(id) " + String(repeating: "x", count: 4000)
                    try scope.execute(insert, [.integer(id), .text(body)])
                }
            } catch {
                return (id - 1, error)
            }
        }
        return (4000, nil)
    }

    private static func mount(_ path: String) -> Bool {
        run("/bin/mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path)
    }

    private static func run(_ program: String, _ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
