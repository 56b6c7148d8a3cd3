import ATProtocol
import Base
import Foundation
import Storage
import Synchronization
import TestDatabases
import Testing

@testable import Hosting

/// Removing old backups: what stays is whole, whatever happens on the way.
struct BackupPruningTests {
    /// Four backups that share pieces and have pieces of their own, blobs that only old ones know among them.
    private static func filled(_ engine: Engine = .sqlite) async throws -> Workshop {
        let source = try await Workshop(engine)
        for round in 0..<4 {
            try await source.addNotes(900)
            let blob = try await source.addBlob(5000 + round)
            try await source.backUp()
            guard round < 2 else { continue }
            try await source.database.write { scope in
                try scope.execute("DELETE FROM note_blob WHERE cid = $1", [.blob(blob.cid.bytes)])
            }
        }
        return source
    }

    private static func prune(
        _ source: Workshop, keeping count: Int, _ files: (any BackupFiles)? = nil, opened: Bool = false
    ) async throws -> BackupPruning.Summary {
        let place = files.map { BackupPlace(files: $0) } ?? source.place
        return try await BackupPruning(place, key: source.key.sealing, recoveryKey: opened ? source.key : nil)
            .run(keeping: count) { _ in }
    }

    private static func numbers(_ source: Workshop) async throws -> [Int] {
        let reader = try await BackupReader.open(source.place)
        await reader.close()
        return reader.outlines.map(\.number)
    }

    @Test(arguments: Engine.all) func theNewestStay(_ engine: Engine) async throws {
        let source = try await Self.filled(engine)
        let before = try source.files()
        let done = try await Self.prune(source, keeping: 2, opened: true)
        #expect(done.kept == [3, 4] && done.removed == [1, 2] && done.pieceCount >= 2 && done.sizeBytes > 0)
        #expect(try source.files().count == before.count - 2 - done.pieceCount + 1)
        #expect(try await source.inspect(source.key, newest: 4).faults.isEmpty)
        #expect(try await source.inspect(nil).faults.isEmpty)
        for (number, count) in [(3, 2700), (4, 3600)] {
            let target = try await Workshop(.sqlite, migrated: false)
            _ = try await source.restore(number, into: target)
            #expect(try await target.notes().count == count)
            await target.close()
        }
        let reader = try await BackupReader.open(source.place)
        await #expect(throws: BackupError.absent(number: 1)) { _ = try await reader.manifest(1, source.key) }
        await reader.close()
        // Numbers go on, and so does removing.
        try await source.addNotes(10)
        #expect(try await source.backUp().manifest.number == 5)
        #expect(try await Self.prune(source, keeping: 1).removed == [3, 4])
        #expect(try await source.inspect(source.key).faults.isEmpty)
        #expect(try await Self.numbers(source) == [5])
        await source.close()
    }

