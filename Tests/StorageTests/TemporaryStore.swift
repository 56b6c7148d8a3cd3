import Base
import Storage
import TestDatabases

/// A database of either engine, with Storage's schema and whatever a test adds to it.
struct TestStore: Sendable {
    let scratch: ScratchDatabase
    let database: any Database

    var directory: ScratchDirectory { scratch.directory }

    static let notes = Migration(
        room: "notes", number: 1,
        statements: ["CREATE TABLE note (id BIGINT PRIMARY KEY NOT NULL, body TEXT NOT NULL UNIQUE)"])

    init(
        _ engine: Engine, _ migrations: [Migration] = [TestStore.notes], options: TestOptions = TestOptions()
    ) async throws {
        try await self.init(on: ScratchDatabase(engine), migrations, options: options)
    }

    init(
        on scratch: ScratchDatabase, _ migrations: [Migration] = [TestStore.notes],
        options: TestOptions = TestOptions()
    ) async throws {
        self.scratch = scratch
        database = try scratch.open(options)
        _ = try await Migrator(migrations, clock: ManualClock()).migrate(database)
    }

    /// Closes the database and opens it again.
    func reopened(options: TestOptions = TestOptions()) async throws -> TestStore {
        await database.close()
        return try await TestStore(on: scratch, options: options)
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
