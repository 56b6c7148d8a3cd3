package import ATProtocol
package import Base
import Crypto
import Foundation

/// Blobs as files below one directory.
///
///     incoming/<upload>                    being written; nobody but its writer knows it
///     stored/<shard>/<account>/<CID>-<upload>      whole and on disk
///     quarantine/<shard>/<account>/<CID>-<upload>  the same, out of reach
///
/// Every step is one rename after a flush, so that a file is in exactly one of them whenever the power fails.
package final class DiskBlobStore: BlobStore {
    /// Bytes gathered before they are handed to the disk.
    private static let chunkSizeBytes = 256 * 1024
    /// What each reader holds while it waits for its client.
    private static let readSizeBytes = 64 * 1024
    private static let headSizeBytes = 512

    let root: String
    private let randomness: any Randomness
    let threads: WorkerThreads<Void>

    /// Opens the store at `path`, making its directories (mode 0700).
    /// - Parameters:
    ///   - threadsMax: how many calls may block on the disk at once.
    ///   - waitingMax: how many may wait; a further one fails with `.overloaded`.
    package init(
        path: String, randomness: any Randomness, threadsMax: Int = 4, waitingMax: Int = 4096
    ) throws(BlobStoreError) {
        root = path
        self.randomness = randomness
        threads = WorkerThreads(name: "kith-blob", threadsMax: threadsMax, queueMax: waitingMax)
        do {
            for directory in ["", "/incoming", "/stored", "/quarantine"] {
                try Self.makeDirectory(path + directory)
            }
            try FileDescriptor.synchronize(directory: path)
        } catch .notFound {
            throw .unavailable(reason: "\(path): no such directory")
        }
    }

    package func put<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks, for did: DID, sizeBytesMax: Int64
    ) async throws -> StoredBlob where Chunks.Element == [UInt8] {
        let incoming = root + "/incoming/" + Base32.encode(randomness.bytes(10))
        let upload = try await onDisk { () throws(BlobStoreError) in
            Upload(file: try FileDescriptor(incoming, O_CREAT | O_EXCL | O_WRONLY), sizeBytesMax: sizeBytesMax)
        }
        do {
            var pending: [UInt8] = []
            for try await chunk in chunks {
                pending += chunk
                guard pending.count >= Self.chunkSizeBytes else { continue }
                let full = pending
                pending = []
                try await onDisk { () throws(BlobStoreError) in try upload.append(full) }
            }
            let rest = pending
            return try await onDisk { [self] () throws(BlobStoreError) in
                try upload.append(rest)
                return try keep(upload, from: incoming, for: did)
            }
        } catch {
            // Not on the pool: it may be the pool that refused.
            unlink(incoming)
            throw error
        }
    }

    package func read(
        _ location: BlobLocation, range: Range<Int64>?
    ) async throws(BlobStoreError) -> BlobContents {
        let path = stored(location)
        let threads = threads
        return try await onDisk { () throws(BlobStoreError) in
            let file = try FileDescriptor(path, O_RDONLY)
            let size = Int64(try file.status().st_size)
            let wanted = (range ?? 0..<size).clamped(to: 0..<size)
            let source = DiskChunkSource(
                file: file, range: wanted, chunkSizeBytes: Self.readSizeBytes, threads: threads)
            return BlobContents(sizeBytes: size, range: wanted, source: source)
        }
    }

    package func delete(_ location: BlobLocation) async throws(BlobStoreError) {
        let paths = [stored(location), quarantined(location)]
        try await onDisk { () throws(BlobStoreError) in
            for path in paths where unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR {
                throw FileDescriptor.lastError()
            }
        }
    }

    package func quarantine(_ location: BlobLocation) async throws(BlobStoreError) {
        let (source, target) = (stored(location), quarantined(location))
        let area = root + "/quarantine"
        try await onDisk { () throws(BlobStoreError) in
            try Self.move(source, to: target, area: area, directory: location.directory)
        }
    }

    package func release(_ location: BlobLocation) async throws(BlobStoreError) {
        let (source, target) = (quarantined(location), stored(location))
        let area = root + "/stored"
        try await onDisk { () throws(BlobStoreError) in
            try Self.move(source, to: target, area: area, directory: location.directory)
        }
    }

    /// Waits for what is under way and ends the threads.
    package func close() async {
        await threads.close()
    }

    // MARK: On the disk's threads

    /// Runs `body` where blocking is allowed.
    func onDisk<T: Sendable>(
        _ body: @escaping @Sendable () throws(BlobStoreError) -> T
    ) async throws(BlobStoreError) -> T {
        try await threads.onDisk(body)
    }

    /// Flushes a whole upload and gives it its place.
    private func keep(_ upload: Upload, from incoming: String, for did: DID) throws(BlobStoreError) -> StoredBlob {
        let blob = try upload.finish(did: did, randomness: randomness)
        let target = stored(blob.location)
        try Self.rename(incoming, to: target, area: root + "/stored", directory: blob.location.directory)
        return blob
    }

    /// Renames into `area/directory`, making that, and waits until the name is on disk.
    private static func rename(
        _ source: String, to target: String, area: String, directory: String
    ) throws(BlobStoreError) {
        let shard = area + "/" + directory.prefix { $0 != "/" }
        let account = area + "/" + directory
        try makeDirectory(shard)
        try makeDirectory(account)
        guard Glibc.rename(source, target) == 0 else { throw FileDescriptor.lastError() }
        // The directories may have been made just now, here or by a neighbour that has not flushed them yet.
        for path in [account, shard, area] { try FileDescriptor.synchronize(directory: path) }
    }

    /// As `rename`, succeeding when it was done before.
    private static func move(
        _ source: String, to target: String, area: String, directory: String
    ) throws(BlobStoreError) {
        do {
            try rename(source, to: target, area: area, directory: directory)
        } catch .notFound where access(target, F_OK) == 0 {
            return
        }
    }

    private static func makeDirectory(_ path: String) throws(BlobStoreError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileDescriptor.lastError() }
    }

    private func stored(_ location: BlobLocation) -> String { root + "/stored/" + location.string }
    private func quarantined(_ location: BlobLocation) -> String { root + "/quarantine/" + location.string }

    /// One upload under way. Touched by one call at a time: `put` waits for each.
    private final class Upload: @unchecked Sendable {
        private let file: FileDescriptor
        private let sizeBytesMax: Int64
        private var sizeBytes: Int64 = 0
        private var hash = SHA256()
        private var head: [UInt8] = []

        init(file: FileDescriptor, sizeBytesMax: Int64) {
            self.file = file
            self.sizeBytesMax = sizeBytesMax
        }

        func append(_ bytes: [UInt8]) throws(BlobStoreError) {
            sizeBytes += Int64(bytes.count)
            guard sizeBytes <= sizeBytesMax else { throw .tooLarge(sizeBytesMax: sizeBytesMax) }
            if head.count < DiskBlobStore.headSizeBytes {
                head += bytes.prefix(DiskBlobStore.headSizeBytes - head.count)
            }
            bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
            try file.write(bytes)
        }

        func finish(did: DID, randomness: any Randomness) throws(BlobStoreError) -> StoredBlob {
            try file.synchronize()
            guard let cid = CID(digest: Array(hash.finalize()), codec: .raw) else {
                throw .unavailable(reason: "a digest of another length")
            }
            let location = BlobLocation(did: did, cid: cid, randomness: randomness)
            return StoredBlob(location: location, cid: cid, sizeBytes: sizeBytes, head: head)
        }
    }
}
