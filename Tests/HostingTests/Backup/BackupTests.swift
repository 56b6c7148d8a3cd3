import ATProtocol
import Base
import Contracts
import Foundation
import Hosting
import Storage
import TestDatabases
import Testing

/// Backups are made, found whole or damaged, and restored, between the engines.
struct BackupTests {
    private static let pairs = Engine.all.flatMap { from in Engine.all.map { (from, $0) } }

    @Test(arguments: BackupTests.pairs) func whatWasThereComesBack(_ from: Engine, _ to: Engine) async throws {
        let source = try await Workshop(from)
        try await source.addNotes(4000)
        for size in [1, 1000, 5 << 20] { try await source.addBlob(size) }
        let made = try await source.backUp()
        #expect(made.manifest.blobCount == 3 && made.manifest.missingBlobs.isEmpty)
        let target = try await Workshop(to, seed: 2, migrated: false)
        let manifest = try await source.restore(into: target)
        #expect(
            manifest.engine == from.rawValue && manifest.secrets == [SecretFile(name: "vault.key", bytes: [1, 2, 3])])
        #expect(try await target.notes() == source.notes())
        let blobs = try await target.heldBlobs()
        #expect(Set(blobs.map(\.cid)) == Set(try await source.heldBlobs().map(\.cid)) && blobs.count == 3)
        for blob in blobs {
            var bytes: [UInt8] = []
            for try await chunk in try await target.blobs.read(blob.location, range: nil) { bytes += chunk }
            #expect(CID.of(raw: bytes) == blob.cid)
        }
        await #expect { _ = try await source.restore(into: target) } throws: {
            if case BackupError.notEmpty = $0 { true } else { false }
        }
        await source.close()
        await target.close()
    }

    @Test(arguments: Engine.all) func onlyWhatIsNewIsAdded(_ engine: Engine) async throws {
        let source = try await Workshop(engine)
        try await source.addNotes(12_000)
        try await source.addBlob(9 << 20)
        let first = try await source.backUp()
        try await source.addNotes(10)
        let small = try await source.addBlob(300)
        let second = try await source.backUp()
        #expect(second.manifest.number == 2 && second.manifest.blobCount == 2)
        #expect(second.newSizeBytes < first.newSizeBytes / 4, "\(second.newSizeBytes) of \(first.newSizeBytes)")
        let again = try await source.backUp()
        #expect(again.manifest.number == 3 && again.newPieceCount <= 2)
        #expect(try await source.inspect(source.key).faults.isEmpty)
        let (old, new) = (try await Workshop(.sqlite, migrated: false), try await Workshop(.sqlite, migrated: false))
        _ = try await source.restore(1, into: old)
        _ = try await source.restore(2, into: new)
        let (oldBlobs, newBlobs) = (try await old.heldBlobs(), try await new.heldBlobs())
        #expect(try await old.notes().count == 12_000)
        #expect(oldBlobs.count == 1 && newBlobs.contains { $0.cid == small.cid })
        #expect(try await new.notes() == source.notes())
        for workshop in [source, old, new] { await workshop.close() }
    }

    /// A byte is flipped at many places of every file; each time it is found, with the key and without.
    @Test func everyFlippedByteIsFound() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(1500)
        try await source.addBlob(5000)
        try await source.backUp()
        try await source.addNotes(50)
        try await source.backUp()
        let seed = SystemRandomness().uint64()
        let random = SeededRandomness(seed: seed)
        for name in try source.files() {
            let bytes = source.bytes(name)
            let ends = [0, 1, 4, 36, bytes.count / 2, bytes.count - 65, bytes.count - 33, bytes.count - 1]
            let places = ends + (0..<24).map { _ in Int(random.uint64() % UInt64(bytes.count)) }
            for place in Set(places) where bytes.indices.contains(place) {
                var other = bytes
                other[place] ^= UInt8(1 << (random.uint64() % 8))
                try source.put(other, name)
                for key in [source.key, nil] {
                    let isFound = await Self.isFound { try await source.inspect(key).faults.isEmpty }
                    #expect(isFound, "seed \(seed): \(name) at \(place)")
                }
            }
            try source.put(bytes, name)
        }
        #expect(try await source.inspect(source.key).faults.isEmpty)
        await source.close()
    }

    /// Whether damage is found: as a fault, or because nothing can be read at all.
    private static func isFound(_ isSound: () async throws -> Bool) async -> Bool {
        do { return try await !isSound() } catch { return error is BackupError }
    }

    @Test func filesThatAreCutGoneAddedOrExchangedAreFound() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(3000)
        try await source.addBlob(5000)
        try await source.addBlob(5000)
        try await source.backUp()
        try await source.addNotes(100)
        try await source.backUp()
        let names = try source.files()
        for name in names {
            let bytes = source.bytes(name)
            for count in [0, 1, bytes.count / 2, bytes.count - 1] {
                try source.put(Array(bytes.prefix(count)), name)
                #expect(await Self.isFound { try await source.inspect(nil).faults.isEmpty }, "\(name) cut at \(count)")
            }
            try FileManager.default.removeItem(atPath: source.folder + "/" + name)
            #expect(await Self.isFound { try await source.inspect(nil, newest: 2).faults.isEmpty }, "\(name) gone")
            try source.put(bytes, name)
        }
        let pieces = names.filter { $0.hasPrefix("pieces/") }
        let (one, two) = (source.bytes(pieces[0]), source.bytes(pieces[1]))
        try source.put(two, pieces[0])
        try source.put(one, pieces[1])
        #expect(try await source.inspect(nil).faults.count == 2)
        try source.put(one, pieces[0])
        try source.put(two, pieces[1])
        for stranger in [
            "backups/000009", "backups/x", "pieces/\(pieces[0].dropFirst(7).prefix(2))/x", "pieces/x", "y",
        ] {
            try source.put([1], stranger)
            #expect(await Self.isFound { try await source.inspect(nil).faults.isEmpty }, "\(stranger) added")
            try FileManager.default.removeItem(atPath: source.folder + "/" + stranger)
        }
        #expect(try await source.inspect(source.key, newest: 2).faults.isEmpty)
        await source.close()
    }

    @Test func aBackupInAnothersPlaceIsFound() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(20)
        try await source.backUp()
        try await source.addNotes(20)
        try await source.backUp()
        let (one, two) = (source.bytes("backups/000001"), source.bytes("backups/000002"))
        try source.put(one, "backups/000002")
        #expect(await Self.isFound { try await source.inspect(nil).faults.isEmpty })
        try source.put(two, "backups/000001")
        #expect(await Self.isFound { try await source.inspect(nil).faults.isEmpty })
        // The folder as it was before the second: whole in itself, but not what the operator was told last.
        try source.put(one, "backups/000001")
        let all = try source.files()
        try FileManager.default.removeItem(atPath: source.folder + "/backups/000002")
        #expect(try await source.inspect(nil).faults.contains { if case .additional = $0 { true } else { false } })
        let older = try await Workshop(.sqlite, seed: 8)
        try await older.addNotes(20)
        try await older.backUp()
        #expect(try await older.inspect(older.key, newest: 1).faults.isEmpty)
        #expect(try await older.inspect(older.key, newest: 2).faults == [.rolledBack(expected: 2, found: 1)])
        // Another's first backup, sealed to the same key, doesn't go before this second.
        try source.put(two, "backups/000002")
        for name in try older.files() where !all.contains(name) || name == "backups/000001" {
            let folder = URL(fileURLWithPath: source.folder + "/" + name).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try source.put(older.bytes(name), name)
        }
        #expect(try await source.inspect(nil).faults.contains(.unchained(number: 2)))
        await source.close()
        await older.close()
    }

    /// It is broken off in the middle; the one before stays whole and the next tidies up.
    @Test(arguments: Engine.all) func anInterruptedBackupHarmsNothing(_ engine: Engine) async throws {
        let source = try await Workshop(engine)
        try await source.addNotes(3000)
        try await source.backUp()
        try await source.addNotes(3000)
        try await source.addBlob(9 << 20)
        let task = Task {
            try await source.backUp { progress in
                if progress.phase == .database, progress.done > 0 { withUnsafeCurrentTask { $0?.cancel() } }
            }
        }
        await #expect(throws: (any Error).self) { _ = try await task.value }
        let before = try await Workshop(.sqlite, migrated: false)
        _ = try await source.restore(1, into: before)
        #expect(try await before.notes().count == 3000)
        #expect(try await source.database.read { try $0.first("SELECT 1 FROM note_hold") } == nil)
        try source.put([1, 2, 3], "incoming")
        #expect(try await source.backUp().manifest.number == 2)
        #expect(try await source.inspect(source.key).faults.isEmpty)
        await source.close()
        await before.close()
    }

    @Test func whatWasLostIsWrittenAnew() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addBlob(9 << 20)
        try await source.backUp()
        let largest = try #require(try source.files().max { source.bytes($0).count < source.bytes($1).count })
        try FileManager.default.removeItem(atPath: source.folder + "/" + largest)
        #expect(try await source.inspect(nil).faults == [.missing(largest)])
        try await source.backUp()
        #expect(try await source.inspect(source.key).faults.isEmpty)
        let target = try await Workshop(.sqlite, migrated: false)
        _ = try await source.restore(1, into: target)
        await source.close()
        await target.close()
    }

    @Test func bytesThatAreGoneOrDamagedAreNamed() async throws {
        let source = try await Workshop(.sqlite)
        let (gone, damaged) = (try await source.addBlob(3000), try await source.addBlob(6 << 20))
        try await source.addBlob(10)
        try await source.blobs.delete(gone.location)
        let path = source.scratch.directory.file("blobs/stored/\(damaged.location.string)")
        var bytes = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
        bytes[5_000_000] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let made = try await source.backUp()
        #expect(Set(made.manifest.missingBlobs) == [gone.location.string, damaged.location.string])
        #expect(made.manifest.blobCount == 1)
        #expect(try await source.inspect(source.key).faults.isEmpty)
        let target = try await Workshop(.sqlite, migrated: false)
        _ = try await source.restore(into: target)
        await source.close()
        await target.close()
    }

    @Test func aFolderIsOnesOwn() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(5)
        try await source.backUp()
        let other = try RecoveryKey(randomness: SeededRandomness(seed: 3))
        await #expect(throws: BackupError.otherKey) { _ = try await source.backUp(with: other) }
        let reader = try await BackupReader.open(source.place)
        await #expect(throws: BackupError.otherKey) { _ = try await reader.manifest(nil, other) }
        await #expect(throws: BackupError.absent(number: 7)) { _ = try await reader.manifest(7, source.key) }
        await #expect(throws: BackupError.inUse(path: source.folder)) { try await source.backUp() }
        await reader.close()
        let strange = source.scratch.directory.path
        await #expect(throws: BackupError.notABackup(path: strange)) { try await source.backUp(in: strange) }
        await #expect(throws: BackupError.notABackup(path: strange)) {
            _ = try await BackupReader.open(.folder(strange))
        }
        await source.close()
    }

    @Test func aBackupOfANewerProgramIsRefused() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(5)
        let later = Migration(
            room: "notes", number: 2, statements: ["CREATE TABLE later (id BIGINT PRIMARY KEY NOT NULL)"])
        _ = try await Migrator(Workshop.migrations + [later], clock: source.clock).migrate(source.database)
        try await source.backUp()
        let target = try await Workshop(.sqlite, migrated: false)
        await #expect(throws: BackupError.newer("step 2 of notes")) { _ = try await source.restore(into: target) }
        await source.close()
        await target.close()
    }

    @Test(arguments: Engine.all) func numbersAreNotGivenTwice(_ engine: Engine) async throws {
        let source = try await Workshop(engine)
        let log = try await EventLog.open(source.database)
        let did = try #require(Workshop.did)
        func append() async throws -> Int64 {
            try await source.database.write { scope in
                try log.append(
                    LogEntry(
                        did: did, kind: .identity, time: source.clock.now(),
                        frame: PreparedFrame(prefix: [1], suffix: [2])), in: scope)
            }
        }
        for _ in 0..<5 { _ = try await append() }
        try await source.backUp()
        for _ in 0..<50 { _ = try await append() }
        let target = try await Workshop(engine, migrated: false)
        let reader = try await BackupReader.open(source.place)
        let manifest = try await reader.manifest(nil, source.key)
        #expect(manifest.eventHead == 5)
        let restoration = BackupRestoration(reader, manifest, source.key) { _ in }
        try await restoration.loadTables(into: target.database, migrations: Workshop.migrations, clock: target.clock)
        let later = source.clock.now().advanced(by: .seconds(3600))
        let head = try await restoration.settle(target.database, holdings: NoteHoldings(), now: later, skipping: nil)
        #expect(head == 5 + 1_000_000 + 3600 * 10_000)
        let restored = try await EventLog.open(target.database)
        #expect(restored.head == head)
        #expect(try await restored.read(after: 0, limitEvents: 100).map(\.seq) == [1, 2, 3, 4, 5])
        #expect(try await restored.read(after: 40, limitEvents: 100).isEmpty)
        #expect(EventLog.skipCount(backup: later, now: source.clock.now()) == EventLog.skipCountMin)
        await reader.close()
        await source.close()
        await target.close()
    }
}
