import Base
import Crypto

/// Reads an object as it streams in, and hands on nothing it could not stand for.
///
/// Its length is what was announced. Where all of it is read its hash is the one in its name: the newest bytes are held
/// back until that is known, so that a reader who counts bytes never takes a forged blob for whole. What breaks off is
/// taken up where it ended, some times.
actor S3ChunkSource: BlobChunkSource {
    /// The largest piece handed on.
    private static let pieceSizeBytes = 256 << 10

    private let bucket: S3Bucket
    private let key: String
    private let tag: String
    private let end: Int64
    private let digest: [UInt8]
    /// What is being received; nil after a break.
    private var body: (any ObjectChunks)?
    private var place: RequestSlots.Place?
    private var offset: Int64
    /// Of what was read so far; nil where only a part is read.
    private var hash: SHA256?
    private var withheld: [UInt8]?
    private var ready = FIFO<[UInt8]>()
    /// Breaks since the last byte.
    private var breaks = 0
    /// How long the bucket was waited for, and may be in sum.
    private var waited = Duration.zero
    private let waitMax: Duration

    /// - Parameter digest: SHA-256 of the whole object.
    init(_ reading: S3Reading, of key: String, digest: [UInt8], bucket: S3Bucket) {
        self.bucket = bucket
        self.key = key
        self.digest = digest
        body = reading.body
        place = reading.place
        tag = reading.object.entityTag
        (offset, end) = (reading.range.lowerBound, reading.range.upperBound)
        hash = reading.range == 0..<reading.object.sizeBytes ? SHA256() : nil
        waitMax = bucket.limits.stallTimeout * 2 + bucket.limits.duration(of: Int64(reading.range.count))
    }

    func next() async throws(BlobStoreError) -> [UInt8]? {
        do {
            while ready.isEmpty, offset < end { try await advance() }
            if ready.isEmpty { try await finish() }
            return ready.popFirst()
        } catch {
            (body, place, withheld, ready, offset) = (nil, nil, nil, FIFO(), end)
            throw S3BlobStore.error(error)
        }
    }

    private func advance() async throws {
        let chunk: [UInt8]
        do {
            chunk = try await receive()
        } catch let failure as S3Failure where failure.isTransient {
            try await resume(after: failure)
            return
        }
        guard Int64(chunk.count) <= end - offset else { throw S3Failure.lied("more bytes than announced") }
        guard !chunk.isEmpty else { return }
        offset += Int64(chunk.count)
        breaks = 0
        if hash == nil { return hand(on: chunk) }
        chunk.withUnsafeBytes { hash?.update(bufferPointer: $0) }
        if let earlier = withheld { hand(on: earlier) }
        withheld = chunk
        if offset == end { try verify() }
    }

    private func receive() async throws -> [UInt8] {
        guard let body else { throw S3Failure.broken("no body") }
        let timeout = min(bucket.limits.stallTimeout, waitMax - waited)
        guard timeout > .zero else { throw S3Failure.lied("a body that dribbles") }
        let start = bucket.clock.now()
        let chunk = try await bucket.within(timeout, of: "a body stands still") { try await body.next() }
        waited += max(.zero, bucket.clock.now().since(start))
        guard let chunk else { throw S3Failure.broken("fewer bytes than announced") }
        return chunk
    }

    /// Asks for the rest of the same object.
    private func resume(after failure: S3Failure) async throws {
        breaks += 1
        body = nil
        guard breaks < bucket.limits.attemptsMax, let place else { throw failure }
        try await bucket.pause(after: breaks)
        do {
            let rest = try await bucket.openOnce(key, range: offset..<end, tag: tag, place: place)
            guard rest.range == offset..<end else { throw S3Failure.lied("an object that has shrunk") }
            body = rest.body
        } catch let failure as S3Failure where failure.isTransient {
            // The next turn finds no body, and counts as the next break.
        }
    }

    /// All bytes are here: compares the hash, and lets go of what was held back.
    private func verify() throws {
        guard let hash else { return }
        guard Array(hash.finalize()) == digest else { throw BlobStoreError.damaged }
        self.hash = nil
        if let withheld { hand(on: withheld) }
        withheld = nil
    }

    /// Everything was handed on. The end of the answer is read too, so that its connection can be used again.
    private func finish() async throws {
        try verify()
        guard let body else { return }
        let more = try? await bucket.within(bucket.limits.stallTimeout, of: "an end") { try await body.next() }
        if let more, !more.isEmpty { throw S3Failure.lied("more bytes than announced") }
        self.body = nil
        place = nil
    }

    private func hand(on chunk: [UInt8]) {
        var rest = chunk[...]
        while rest.count > Self.pieceSizeBytes {
            ready.append(Array(rest.prefix(Self.pieceSizeBytes)))
            rest = rest.dropFirst(Self.pieceSizeBytes)
        }
        ready.append(Array(rest))
    }
}
