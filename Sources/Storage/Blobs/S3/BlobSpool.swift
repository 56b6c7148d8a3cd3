import Base
import Crypto
import Foundation

/// An upload on its way to a bucket, in a file without a name: what a crash leaves is nothing.
///
/// A bucket wants to know the key, the length and the hash before the first byte, and all three are known after the
/// last. The file also lets an attempt be repeated. Touched by one call at a time; every call blocks.
final class BlobSpool: @unchecked Sendable {
    static let headSizeBytes = 512
    /// What the bucket is told: nothing a browser would run, should somebody open the bucket to the world.
    static let contentType = "application/octet-stream"

    /// A part of an upload: what it covers and its hash in hexadecimal.
    struct Part: Sendable, Hashable {
        let range: Range<Int64>
        let hash: String
    }

    private let file: FileDescriptor
    private let partSizeBytes: Int64
    private let sizeBytesMax: Int64
    private var sizeBytes: Int64 = 0
    private var whole = SHA256()
    private var part = SHA256()
    private var partStart: Int64 = 0
    private var parts: [Part] = []
    private var head: [UInt8] = []

    init(path: String, partSizeBytes: Int, sizeBytesMax: Int64) throws(BlobStoreError) {
        file = try FileDescriptor(path, O_CREAT | O_EXCL | O_RDWR)
        guard unlink(path) == 0 else { throw FileDescriptor.lastError() }
        self.partSizeBytes = Int64(max(1, partSizeBytes))
        self.sizeBytesMax = sizeBytesMax
    }

    func append(_ bytes: [UInt8]) throws(BlobStoreError) {
        guard sizeBytes + Int64(bytes.count) <= sizeBytesMax else { throw .tooLarge(sizeBytesMax: sizeBytesMax) }
        if head.count < Self.headSizeBytes { head += bytes.prefix(Self.headSizeBytes - head.count) }
        bytes.withUnsafeBytes { whole.update(bufferPointer: $0) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int(partStart + partSizeBytes - sizeBytes))
            piece.withUnsafeBytes { part.update(bufferPointer: $0) }
            sizeBytes += Int64(piece.count)
            rest = rest.dropFirst(piece.count)
            if sizeBytes == partStart + partSizeBytes { endPart() }
        }
        try file.write(bytes)
    }

    /// The whole, ready to be sent.
    func finish(threads: WorkerThreads<Void>) -> Upload {
        if sizeBytes > partStart || parts.isEmpty { endPart() }
        return Upload(
            file: file, threads: threads, parts: parts, sizeBytes: sizeBytes, digest: Array(whole.finalize()),
            head: head)
    }

    private func endPart() {
        parts.append(Part(range: partStart..<sizeBytes, hash: Hex.encode(part.finalize())))
        part = SHA256()
        partStart = sizeBytes
    }

    /// A whole upload.
    struct Upload: Sendable {
        private static let chunkSizeBytes = 256 << 10

        let file: FileDescriptor
        let threads: WorkerThreads<Void>
        /// At least one; an empty one for an upload of nothing.
        let parts: [Part]
        let sizeBytes: Int64
        let digest: [UInt8]
        let head: [UInt8]

        /// A call that sends `part`.
        func call(_ method: String, _ key: String, query: [S3Signature.Pair] = [], part: Part) -> S3Call {
            var call = S3Call(method, key, query: query)
            if query.isEmpty { call.headers.append(("content-type", BlobSpool.contentType)) }
            call.bodyHash = part.hash
            call.body = ObjectBody(byteCount: Int64(part.range.count)) { [file, threads] in
                DiskChunkSource(file: file, range: part.range, chunkSizeBytes: Self.chunkSizeBytes, threads: threads)
            }
            return call
        }
    }
}
