import Foundation

/// Whole files, read and written in one go. Every call blocks.
enum DiskFile {
    static func read(_ path: String, sizeBytesMax: Int) throws(BackupError) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw lastError(path) }
        defer { Glibc.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw lastError(path) }
        guard Int(status.st_size) <= sizeBytesMax else {
            throw .file(path: path, reason: "has more than \(sizeBytesMax) bytes")
        }
        var failure: BackupError?
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, filled in
            while filled < buffer.count {
                let count = pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled, Int(filled))
                if count < 0, errno == EINTR { continue }
                if count < 0 { failure = lastError(path) }
                if count <= 0 { return }
                filled += count
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes a file of mode 0600 in place of an older one.
    static func write(_ bytes: [UInt8], to path: String, flushes: Bool = true) throws(BackupError) {
        unlink(path)
        let descriptor = Glibc.open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw lastError(path) }
        defer { Glibc.close(descriptor) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw lastError(path) }
            rest = rest.dropFirst(count)
        }
        guard !flushes || fsync(descriptor) == 0 else { throw lastError(path) }
    }

    static func rename(_ source: String, to target: String) throws(BackupError) {
        guard Glibc.rename(source, target) == 0 else { throw lastError(target) }
    }

    /// Waits until a file's bytes, or a folder's names, are on disk.
    static func flush(_ path: String) throws(BackupError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw lastError(path) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw lastError(path) }
    }

    /// The names in a folder; none when there is no such folder.
    static func names(in folder: String) throws(BackupError) -> [String] {
        guard let directory = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw lastError(folder)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The size of a regular file, or nil.
    static func sizeBytes(_ path: String) -> Int64? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int64(status.st_size)
    }

    static func lastError(_ path: String) -> BackupError {
        .file(path: path, reason: String(cString: strerror(errno)))
    }
}
