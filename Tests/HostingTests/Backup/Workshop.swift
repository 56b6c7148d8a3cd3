import ATProtocol
import Base
import Contracts
import Foundation
import Hosting
import Storage
import TestDatabases

/// An instance in small: a table of notes, blobs, and what holds them.
final class Workshop: Sendable {
    static let migrations = [
        Migration(
            room: "notes", number: 1,
            statements: [
                "CREATE TABLE note (id BIGINT PRIMARY KEY NOT NULL, body TEXT NOT NULL)",
                """
                CREATE TABLE note_blob (
                    repository BIGINT NOT NULL, cid BYTEA NOT NULL, size BIGINT NOT NULL, location TEXT NOT NULL,
                    PRIMARY KEY (repository, cid)
                ) CLUSTERED
                """,
                "CREATE TABLE note_hold (name TEXT PRIMARY KEY NOT NULL, expires_at BIGINT NOT NULL) CLUSTERED",
            ])
    ]
    static let did = try? DID(parsing: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")

    let scratch: ScratchDatabase
    let database: any Database
    let blobs: DiskBlobStore
    let clock = ManualClock()
    let random: SeededRandomness
    let key: RecoveryKey

    init(_ engine: Engine, seed: UInt64 = 1, migrated: Bool = true) async throws {
        random = SeededRandomness(seed: seed)
        scratch = try await ScratchDatabase(engine)
        database = try scratch.open()
        blobs = try DiskBlobStore(path: scratch.directory.file("blobs"), randomness: random)
        key = try RecoveryKey(randomness: SeededRandomness(seed: 99))
        if migrated { _ = try await Migrator(Self.migrations, clock: clock).migrate(database) }
    }

    var folder: String { scratch.directory.file("backup") }
    var place: BackupPlace { .folder(folder) }

    func close() async {
        await blobs.close()
        await database.close()
    }

    func addNotes(_ count: Int, sizeBytes: Int = 200) async throws {
        let bodies = (0..<count).map { _ in Hex.encode(random.bytes(sizeBytes / 2)) }
        try await database.write { scope in
            for body in bodies {
                let id = try scope.advance(SequenceName("notes"), by: 1)
                try scope.execute("INSERT INTO note (id, body) VALUES ($1, $2)", [.integer(id), .text(body)])
            }
        }
    }

    @discardableResult
    func addBlob(_ sizeBytes: Int) async throws -> StoredBlob {
        guard let did = Self.did else { throw BackupError.malformedKey }
        let bytes = random.bytes(sizeBytes)
        let stored = try await blobs.put(Chunks([bytes]), for: did, sizeBytesMax: 1 << 30)
        try await database.write { scope in
            try scope.execute(
                "INSERT INTO note_blob (repository, cid, size, location) VALUES (1, $1, $2, $3)",
                [.blob(stored.cid.bytes), .integer(stored.sizeBytes), .text(stored.location.string)])
        }
        return stored
    }

    @discardableResult
    func backUp(
        with key: RecoveryKey? = nil, in folder: String? = nil,
        progress: @escaping @Sendable (BackupProgress) -> Void = { _ in }
    ) async throws -> BackupCreation.Summary {
        try await BackupCreation(
            database: database, blobs: blobs, holdings: NoteHoldings(), clock: clock, randomness: random
        ).run(
            in: .folder(folder ?? self.folder), key: (key ?? self.key).sealing,
            instance: BackedUpInstance(name: "kith.test", did: "did:web:kith.test", version: "1"),
            secrets: [SecretFile(name: "vault.key", bytes: [1, 2, 3])], progress: progress)
    }

    func inspect(_ key: RecoveryKey?, newest: Int? = nil) async throws -> BackupInspection.Report {
        let reader = try await BackupReader.open(place)
        let report = try await BackupInspection(reader).run(key: key, newest: newest) { _ in }
        await reader.close()
        return report
    }

    /// Restores the newest backup, or another, into an empty workshop.
    func restore(_ number: Int? = nil, into target: Workshop) async throws -> BackupManifest {
        let reader = try await BackupReader.open(place)
        let manifest = try await reader.manifest(number, key)
        let restoration = BackupRestoration(reader, manifest, key) { _ in }
        try await restoration.loadTables(into: target.database, migrations: Self.migrations, clock: target.clock)
        _ = try await restoration.loadBlobs(into: target.blobs, database: target.database, holdings: NoteHoldings())
        await reader.close()
        return manifest
    }

    func notes() async throws -> [String] {
        try await database.read { try $0.query("SELECT body FROM note ORDER BY id").map { try $0.text(0) } }
    }

    func heldBlobs() async throws -> [HeldBlob] {
        try await database.read { try NoteHoldings().blobs(after: nil, limit: 1000, in: $0) }
    }

    /// The files of the folder with their bytes, but for the lock.
    func files() throws -> [String] {
        let all = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return all.filter { name in
            var isFolder: ObjCBool = false
            let isThere = FileManager.default.fileExists(atPath: folder + "/" + name, isDirectory: &isFolder)
            return isThere && !isFolder.boolValue && name != "lock"
        }.sorted()
    }

    func bytes(_ name: String) -> [UInt8] {
        [UInt8](FileManager.default.contents(atPath: folder + "/" + name) ?? Data())
    }

    func put(_ bytes: [UInt8], _ name: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: folder + "/" + name))
    }
}

/// Holds blobs by the tables of the workshop.
struct NoteHoldings: BlobHoldings {
    func hold(_ name: String, until moment: Timestamp, in scope: any WriteScope) throws {
        try scope.execute(
            "INSERT INTO note_hold VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at",
            [.text(name), .integer(moment.microseconds)])
    }

    func release(_ name: String, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM note_hold WHERE name = $1", [.text(name)])
    }

    func releaseAll(in scope: any WriteScope) throws { try scope.execute("DELETE FROM note_hold") }

    func blobs(after last: HeldBlob?, limit: Int, in scope: any ReadScope) throws -> [HeldBlob] {
        guard let did = Workshop.did else { return [] }
        return try scope.query(
            "SELECT repository, cid, size, location FROM note_blob WHERE cid > $1 ORDER BY cid LIMIT $2",
            [.blob(last?.cid.bytes ?? []), .integer(limit)]
        ).map { row in
            HeldBlob(
                repository: try row.integer(0), did: did, cid: try CID(bytes: row.blob(1)),
                sizeBytes: try row.integer(2), location: try BlobLocation(parsing: row.text(3)))
        }
    }

    func relocate(_ blob: HeldBlob, to location: BlobLocation, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE note_blob SET location = $2 WHERE cid = $1", [.blob(blob.cid.bytes), .text(location.string)])
    }
}

/// Bytes in pieces.
struct Chunks: AsyncSequence, Sendable {
    typealias Element = [UInt8]
    let chunks: [[UInt8]]

    init(_ chunks: [[UInt8]]) { self.chunks = chunks }

    struct Iterator: AsyncIteratorProtocol {
        var rest: ArraySlice<[UInt8]>
        mutating func next() async throws -> [UInt8]? { rest.popFirst() }
    }

    func makeAsyncIterator() -> Iterator { Iterator(rest: chunks[...]) }
}
