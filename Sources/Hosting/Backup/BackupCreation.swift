import ATProtocol
package import Base
package import Contracts
import Crypto
package import Storage

/// How far the making, checking or restoring of a backup is.
package struct BackupProgress: Sendable, Hashable {
    /// What is at work.
    package enum Phase: String, Sendable {
        case database
        case blobs
        case pieces
        case repositories
    }

    package var phase: Phase
    /// Bytes; repositories where those are counted.
    package var done: Int64
    /// Nil while nobody knows.
    package var total: Int64?

    package init(_ phase: Phase, done: Int64, total: Int64? = nil) {
        self.phase = phase
        self.done = done
        self.total = total
    }
}

/// Makes backups of a running instance.
///
/// First the bytes of blobs are held: nothing that has a row now is removed until the hold ends. Then the database is read, in
/// one consistent state, then the blobs of which that state speaks. Whatever happens, earlier backups stay as they are.
package struct BackupCreation: Sendable {
    /// What was made.
    package struct Summary: Sendable {
        package var manifest: BackupManifest
        /// Pieces written, and their bytes in the folder.
        package var newPieceCount: Int
        package var newSizeBytes: Int64
        package var keyFingerprint: String
    }

    private let database: any Database
    private let blobs: any BlobStore
    private let holdings: any BlobHoldings
    private let clock: any WallClock
    private let randomness: any Randomness
    private let sleeper: any Clock<Duration>

    private static let holdDuration = Duration.seconds(900)
    private static let holdInterval = Duration.seconds(120)
    /// Together shorter than the hold.
    private static let holdAttemptsMax = 5
    /// How often the database is read at most.
    static let attemptsMax = 4
    /// Before the second attempt; one more of it before each further one.
    private static let attemptPause = Duration.seconds(2)

    package init(
        database: any Database, blobs: any BlobStore, holdings: any BlobHoldings, clock: any WallClock,
        randomness: any Randomness, sleeper: any Clock<Duration> = ContinuousClock()
    ) {
        self.database = database
        self.blobs = blobs
        self.holdings = holdings
        self.clock = clock
        self.randomness = randomness
        self.sleeper = sleeper
    }

    /// Makes a backup in the place, sealed to `key`.
    ///
    /// - Parameters:
    ///   - secrets: kept in the manifest.
    ///   - progress: called often.
    /// - Throws: `BackupError`, `.tooBusy` when the database changed too much each time it was read; storage errors.
    package func run(
        in place: BackupPlace, key: SealingKey, instance: BackedUpInstance, secrets: [SecretFile],
        progress: @escaping @Sendable (BackupProgress) -> Void
    ) async throws -> Summary {
        do {
            try await place.files.begin(key)
            let shelf = try await PieceShelf.open(place.files, key)
            let summary = try await holdingBlobs {
                try await save(shelf, instance: instance, secrets: secrets, progress: progress)
            }
            await place.close()
            return summary
        } catch {
            await place.close()
            throw error
        }
    }

    private func save(
        _ shelf: PieceShelf, instance: BackedUpInstance, secrets: [SecretFile],
        progress: @Sendable (BackupProgress) -> Void
    ) async throws -> Summary {
        var shelf = shelf
        let madeAt = clock.now()
        let snapshot = try await saveDatabase(&shelf, progress)
        let saved = try await saveBlobs(snapshot.blobs, &shelf, progress)
        let manifest = BackupManifest(
            number: shelf.number, madeAt: madeAt, instance: instance, engine: database.dialect.engine.rawValue,
            snapshot: snapshot, blobs: saved, secrets: secrets)
        try await shelf.publish(manifest)
        return Summary(
            manifest: manifest, newPieceCount: shelf.added.count,
            newSizeBytes: shelf.added.values.reduce(0) { $0 + $1.sizeBytes }, keyFingerprint: shelf.key.fingerprint)
    }

    // MARK: The database

    /// What one attempt has kept the next finds there, so that it reads faster than the one before.
    private func saveDatabase(
        _ shelf: inout PieceShelf, _ progress: @Sendable (BackupProgress) -> Void
    ) async throws -> SavedSnapshot {
        for attempt in 1..<Self.attemptsMax {
            do {
                return try await readDatabase(&shelf, progress)
            } catch StorageError.stalled {
                shelf.startOver()
                // The database needs a moment without readers to clear up.
                try await sleeper.sleep(for: Self.attemptPause * attempt)
            }
        }
        do {
            return try await readDatabase(&shelf, progress)
        } catch StorageError.stalled {
            throw BackupError.tooBusy(attempts: Self.attemptsMax)
        }
    }

    private func readDatabase(
        _ shelf: inout PieceShelf, _ progress: @Sendable (BackupProgress) -> Void
    ) async throws -> SavedSnapshot {
        var reader = SnapshotReader(shelf.key)
        var done: Int64 = 0
        for try await bytes in try await SnapshotStream.open(database, holdings) {
            try await reader.append(bytes) { table, content in
                try await shelf.keep(content, as: .table(table, content: content, shelf.key))
            }
            done += Int64(bytes.count)
            try await shelf.renew()
            progress(BackupProgress(.database, done: done))
        }
        guard reader.isOver else { throw TransferError.truncated }
        return reader.snapshot
    }

    // MARK: Blobs

    private func saveBlobs(
        _ listed: [ListedHolding], _ shelf: inout PieceShelf, _ progress: @Sendable (BackupProgress) -> Void
    ) async throws -> SavedBlobs {
        var saved = SavedBlobs()
        let total = listed.reduce(0) { $0 + $1.sizeBytes }
        for holding in listed {
            try Task.checkCancellation()
            try await shelf.renew()
            if try await save(holding, &shelf) {
                saved.count += 1
                saved.sizeBytes += holding.sizeBytes
            } else {
                saved.missing.append(holding.location.string)
            }
            progress(BackupProgress(.blobs, done: saved.sizeBytes, total: total))
        }
        return saved
    }

    /// - Returns: false when its bytes are not to be had, or not those of its CID.
    private func save(_ holding: ListedHolding, _ shelf: inout PieceShelf) async throws -> Bool {
        guard let cid = holding.location.cid else { return false }
        let names = BlobParts.names(cid, sizeBytes: holding.sizeBytes, shelf.key)
        if shelf.use(all: names) { return true }
        let draft = shelf
        do {
            var hash = SHA256()
            var pending: [UInt8] = []
            var part = 0
            for try await chunk in try await blobs.read(holding.location, range: nil) {
                chunk.withUnsafeBytes { hash.update(bufferPointer: $0) }
                pending += chunk
                while pending.count >= BlobParts.sizeBytes, part < names.count {
                    try await shelf.keep(Array(pending.prefix(BlobParts.sizeBytes)), as: names[part])
                    pending.removeFirst(BlobParts.sizeBytes)
                    part += 1
                }
            }
            if !pending.isEmpty, part < names.count {
                try await shelf.keep(pending, as: names[part])
                (pending, part) = ([], part + 1)
            }
            guard pending.isEmpty, part == names.count, Array(hash.finalize()) == cid.digest else {
                throw BlobStoreError.damaged
            }
            return true
        } catch BlobStoreError.notFound, BlobStoreError.damaged {
            // Parts of it may lie there; no backup speaks of them.
            for name in names where !draft.holds(name) { await shelf.drop(name) }
            return false
        }
    }

    // MARK: The hold

    /// Runs `body` while no bytes of blobs go.
    private func holdingBlobs<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let name = "backup " + Hex.encode(randomness.bytes(8))
        let holdings = holdings
        try await renew(name)
        let result = try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask { [self] in
                var failures = 0
                while true {
                    do { try await sleeper.sleep(for: Self.holdInterval) } catch { return nil }
                    do {
                        try await renew(name)
                        failures = 0
                    } catch {
                        failures += 1
                        guard failures < Self.holdAttemptsMax else { throw error }
                    }
                }
            }
            defer { group.cancelAll() }
            do {
                while let ended = try await group.next() {
                    if let ended { return ended }
                }
                throw CancellationError()
            } catch {
                // It ends by itself if even this fails.
                try? await database.write { try holdings.release(name, in: $0) }
                throw error
            }
        }
        try await database.write { try holdings.release(name, in: $0) }
        return result
    }

    private func renew(_ name: String) async throws {
        let (holdings, moment) = (holdings, clock.now().advanced(by: Self.holdDuration))
        try await database.write { try holdings.hold(name, until: moment, in: $0) }
    }
}

/// How a blob is cut.
enum BlobParts {
    /// Of every part but the last.
    static let sizeBytes = 4 << 20

    static func names(_ cid: CID, sizeBytes: Int64, _ key: SealingKey) -> [PieceName] {
        let count = Int((sizeBytes + Int64(Self.sizeBytes) - 1) / Int64(Self.sizeBytes))
        return (0..<count).map { .blob(cid.bytes, part: $0, key) }
    }
}