    @Test func nothingIsRemovedWhereNothingHasTo() async throws {
        let source = try await Self.filled()
        let before = try source.files()
        let done = try await Self.prune(source, keeping: 4)
        #expect(done.removed.isEmpty && done.pieceCount == 0)
        #expect(try source.files() == before)
        let nowhere = source.scratch.directory.file("nowhere")
        await #expect(throws: BackupError.notABackup(path: nowhere)) {
            _ = try await BackupPruning(.folder(nowhere), key: source.key.sealing).run(keeping: 1) { _ in }
        }
        #expect(!FileManager.default.fileExists(atPath: nowhere))
        await source.close()
    }

    /// A byte of any file that stays, or of any backup's file, keeps everything where it is.
    @Test func damageIsNoReasonToRemove() async throws {
        let source = try await Self.filled()
        let last = try #require(try await Self.lastFile(source))
        let pieces = last.pieces.map(\.name.path)
        for name in try source.files().filter({ $0.hasPrefix("backups/") }) + [pieces[0]] {
            let bytes = source.bytes(name)
            try source.put(Array(bytes.dropLast()), name)
            let before = try source.files()
            await #expect(throws: (any Error).self, "\(name)") { _ = try await Self.prune(source, keeping: 1) }
            #expect(try source.files() == before)
            try source.put(bytes, name)
        }
        try FileManager.default.removeItem(atPath: source.folder + "/" + pieces[1])
        await #expect(throws: BackupError.damaged(.missing(pieces[1]))) {
            _ = try await Self.prune(source, keeping: 1)
        }
        let other = try RecoveryKey(randomness: SeededRandomness(seed: 3))
        await #expect(throws: BackupError.otherKey) {
            _ = try await BackupPruning(source.place, key: other.sealing).run(keeping: 1) { _ in }
        }
        #expect(try await Self.numbers(source) == [1, 2, 3, 4])
        await source.close()
    }

    private static func lastFile(_ source: Workshop) async throws -> BackupFile? {
        let reader = try await BackupReader.open(source.place)
        await reader.close()
        return reader.files.last
    }

    /// It ends before any of its steps; what is kept restores at once, and the next prune, or the next backup, tidies up.
    @Test(arguments: [false, true]) func brokenOffAnywhereItHarmsNothing(_ backsUpNext: Bool) async throws {
        let source = try await Self.filled()
        let whole = try source.files().map { ($0, source.bytes($0)) }
        var steps = 0
        var isOver = false
        while !isOver {
            let mortal = MortalFiles(source.place.files, steps: steps)
            isOver = (try? await Self.prune(source, keeping: 2, mortal)) != nil
            for number in [3, 4] {
                let target = try await Workshop(.sqlite, migrated: false)
                _ = try await source.restore(number, into: target)
                #expect(try await target.notes().count == number * 900, "after \(steps) steps")
                await target.close()
            }
            if backsUpNext {
                try await source.backUp()
                #expect(try await Self.numbers(source).suffix(3) == [3, 4, 5])
            } else {
                _ = try await Self.prune(source, keeping: 2)
                #expect(try await Self.numbers(source) == [3, 4])
            }
            #expect(try await source.inspect(source.key).faults.isEmpty, "after \(steps) steps")
            steps += 1
            try FileManager.default.removeItem(atPath: source.folder)
            for (name, bytes) in whole {
                let path = URL(fileURLWithPath: source.folder + "/" + name)
                try FileManager.default.createDirectory(
                    at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
                try source.put(bytes, name)
            }
        }
        #expect(steps > 4)
        await source.close()
    }

    @Test func backupsThatOthersRemovedAreMissed() async throws {
        let source = try await Self.filled()
        let first = try #require(try await Self.lastFile(source))
        try FileManager.default.removeItem(atPath: source.folder + "/backups/000001")
        #expect(try await source.inspect(nil).faults.contains(.unchained(number: 2)))
        // A mark by somebody without the key.
        let stranger = try RecoveryKey(randomness: SeededRandomness(seed: 3)).sealing
        for name in ["backups/000002", "backups/000003"] {
            try FileManager.default.removeItem(atPath: source.folder + "/" + name)
        }
        try source.put(PruneMark(number: 3, digest: first.previous).encoded(stranger), "pruned")
        #expect(try await source.inspect(source.key).faults.contains(.unsealable("pruned")))
        await #expect(throws: BackupError.otherKey) { try await source.backUp() }
        await source.close()
    }

    @Test func everyFlippedBitOfTheMarkIsFound() throws {
        let key = try RecoveryKey(randomness: SeededRandomness(seed: 3)).sealing
        let mark = PruneMark(number: 12, digest: SeededRandomness(seed: 4).bytes(32))
        let bytes = mark.encoded(key)
        #expect(PruneMark(bytes) == mark)
        for place in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[place] ^= 1 << UInt8(bit)
                #expect(PruneMark(other) == nil, "\(place), \(bit)")
            }
        }
    }
}

/// Files that can't be changed any more after some steps, as if whoever changes them had died.
private final class MortalFiles: BackupFiles {
    private let files: any BackupFiles
    private let steps: Mutex<Int>

    init(_ files: any BackupFiles, steps: Int) {
        self.files = files
        self.steps = Mutex(steps)
    }

    private func step() throws(BackupError) {
        let isAlive = steps.withLock { steps in
            steps -= 1
            return steps >= 0
        }
        guard isAlive else { throw .file(path: "", reason: "died") }
    }

    func begin(_ key: SealingKey) async throws(BackupError) { try await files.begin(key) }
    func open() async throws(BackupError) { try await files.open() }
    func renew() async throws(BackupError) {
        guard steps.withLock({ $0 >= 0 }) else { throw .file(path: "", reason: "died") }
    }
    func close() async { await files.close() }
    func checkHeader(_ fingerprint: String) async throws(BackupError) -> [BackupFault] {
        try await files.checkHeader(fingerprint)
    }
    func numbers() async throws(BackupError) -> (numbers: [Int], others: [String]) { try await files.numbers() }
    func read(_ path: String, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]? {
        try await files.read(path, sizeBytesMax: sizeBytesMax)
    }
    func replace(_ path: String, by bytes: [UInt8]) async throws(BackupError) {
        try step()
        try await files.replace(path, by: bytes)
    }
    func publish(_ number: Int, _ bytes: [UInt8], adding pieces: [PieceName: KnownPiece]) async throws(BackupError) {
        try step()
        try await files.publish(number, bytes, adding: pieces)
    }
    func write(_ bytes: [UInt8], as name: PieceName) async throws(BackupError) {
        try step()
        try await files.write(bytes, as: name)
    }
    func piece(_ name: PieceName, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]? {
        try await files.piece(name, sizeBytesMax: sizeBytesMax)
    }
    func sizeBytes(_ name: PieceName) async -> Int64? { await files.sizeBytes(name) }
    func remove(path: String) async {
        guard (try? step()) != nil else { return }
        await files.remove(path: path)
    }
    func strangers(_ known: Set<String>) async throws(BackupError) -> [PlacedFile] { try await files.strangers(known) }
    func looseFiles() async throws(BackupError) -> [String] { try await files.looseFiles() }
}
