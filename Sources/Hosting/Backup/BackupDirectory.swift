import Base
import Crypto
import Foundation

/// A folder of backups.
///
///     kith-backup       one line: the format and whose key it is sealed to
///     lock              empty; locked while a backup is made, shared while one is verified
///     backups/000001    one file a backup (`BackupFile`)
///     pieces/ab/abcd…   sealed pieces, shared by all backups
///     incoming          the file being written
///
/// A backup counts from the moment its file gets its name; by then all its pieces are on disk. Pieces of which no backup
/// speaks are what an interrupted one left, and are removed by the next. All calls block: they run on a thread of their own.
package actor BackupDirectory {
    /// How the folder is locked.
    enum Lock: Sendable {
        case exclusive
        case shared
        case none
    }

    nonisolated let path: String
    private let executor = OwnExecutor()
    private var lock: LockedFile?

    private static let headerName = "kith-backup"
    private static let lockName = "lock"
    private static let incomingName = "incoming"
    /// Bytes of a backup's file: some millions of pieces.
    private static let fileSizeBytesMax = 1 << 30

    /// - Parameter path: of a folder; nothing is read or made yet.
    package init(_ path: String) {
        self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    // MARK: Opening

    /// Makes the folder if it isn't there and takes it for a new backup.
    /// - Throws: `.notABackup` when it holds something else; `.otherKey`, `.inUse`.
    func begin(_ key: SealingKey) throws(BackupError) {
        try makeFolder("")
        let names = Set(try DiskFile.names(in: path))
        if !names.contains(Self.headerName) {
            // An interrupted first one may have left the lock.
            guard names.isSubset(of: [Self.lockName, Self.incomingName]) else { throw .notABackup(path: path) }
        }
        lock = try LockedFile(path + "/" + Self.lockName, isExclusive: true, makes: true)
        for folder in ["/backups", "/pieces"] { try makeFolder(folder) }
        let line = Array(Self.header(key.fingerprint).utf8)
        if names.contains(Self.headerName) {
            guard try DiskFile.read(full(Self.headerName), sizeBytesMax: 4096) == line else {
                throw try headerFault(key)
            }
        } else {
            try DiskFile.write(line, to: full(Self.incomingName))
            try DiskFile.rename(full(Self.incomingName), to: full(Self.headerName))
        }
        unlink(full(Self.incomingName))
    }

    /// Opens the folder for reading.
    /// - Throws: `.notABackup`, `.inUse` while a backup is being made.
    func open() throws(BackupError) {
        guard access(full(Self.headerName), R_OK) == 0 || access(full("backups"), R_OK) == 0 else {
            throw .notABackup(path: path)
        }
        lock = try LockedFile(path + "/" + Self.lockName, isExclusive: false, makes: false)
    }

    /// Lets go of the lock.
    func close() { lock = nil }

    private static func header(_ fingerprint: String) -> String { "kith backup 1, sealed to \(fingerprint)\n" }

    private func headerFault(_ key: SealingKey) throws(BackupError) -> BackupError {
        let line = String(decoding: try DiskFile.read(full(Self.headerName), sizeBytesMax: 4096), as: UTF8.self)
        let words = line.split(whereSeparator: \.isWhitespace)
        let isOurs = words.count == 6 && line == Self.header(String(words[5]))
        return isOurs ? .otherKey : .damaged(.changed(Self.headerName))
    }

    /// What is wrong with the line of the folder.
    func checkHeader(_ fingerprint: String) throws(BackupError) -> [BackupFault] {
        guard access(full(Self.headerName), F_OK) == 0 else { return [.missing(Self.headerName)] }
        let line = try DiskFile.read(full(Self.headerName), sizeBytesMax: 4096)
        return line == Array(Self.header(fingerprint).utf8) ? [] : [.changed(Self.headerName)]
    }

    // MARK: Backups

    /// The numbers of all finished backups, in order; and what else lies among them.
    func numbers() throws(BackupError) -> (numbers: [Int], others: [String]) {
        var numbers: [Int] = []
        var others: [String] = []
        for name in try DiskFile.names(in: full("backups")) {
            if let number = Int(name), BackupFile.path(number) == "backups/" + name {
                numbers.append(number)
            } else {
                others.append("backups/" + name)
            }
        }
        return (numbers.sorted(), others)
    }

    func backup(_ number: Int) throws(BackupError) -> [UInt8] {
        guard access(full(BackupFile.path(number)), F_OK) == 0 else { throw .absent(number: number) }
        return try DiskFile.read(full(BackupFile.path(number)), sizeBytesMax: Self.fileSizeBytesMax)
    }

    /// Makes a backup count: the pieces it added are flushed, then its file gets its name.
    func publish(_ number: Int, _ bytes: [UInt8], adding pieces: [PieceName]) throws(BackupError) {
        for name in pieces { try DiskFile.flush(full(name.path)) }
        for folder in Set(pieces.map { String($0.path.prefix { $0 != "/" } + "/" + $0.description.prefix(2)) }) {
            try DiskFile.flush(full(folder))
        }
        try DiskFile.flush(full("pieces"))
        try DiskFile.write(bytes, to: full(Self.incomingName))
        try DiskFile.rename(full(Self.incomingName), to: full(BackupFile.path(number)))
        try DiskFile.flush(full("backups"))
        try DiskFile.flush(path)
    }

    // MARK: Pieces

    func write(_ bytes: [UInt8], as name: PieceName) throws(BackupError) {
        let target = full(name.path)
        let folder = URL(fileURLWithPath: target).deletingLastPathComponent().path
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw DiskFile.lastError(folder) }
        // Not renamed into place: until a backup speaks of it, nobody takes it for whole.
        try DiskFile.write(bytes, to: target, flushes: false)
    }

    func piece(_ name: PieceName, sizeBytesMax: Int) throws(BackupError) -> [UInt8] {
        try DiskFile.read(full(name.path), sizeBytesMax: sizeBytesMax)
    }

    func remove(_ name: PieceName) { unlink(full(name.path)) }

    /// The size of a piece's file, or nil when there is none.
    func sizeBytes(_ name: PieceName) -> Int64? { DiskFile.sizeBytes(full(name.path)) }

    /// Every file that is no piece of `known` and no other part of the folder, by its path in it.
    func strangers(_ known: Set<String>) throws(BackupError) -> [String] {
        var found: [String] = []
        for folder in try DiskFile.names(in: full("pieces")) {
            guard DiskFile.isFolder(full("pieces/" + folder)) else {
                found.append("pieces/" + folder)
                continue
            }
            for name in try DiskFile.names(in: full("pieces/" + folder)) {
                let path = "pieces/\(folder)/\(name)"
                if !known.contains(path) { found.append(path) }
            }
        }
        return found
    }

    /// What lies in the folder itself and doesn't belong there.
    func looseFiles() throws(BackupError) -> [String] {
        let own: Set = [Self.headerName, Self.lockName, "backups", "pieces"]
        var found = try DiskFile.names(in: path).filter { !own.contains($0) }
        if DiskFile.sizeBytes(full(Self.lockName)) ?? 0 != 0 { found.append(Self.lockName) }
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
