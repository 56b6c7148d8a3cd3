package import Base
import Foundation

extension KeyVault {
    /// A vault whose key is kept in a file, made at the first start: 64 hexadecimal digits, mode 0600, on disk before
    /// this returns.
    ///
    /// - Throws: `.exposed` when the file is anyone else's to read or write; `.malformed`; `.unavailable`.
    package static func opening(file path: String, randomness: any Randomness) throws(KeyVaultError) -> KeyVault {
        if let key = try readKey(path) { return KeyVault(key: key, randomness: randomness) }
        try makeKey(path, randomness.bytes(32), name: Hex.encode(randomness.bytes(8)))
        // Read back: another process may have been first, and then its key counts.
        guard let key = try readKey(path) else { throw .unavailable(path: path, reason: "it vanished") }
        return KeyVault(key: key, randomness: randomness)
    }

    /// The key in the file, or nil when there is no file.
    private static func readKey(_ path: String) throws(KeyVaultError) -> [UInt8]? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: return nil
            case ELOOP: throw .malformed(path: path)
            default: throw .unavailable(path: path, reason: lastError())
            }
        }
        defer { Glibc.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unavailable(path: path, reason: lastError()) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .malformed(path: path) }
        let isOurs = status.st_uid == geteuid() || status.st_uid == 0
        guard status.st_mode & 0o077 == 0, isOurs else { throw .exposed(path: path) }
        var buffer = [UInt8](repeating: 0, count: 66)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw .unavailable(path: path, reason: lastError()) }
        let digits = buffer.prefix(count).prefix { $0 != UInt8(ascii: "\n") }
        guard count <= digits.count + 1, digits.count == 64,
            let key = Hex.decode(String(decoding: digits, as: UTF8.self))
        else { throw .malformed(path: path) }
        return key
    }

    /// Writes the key beside its place, flushes it, and links it there unless someone else was first.
    private static func makeKey(_ path: String, _ key: [UInt8], name: String) throws(KeyVaultError) {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let draft = directory + "/.key-" + name
        let descriptor = Glibc.open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable(path: path, reason: lastError()) }
        defer { unlink(draft) }
        let line = Array((Hex.encode(key) + "\n").utf8)
        let isWritten = Glibc.write(descriptor, line, line.count) == line.count && fsync(descriptor) == 0
        let reason = lastError()
        Glibc.close(descriptor)
        guard isWritten else { throw .unavailable(path: path, reason: reason) }
        guard link(draft, path) == 0 || errno == EEXIST else { throw .unavailable(path: path, reason: lastError()) }
        let parent = Glibc.open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard parent >= 0 else { throw .unavailable(path: path, reason: lastError()) }
        defer { Glibc.close(parent) }
        guard fsync(parent) == 0 else { throw .unavailable(path: path, reason: lastError()) }
    }

    private static func lastError() -> String { String(cString: strerror(errno)) }
}
