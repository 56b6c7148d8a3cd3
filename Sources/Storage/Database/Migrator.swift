package import Base
import Crypto

/// Why the schema could not be brought up to date. Nothing was changed beyond the steps already recorded.
package enum MigrationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// A step that was shipped and applied has other statements now.
    case changed(room: String, number: Int)
    /// The database has a step this program doesn't know: it was used by a newer version.
    case newer(room: String, number: Int)
    /// The steps of a room aren't numbered 1, 2, 3 …: a mistake in this program.
    case misnumbered(room: String)
    /// A step failed; it was undone.
    case failed(room: String, number: Int, StorageError)
    /// The table of applied steps can't be read or made.
    case unreadable(StorageError)

    package var description: String {
        switch self {
        case .changed(let room, let number):
            "step \(number) of the schema of '\(room)' differs from the one this database was made with"
        case .newer(let room, let number):
            "this database was used by a newer version of Kith (it has step \(number) of '\(room)')"
        case .misnumbered(let room):
            "the schema steps of '\(room)' are not numbered 1, 2, 3 …"
        case .failed(let room, let number, let error):
            "step \(number) of the schema of '\(room)' failed: \(error)"
        case .unreadable(let error):
            "the record of schema steps can't be read: \(error)"
        }
    }
}

/// A step of the schema that was applied to a database.
package struct SchemaStep: Sendable, Hashable {
    package let room: String
    package let number: Int
    /// SHA-256 over its statements; 32 bytes.
    package let digest: [UInt8]

    package init(room: String, number: Int, digest: [UInt8]) {
        self.room = room
        self.number = number
        self.digest = digest
    }
}

