import Base
import Crypto
import Foundation

/// Backups in a folder: as `BackupPlace` says, and `incoming`, the file being written.
///
/// `lock` is locked while backups are made or removed, shared while one is read. Pieces of which no backup speaks are what an
/// interrupted one left, and are removed by the next. All calls block: they run on a thread of their own.
actor BackupDirectory: BackupFiles {
    nonisolated let path: String
    private let executor = OwnExecutor()
    private var lock: LockedFile?

    /// - Parameter path: of a folder; nothing is read or made yet.
    init(_ path: String) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    // MARK: Opening

    func begin(_ key: SealingKey) throws(BackupError) {
        try makeFolder("")
        let names = Set(try DiskFile.names(in: path))
        if !names.contains(BackupNames.header) {
            // An interrupted first one may have left the lock.
            guard names.isSubset(of: [BackupNames.lock, BackupNames.incoming]) else { throw .notABackup(path: path) }
        }
        lock = try LockedFile(path + "/" + BackupNames.lock, isExclusive: true, makes: true)
        for folder in ["/backups", "/pieces"] { try makeFolder(folder) }
        let line = BackupNames.line(key.fingerprint)
        if names.contains(BackupNames.header) {
            let found = try DiskFile.read(full(BackupNames.header), sizeBytesMax: BackupNames.headerSizeBytesMax)
            guard found == line else { throw BackupNames.headerFault(found) }
        } else {
            try replace(BackupNames.header, by: line)
        }
        unlink(full(BackupNames.incoming))
    }

    func open() throws(BackupError) {
        guard access(full(BackupNames.header), R_OK) == 0 || access(full("backups"), R_OK) == 0 else {
            throw .notABackup(path: path)
        }
        lock = try LockedFile(path + "/" + BackupNames.lock, isExclusive: false, makes: false)
    }

    /// The lock ends with its holder.
    func renew() {}

    func close() { lock = nil }

    func checkHeader(_ fingerprint: String) throws(BackupError) -> [BackupFault] {
        guard let line = try read(BackupNames.header, sizeBytesMax: BackupNames.headerSizeBytesMax) else {
            return [.missing(BackupNames.header)]
        }
        return line == BackupNames.line(fingerprint) ? [] : [.changed(BackupNames.header)]
    }

    // MARK: Backups

    func numbers() throws(BackupError) -> (numbers: [Int], others: [String]) {
        var numbers: [Int] = []
        var others: [String] = []
        for name in try DiskFile.names(in: full("backups")) {
            if let number = BackupNames.number("backups/" + name) {
                numbers.append(number)
            } else {
                others.append("backups/" + name)
            }
        }
        return (numbers.sorted(), others)
    }

    func read(_ path: String, sizeBytesMax: Int) throws(BackupError) -> [UInt8]? {
        guard access(full(path), F_OK) == 0 else { return nil }
        return try DiskFile.read(full(path), sizeBytesMax: sizeBytesMax)
    }

    func replace(_ path: String, by bytes: [UInt8]) throws(BackupError) {
        try DiskFile.write(bytes, to: full(BackupNames.incoming))
        try DiskFile.rename(full(BackupNames.incoming), to: full(path))
        try DiskFile.flush(URL(fileURLWithPath: full(path)).deletingLastPathComponent().path)
        try DiskFile.flush(self.path)
    }

    func publish(_ number: Int, _ bytes: [UInt8], adding pieces: [PieceName: KnownPiece]) throws(BackupError) {
        for name in pieces.keys { try DiskFile.flush(full(name.path)) }
        for folder in Set(pieces.keys.map(\.folder)) { try DiskFile.flush(full(folder)) }
        try DiskFile.flush(full("pieces"))
        try replace(BackupFile.path(number), by: bytes)
    }

    // MARK: Pieces

    func write(_ bytes: [UInt8], as name: PieceName) throws(BackupError) {
        let target = full(name.path)
        let folder = URL(fileURLWithPath: target).deletingLastPathComponent().path
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw DiskFile.lastError(folder) }
        // Not renamed into place: until a backup speaks of it, nobody takes it for whole.
        try DiskFile.write(bytes, to: target, flushes: false)
    }

    func piece(_ name: PieceName, sizeBytesMax: Int) throws(BackupError) -> [UInt8]? {
        try read(name.path, sizeBytesMax: sizeBytesMax)
    }

    func sizeBytes(_ name: PieceName) -> Int64? { DiskFile.sizeBytes(full(name.path)) }

    func strangers(_ known: Set<String>) throws(BackupError) -> [PlacedFile] {
        var found: [PlacedFile] = []
        for folder in try DiskFile.names(in: full("pieces")) {
            var names = ["pieces/" + folder]
            if DiskFile.isFolder(full(names[0])) {
                names = try DiskFile.names(in: full(names[0])).map { "pieces/\(folder)/\($0)" }
            }
            for path in names where !known.contains(path) {
                found.append(PlacedFile(path: path, sizeBytes: DiskFile.sizeBytes(full(path)) ?? 0))
            }
        }
        return found
    }

    func looseFiles() throws(BackupError) -> [String] {
        let own: Set = [BackupNames.header, BackupNames.lock, BackupNames.pruned, "backups", "pieces"]
        var found = try DiskFile.names(in: path).filter { !own.contains($0) }
        if DiskFile.sizeBytes(full(BackupNames.lock)) ?? 0 != 0 { found.append(BackupNames.lock) }
        return found
    }

    func remove(path name: String) { unlink(full(name)) }

    private func full(_ name: String) -> String { path + "/" + name }

    private func makeFolder(_ name: String) throws(BackupError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path + name, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw .file(path: path + name, reason: "can't be made")
        }
    }
}

/// Runs the jobs of one actor on a thread that may block.
private final class OwnExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "kith.backup")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}

/// A lock that ends with its holder, or with the process.
private final class LockedFile: Sendable {
    private let descriptor: Int32

    init(_ path: String, isExclusive: Bool, makes: Bool) throws(BackupError) {
        descriptor = Glibc.open(path, makes ? O_CREAT | O_RDWR | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0o600)
        // A copy of the folder may lack it: then nobody makes backups there.
        guard descriptor >= 0 || !makes else { throw DiskFile.lastError(path) }
        guard descriptor < 0 || flock(descriptor, (isExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 else {
            Glibc.close(descriptor)
            throw .inUse(path: URL(fileURLWithPath: path).deletingLastPathComponent().path)
        }
    }

    deinit { if descriptor >= 0 { Glibc.close(descriptor) } }
}
