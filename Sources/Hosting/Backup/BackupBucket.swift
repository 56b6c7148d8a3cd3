import Base
import Storage
import Synchronization

/// Backups in a bucket. Objects are written whole or not at all; the list of them is taken once, at the beginning.
///
/// A bucket has no locks: `lock` is an object that its holder writes again every minute, and that counts for ten. Should two
/// take the place all the same, because the bucket knows no conditions or clocks differ, whoever publishes first finds
/// the other out.
actor BackupBucket: BackupFiles {
    private let store: S3ObjectStore
    private let clock: any WallClock
    private let token: [UInt8]
    /// Every object by its name, with its size.
    private var objects: [String: Int64] = [:]
    private var renewedAt: Timestamp?
    /// Whether the lock may be there and ours: from before it is asked for until it is known to be gone.
    private var mayHold = false
    /// Somebody makes or removes backups while we read.
    private var isBusy = false

    private static let lockDuration = Duration.seconds(600)
    private static let renewInterval = Duration.seconds(60)
    /// How often letting go of the lock is tried at a time; the store tries each request several times by itself.
    private static let releasesMax = 2
    /// Locks of this process that it couldn't let go of, because the bucket was away or failed: whoever comes next in this
    /// process may take them. Past the limit the oldest is forgotten, and ends by itself.
    private static let abandoned = Mutex<[[UInt8]]>([])
    private static let abandonedMax = 64

    init(_ store: S3ObjectStore, clock: any WallClock, randomness: any Randomness) {
        self.store = store
        self.clock = clock
        token = Array("kith \(Hex.encode(randomness.bytes(16)))\n".utf8)
    }

    private var place: String { store.location.description }

    // MARK: Opening

    func begin(_ key: SealingKey) async throws(BackupError) {
        let names = Set(try await list("").map(\.name))
        if !names.contains(BackupNames.header), !names.isSubset(of: [BackupNames.lock]) {
            throw .notABackup(path: place)
        }
        try await takeLock()
        try await takeList()
        let line = BackupNames.line(key.fingerprint)
        guard let found = try await read(BackupNames.header, sizeBytesMax: BackupNames.headerSizeBytesMax) else {
            return try await replace(BackupNames.header, by: line)
        }
        guard found == line else { throw BackupNames.headerFault(found) }
    }

    func open() async throws(BackupError) {
        try await takeList()
        guard objects.keys.contains(where: { $0 == BackupNames.header || $0.hasPrefix("backups/") }) else {
            throw .notABackup(path: place)
        }
        let lock = try await list(BackupNames.lock).first { $0.name == BackupNames.lock }
        isBusy = lock.map { isFresh($0) } ?? false
    }

    private func takeList() async throws(BackupError) {
        objects = [:]
        for object in try await list("") { objects[object.name] = object.sizeBytes }
    }

    // MARK: The lock

    private func takeLock() async throws(BackupError) {
        // A request that failed may have been carried out all the same.
        mayHold = true
        if try await !putNew(token, at: BackupNames.lock) {
            let lock = try await list(BackupNames.lock).first { $0.name == BackupNames.lock }
            if let lock, isFresh(lock), try await !isAbandoned() { throw .inUse(path: place) }
            try await put(token, at: BackupNames.lock)
        }
        renewedAt = clock.now()
        try await confirmLock()
    }

    private func isFresh(_ lock: S3ObjectStore.Listed) -> Bool {
        clock.now().since(lock.writtenAt) < Self.lockDuration
    }

    private func isAbandoned() async throws(BackupError) -> Bool {
        guard let holder = try await get(BackupNames.lock, sizeBytesMax: token.count) else { return true }
        return Self.abandoned.withLock { $0.contains(holder) }
    }

    private func confirmLock() async throws(BackupError) {
        guard try await get(BackupNames.lock, sizeBytesMax: token.count) == token else {
            renewedAt = nil
            throw .inUse(path: place)
        }
    }

    func renew() async throws(BackupError) {
        guard let renewedAt, clock.now().since(renewedAt) >= Self.renewInterval else { return }
        try await confirmLock()
        self.renewedAt = clock.now()
        try await put(token, at: BackupNames.lock)
    }

    func close() async {
        for _ in 0..<Self.releasesMax where mayHold {
            do {
                if try await get(BackupNames.lock, sizeBytesMax: token.count) == token {
                    try await store.delete(BackupNames.lock)
                }
                (mayHold, renewedAt) = (false, nil)
                Self.abandoned.withLock { $0.removeAll { $0 == token } }
            } catch {
                // Tried again, here or by the next to take the place; else it ends by itself.
                Self.abandoned.withLock { abandoned in
                    guard !abandoned.contains(token) else { return }
                    abandoned = Array(abandoned.suffix(Self.abandonedMax - 1)) + [token]
                }
            }
        }
    }

    // MARK: Files

    func checkHeader(_ fingerprint: String) async throws(BackupError) -> [BackupFault] {
        guard let line = try await read(BackupNames.header, sizeBytesMax: BackupNames.headerSizeBytesMax) else {
            return [.missing(BackupNames.header)]
        }
        return line == BackupNames.line(fingerprint) ? [] : [.changed(BackupNames.header)]
    }

    func numbers() -> (numbers: [Int], others: [String]) {
        let names = objects.keys.filter { $0.hasPrefix("backups/") }.sorted()
        let numbers = names.compactMap(BackupNames.number)
        return (numbers.sorted(), names.filter { BackupNames.number($0) == nil })
    }

    func read(_ path: String, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]? {
        guard objects[path] != nil else { return nil }
        return try await get(path, sizeBytesMax: sizeBytesMax)
    }

    func replace(_ path: String, by bytes: [UInt8]) async throws(BackupError) {
        try await put(bytes, at: path)
        objects[path] = Int64(bytes.count)
    }

    func publish(_ number: Int, _ bytes: [UInt8], adding pieces: [PieceName: KnownPiece]) async throws(BackupError) {
        // The bucket isn't believed: what it says it took has to be there.
        try await takeList()
        for (name, piece) in pieces where objects[name.path] != piece.sizeBytes {
            throw .file(path: "\(place): \(name.path)", reason: "isn't there as it was written")
        }
        try await confirmLock()
        guard try await putNew(bytes, at: BackupFile.path(number)) else { throw .inUse(path: place) }
        objects[BackupFile.path(number)] = Int64(bytes.count)
    }

    func write(_ bytes: [UInt8], as name: PieceName) async throws(BackupError) {
        try await renew()
        try await replace(name.path, by: bytes)
    }

    func piece(_ name: PieceName, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]? {
        try await read(name.path, sizeBytesMax: sizeBytesMax)
    }

    func sizeBytes(_ name: PieceName) -> Int64? { objects[name.path] }

    func remove(path: String) async {
        do throws(BlobStoreError) {
            try await store.delete(path)
            objects[path] = nil
        } catch {
            // Whoever comes next finds it.
        }
    }

    func strangers(_ known: Set<String>) -> [PlacedFile] {
        // What nobody speaks of may be what the other is about to.
        if isBusy { return [] }
        return objects.filter { $0.key.hasPrefix("pieces/") && !known.contains($0.key) }
            .map { PlacedFile(path: $0.key, sizeBytes: $0.value) }.sorted { $0.path < $1.path }
    }

    func looseFiles() -> [String] {
        let own: Set = [BackupNames.header, BackupNames.lock, BackupNames.pruned]
        return objects.keys.filter { !own.contains($0) && !$0.hasPrefix("backups/") && !$0.hasPrefix("pieces/") }
            .sorted()
    }

    // MARK: The store's errors

    private func list(_ prefix: String) async throws(BackupError) -> [S3ObjectStore.Listed] {
        do throws(BlobStoreError) { return try await store.list(prefix) } catch { throw failure(prefix, error) }
    }

    private func get(_ name: String, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]? {
        do throws(BlobStoreError) {
            return try await store.get(name, sizeBytesMax: sizeBytesMax)
        } catch {
            if error == .notFound { return nil }
            throw failure(name, error)
        }
    }

    private func put(_ bytes: [UInt8], at name: String) async throws(BackupError) {
        do throws(BlobStoreError) { try await store.put(bytes, at: name) } catch { throw failure(name, error) }
    }

    private func putNew(_ bytes: [UInt8], at name: String) async throws(BackupError) -> Bool {
        do throws(BlobStoreError) { return try await store.putNew(bytes, at: name) } catch {
            throw failure(name, error)
        }
    }

    private func failure(_ name: String, _ error: BlobStoreError) -> BackupError {
        .file(path: name.isEmpty ? place : "\(place): \(name)", reason: error.description)
    }
}