/// Brings a database's schema up to date: each step in its own transaction, recorded with a digest.
package struct Migrator: Sendable {
    private let migrations: [Migration]
    private let clock: any WallClock

    /// - Parameter migrations: those of all rooms of this program, in the order they are to be applied; those of
    ///   Storage itself come first by themselves.
    package init(_ migrations: [Migration], clock: any WallClock) {
        self.migrations = StorageSchema.migrations + migrations
        self.clock = clock
    }

    private init(all migrations: [Migration], clock: any WallClock) {
        self.migrations = migrations
        self.clock = clock
    }

    /// The steps that a database has, by room and number.
    package static func steps(in scope: any ReadScope) throws -> [SchemaStep] {
        try scope.query("SELECT room, number, digest FROM storage_migration ORDER BY room, number").map { row in
            SchemaStep(room: try row.text(0), number: Int(try row.integer(1)), digest: try row.blob(2))
        }
    }

    /// A migrator that goes no further than `steps`, to make a database as an older program left one.
    /// - Throws: `.newer` when one of them isn't known here, `.changed` when it is another here.
    package func limited(to steps: [SchemaStep]) throws(MigrationError) -> Migrator {
        for step in steps {
            let known = migrations.first { $0.room == step.room && $0.number == step.number }
            guard let known else { throw .newer(room: step.room, number: step.number) }
            guard known.digest == step.digest else { throw .changed(room: step.room, number: step.number) }
        }
        let wanted = Set(steps.map { Step(room: $0.room, number: $0.number) })
        return Migrator(
            all: migrations.filter { wanted.contains(Step(room: $0.room, number: $0.number)) }, clock: clock)
    }

    /// Applies what is missing.
    /// - Returns: the steps applied by this call, in order; empty when the schema was up to date.
    package func migrate(_ database: some Database) async throws(MigrationError) -> [Migration] {
        let missing = try await missing(in: database)
        guard !missing.isEmpty else { return [] }
        try await makeRecord(database)
        var done: [Migration] = []
        for migration in missing where try await apply(migration, to: database) { done.append(migration) }
        return done
    }

    /// What `migrate` would apply, in order. Changes nothing.
    package func missing(in database: some Database) async throws(MigrationError) -> [Migration] {
        try checkNumbers()
        let applied = try await applied(database)
        let known = Set(migrations.map { Step(room: $0.room, number: $0.number) })
        if let unknown = applied.keys.filter({ !known.contains($0) }).min() {
            throw .newer(room: unknown.room, number: unknown.number)
        }
        for migration in migrations {
            let digest = applied[Step(room: migration.room, number: migration.number)]
            guard digest == nil || digest == migration.digest else {
                throw .changed(room: migration.room, number: migration.number)
            }
        }
        return migrations.filter { applied[Step(room: $0.room, number: $0.number)] == nil }
    }

    /// Several processes may start at once, and a step may take long: whoever finds another one at it waits so often
    /// for as long as the engine waits.
    private static let attemptsMax = 200

    private func writing<T: Sendable>(
        _ database: some Database, _ body: @escaping @Sendable (any WriteScope) throws -> T
    ) async throws -> T {
        for _ in 1..<Self.attemptsMax {
            do { return try await database.write(body) } catch StorageError.busy {}
        }
        return try await database.write(body)
    }

    private struct Step: Hashable, Comparable {
        let room: String
        let number: Int

        static func < (left: Step, right: Step) -> Bool { (left.room, left.number) < (right.room, right.number) }
    }

    private func checkNumbers() throws(MigrationError) {
        var last: [String: Int] = [:]
        for migration in migrations {
            guard migration.number == last[migration.room, default: 0] + 1 else {
                throw .misnumbered(room: migration.room)
            }
            last[migration.room] = migration.number
        }
    }

    private func applied(_ database: some Database) async throws(MigrationError) -> [Step: [UInt8]] {
        let dialect = database.dialect
        do {
            return try await database.read { scope in
                guard try dialect.hasTable("storage_migration", in: scope) else { return [:] }
                var steps: [Step: [UInt8]] = [:]
                for step in try Self.steps(in: scope) {
                    steps[Step(room: step.room, number: step.number)] = step.digest
                }
                return steps
            }
        } catch {
            throw .unreadable(StorageError(any: error))
        }
    }

    private func makeRecord(_ database: some Database) async throws(MigrationError) {
        let create = database.dialect.schema(
            """
            CREATE TABLE IF NOT EXISTS storage_migration (
                room TEXT NOT NULL, number BIGINT NOT NULL, digest BYTEA NOT NULL, applied_at BIGINT NOT NULL,
                PRIMARY KEY (room, number)
            ) CLUSTERED
            """)
        do {
            try await writing(database) { scope in _ = try scope.execute(create) }
        } catch {
            throw .unreadable(StorageError(any: error))
        }
    }

    /// - Returns: false when another process has applied the step meanwhile.
    private func apply(_ migration: Migration, to database: some Database) async throws(MigrationError) -> Bool {
        let statements = migration.statements.map { database.dialect.schema($0) }
        let now = clock.now().microseconds
        do {
            return try await writing(database) { scope in
                let isApplied = try scope.first(
                    "SELECT 1 FROM storage_migration WHERE room = $1 AND number = $2",
                    [.text(migration.room), .integer(migration.number)])
                guard isApplied == nil else { return false }
                try scope.expectLongStatements()
                for statement in statements { try scope.execute(statement) }
                try scope.execute(
                    "INSERT INTO storage_migration (room, number, digest, applied_at) VALUES ($1, $2, $3, $4)",
                    [.text(migration.room), .integer(migration.number), .blob(migration.digest), .integer(now)])
                return true
            }
        } catch {
            throw .failed(room: migration.room, number: migration.number, StorageError(any: error))
        }
    }
}

extension Migration {
    /// SHA-256 over the statements as written in the common subset, so that it is the same on every engine.
    var digest: [UInt8] {
        var hash = SHA256()
        for statement in statements {
            let bytes = Array(statement.utf8)
            withUnsafeBytes(of: UInt64(bytes.count).bigEndian) { hash.update(bufferPointer: $0) }
            bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return Array(hash.finalize())
    }
}

extension StorageError {
    /// The error itself, or `.unavailable` for anything that is not one of ours.
    init(any error: any Error) {
        self = error as? StorageError ?? .unavailable(detail: String(describing: error))
    }
}
