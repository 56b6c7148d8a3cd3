import Foundation

/// An open file or directory, closed when it is dropped. Every call blocks; errors are those of blobs.
final class FileDescriptor: Sendable {
    let number: Int32

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(BlobStoreError) {
        number = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard number >= 0 else { throw Self.lastError() }
    }

    deinit {
        Glibc.close(number)
    }

    /// Writes all of `bytes` at the end of what was written so far.
    func write(_ bytes: [UInt8]) throws(BlobStoreError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.lastError()
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Up to `count` bytes from `offset`; fewer only at the end of the file.
    func read(at offset: Int64, count: Int) throws(BlobStoreError) -> [UInt8] {
        var failure: BlobStoreError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(number, buffer.baseAddress.map { $0 + filled }, count - filled, Int(offset) + filled)
                if got < 0 {
                    if errno == EINTR { continue }
                    failure = Self.lastError()
                    return
                }
                if got == 0 { return }
                filled += got
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Waits until everything written is on disk.
    func synchronize() throws(BlobStoreError) {
        guard fsync(number) == 0 else { throw Self.lastError() }
    }

    func status() throws(BlobStoreError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw Self.lastError() }
        return status
    }

    /// Waits until the names in the directory at `path` are on disk.
    static func synchronize(directory path: String) throws(BlobStoreError) {
        try FileDescriptor(path, O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// What the last failed call says.
    static func lastError() -> BlobStoreError {
        switch errno {
        case ENOENT, ENOTDIR: .notFound
        case ENOSPC, EDQUOT: .full
        case let code: .unavailable(reason: String(cString: strerror(code)))
        }
    }
}
