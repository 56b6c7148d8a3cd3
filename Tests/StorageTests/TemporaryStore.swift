import Base
import Foundation
import Storage

/// A scratch directory that is removed with its last holder.
final class ScratchDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/kith-storage-XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else { throw StorageError.unavailable(detail: "mkdtemp") }
        path = String(cString: made)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String) -> String { path + "/" + name }
}

/// A database on a real file, with Storage's schema and whatever a test adds to it.
struct TestStore: Sendable {
    let directory: ScratchDirectory
    let database: SQLiteDatabase

    static let notes = Migration(
        room: "notes", number: 1,
        statements: ["CREATE TABLE note (id BIGINT PRIMARY KEY NOT NULL, body TEXT NOT NULL UNIQUE)"])

    init(
        _ migrations: [Migration] = [TestStore.notes], in directory: ScratchDirectory? = nil,
        options: SQLiteOptions = SQLiteOptions()
    ) async throws {
        self.directory = try directory ?? ScratchDirectory()
        database = try SQLiteDatabase(path: self.directory.file("kith.sqlite"), options: options)
        _ = try await Migrator(migrations, clock: ManualClock()).migrate(database)
    }

    /// Closes the database and opens it again.
    func reopened(options: SQLiteOptions = SQLiteOptions()) async throws -> TestStore {
        await database.close()
        return try await TestStore(in: directory, options: options)
    }

    func bodies() async throws -> [String] {
        try await database.read { try $0.query("SELECT body FROM note ORDER BY id").map { try $0.text(0) } }
    }

    func insert(_ id: Int64, _ body: String) async throws {
        try await database.write {
            try $0.execute("INSERT INTO note (id, body) VALUES ($1, $2)", [.integer(id), .text(body)])
        }
    }
}
