import Base
import Foundation

/// Why a data directory can't be used.
package enum DataDirectoryError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Another process uses it.
    case inUse(path: String, processID: Int?)
    /// Nothing of an instance is in it.
    case noInstance(path: String)
    /// A part of it can't be made, read or written.
    case unavailable(path: String, reason: String)
    /// A restore into it was broken off.
    case unfinished(path: String)

    package var description: String {
        switch self {
        case .inUse(let path, let processID):
            "\(path) is in use by another server" + (processID.map { " (process \($0))" } ?? "")
        case .noInstance(let path): "\(path) holds no server's data; see --data, and kith serve, which makes it"
        case .unavailable(let path, let reason): "\(path): \(reason)"
        case .unfinished(let path):
            "\(path) holds a part of a backup: restoring it was broken off. Remove it and restore again"
        }
    }
}

/// The folder that holds everything an instance keeps.
///
///     kith.sqlite    the database, with its -wal and -shm beside it
///     blobs/         the bytes of blobs
///     secrets/       0700: vault.key seals the keys in the database; backup.key seals backups; operator speaks to the
///                    running server
///     tmp/           what a request needs for a while; emptied at start
///     kith.lock      locked while a process uses the folder
///     served-as      the public name under which it was last served
package struct DataDirectory: Sendable {
    package let path: String

    package init(_ path: String) {
        self.path = path
    }

    package var keyFile: String { path + "/secrets/vault.key" }
    package var temporary: String { path + "/tmp" }
    package var secrets: String { path + "/secrets" }
    /// What backups are sealed with; see `SealingKey`.
    package var backupKeyFile: String { path + "/secrets/backup.key" }
    /// There while a backup is being restored: what is here isn't whole.
    var restoreMark: String { path + "/restoring" }
    var lockFile: String { path + "/kith.lock" }
    var operatorFile: String { path + "/secrets/operator" }

    /// Whether an instance was ever opened in it, or brought there.
    var holdsInstance: Bool {
        [lockFile, keyFile, nameFile, path + "/kith.sqlite"].contains { FileManager.default.fileExists(atPath: $0) }
    }

    /// The public name under which the directory was last served, `host` or `host:port`.
    var servedName: String? {
        let data = FileManager.default.contents(atPath: nameFile)
        return data.flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n").first }.map { String($0) }
    }

    /// Remembers the public name, for commands that run without the server's configuration.
    func remember(_ name: PublicName, randomness: any Randomness) {
        // Without it, a command takes the default name: worse, but no reason not to serve.
        try? Self.replace(nameFile, by: name.authority + "\n", randomness: randomness)
    }

    /// Writes a small file, mode 0600, in place of an older one.
    static func replace(
        _ path: String, by text: String, randomness: any Randomness
    ) throws(DataDirectoryError) {
        let draft = path + "." + Hex.encode(randomness.bytes(6))
        let descriptor = Glibc.open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable(path: draft, reason: String(cString: strerror(errno))) }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count
        Glibc.close(descriptor)
        guard isWritten, rename(draft, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(draft)
            throw .unavailable(path: path, reason: reason)
        }
    }

    var isBeingRestored: Bool { FileManager.default.fileExists(atPath: restoreMark) }

    private var nameFile: String { path + "/served-as" }

    /// Makes the folder and its parts where they are missing.
    package func prepare() throws(DataDirectoryError) {
        try Self.makeFolder(path, mode: 0o750)
        try Self.makeFolder(path + "/secrets", mode: 0o700)
        try Self.makeFolder(temporary, mode: 0o700)
    }

    /// As `prepare`, for one who makes nothing: what would be in its way.
    ///
    /// - Returns: the lock, if there is one to hold.
    /// - Throws: `.unavailable`, `.inUse`, `.unfinished`.
    func look() throws(DataDirectoryError) -> InstanceLock? {
        for part in [path, secrets, temporary] {
            if let reason = Self.obstacle(part) { throw .unavailable(path: part, reason: reason) }
        }
        let lock = Self.isThere(lockFile) ? try InstanceLock(self) : nil
        if isBeingRestored { throw .unfinished(path: path) }
        return lock
    }

    static func isThere(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// Why a folder can't be used, or made where it isn't there; nil when it can.
    static func obstacle(_ path: String) -> String? {
        var url = URL(fileURLWithPath: path).standardizedFileURL
        var made = ""
        while access(url.path, F_OK) != 0, errno == ENOENT || errno == ENOTDIR, url.path != "/" {
            url.deleteLastPathComponent()
            made = "can't be made: "
        }
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), !isFolder.boolValue {
            return "can't be made: " + String(cString: strerror(ENOTDIR))
        }
        guard access(url.path, made.isEmpty ? R_OK | W_OK | X_OK : W_OK | X_OK) == 0 else {
            return made + String(cString: strerror(errno))
        }
        return nil
    }

    /// Removes what a process that ended early left behind. Only for the holder of the lock.
    func emptyTemporary() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: temporary)) ?? []
        for name in names { try? FileManager.default.removeItem(atPath: temporary + "/" + name) }
    }

    private static func makeFolder(_ path: String, mode: mode_t) throws(DataDirectoryError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: Int(mode)])
        } catch {
            let cause = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError }
            let reason = cause.map { String(cString: strerror(Int32($0.code))) } ?? error.localizedDescription
            throw .unavailable(path: path, reason: "can't be made: \(reason)")
        }
        guard access(path, R_OK | W_OK | X_OK) == 0 else {
            throw .unavailable(path: path, reason: String(cString: strerror(errno)))
        }
    }
}

/// Holds a data directory for this process until it is dropped, or the process ends in whatever way.
package final class InstanceLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `.inUse` when another process, or another instance of this one, holds it.
    package init(_ directory: DataDirectory) throws(DataDirectoryError) {
        let path = directory.lockFile
        let descriptor = Glibc.open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable(path: path, reason: String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let isHeld = errno == EWOULDBLOCK
            let reason = String(cString: strerror(errno))
            let holder = Self.holder(descriptor)
            Glibc.close(descriptor)
            throw isHeld ? .inUse(path: directory.path, processID: holder) : .unavailable(path: path, reason: reason)
        }
        self.descriptor = descriptor
        let line = Array("\(getpid())\n".utf8)
        ftruncate(descriptor, 0)
        pwrite(descriptor, line, line.count, 0)
    }

    deinit { Glibc.close(descriptor) }

    private static func holder(_ descriptor: Int32) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        return Int(String(decoding: buffer.prefix(count).prefix { $0 != 0x0a }, as: UTF8.self))
    }
}

/// How a command on the same machine speaks to the server that holds the data directory: its address and a
/// password made anew at each start, in a file that only the server's user can read.
package struct OperatorTicket: Sendable, Hashable, CustomStringConvertible {
    /// Where the server listens, e.g. `http://127.0.0.1:8080`.
    package let address: String
    /// For HTTP Basic, user `admin`.
    package let password: Secret

    package var description: String { "OperatorTicket(\(address))" }

    /// Writes the ticket, mode 0600, in place of an older one.
    func write(to directory: DataDirectory, randomness: any Randomness) throws(DataDirectoryError) {
        try DataDirectory.replace(
            directory.operatorFile, by: "\(address)\n\(password.value)\n", randomness: randomness)
    }

    /// The ticket of the server that holds the directory; nil when there is none.
    package init?(of directory: DataDirectory) {
        guard let data = FileManager.default.contents(atPath: directory.operatorFile) else { return nil }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n")
        guard lines.count == 2 else { return nil }
        self.init(address: String(lines[0]), password: Secret(String(lines[1])))
    }

    package init(address: String, password: Secret) {
        self.address = address
        self.password = password
    }

    /// Removes the ticket when the server stops.
    static func remove(from directory: DataDirectory) {
        unlink(directory.operatorFile)
    }
}
