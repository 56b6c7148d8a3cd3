package import Base

/// Named bytes in a bucket, each written in one piece: what isn't whole isn't there.
///
/// Names are relative to the location's prefix. What the bytes mean, and whether they are those that were written, is for
/// the caller to know.
package final class S3ObjectStore: Sendable {
    /// An object as a list tells it.
    package struct Listed: Sendable, Hashable {
        package let name: String
        package let sizeBytes: Int64
        /// When it was written, by the clock of the bucket.
        package let writtenAt: Timestamp
    }

    private let bucket: S3Bucket

    /// Opens the store; sends nothing yet.
    /// - Parameter sleeper: what measures pauses and timeouts.
    package init(
        _ location: S3Location, credentials: S3Credentials, transport: any ObjectTransport,
        limits: S3Limits = S3Limits(), clock: any WallClock, sleeper: any Clock<Duration> = ContinuousClock(),
        randomness: any Randomness
    ) {
        bucket = S3Bucket(
            location, credentials, transport, limits: limits, clock: clock, sleeper: sleeper, randomness: randomness)
    }

    /// Where it is, for the operator.
    package var location: S3Location { bucket.location }

    /// Writes an object in place of an older one.
    package func put(_ bytes: [UInt8], at name: String) async throws(BlobStoreError) {
        try await reporting { _ = try await self.bucket.answer(self.call(bytes, name)) }
    }

    /// Writes an object unless there is one of that name. Where a bucket knows no conditions, two that write at the same
    /// moment may both be told that they did.
    /// - Returns: whether the object there is this one.
    package func putNew(_ bytes: [UInt8], at name: String) async throws(BlobStoreError) -> Bool {
        try await reporting {
            var call = self.call(bytes, name)
            call.headers.append(("if-none-match", "*"))
            do {
                _ = try await self.bucket.answer(call)
                return true
            } catch S3Failure.refused(let refusal) where refusal.status == 412 || refusal.status == 409 {
                // It may be ours all the same: of an attempt whose answer was lost.
                return try await self.contents(name, sizeBytesMax: bytes.count) == bytes
            } catch S3Failure.refused(let refusal) where refusal.status == 501 {
                guard try await self.contents(name, sizeBytesMax: 0) == nil else { return false }
                _ = try await self.bucket.answer(self.call(bytes, name))
                return true
            }
        }
    }

    /// The bytes of an object.
    /// - Throws: `.notFound`; `.tooLarge` for one of more than `sizeBytesMax` bytes.
    package func get(_ name: String, sizeBytesMax: Int) async throws(BlobStoreError) -> [UInt8] {
        try await reporting {
            guard let bytes = try await self.contents(name, sizeBytesMax: sizeBytesMax) else {
                throw BlobStoreError.notFound
            }
            guard bytes.count <= sizeBytesMax else { throw BlobStoreError.tooLarge(sizeBytesMax: Int64(sizeBytesMax)) }
            return bytes
        }
    }

    /// Every object whose name begins with `prefix`, by name.
    package func list(_ prefix: String) async throws(BlobStoreError) -> [Listed] {
        let root = bucket.location.prefix
        return try await reporting {
            var found: [Listed] = []
            try await self.bucket.list(root + prefix, after: nil, pageSize: 1000) { page in
                found += page.map {
                    Listed(
                        name: String($0.key.dropFirst(root.count)), sizeBytes: $0.sizeBytes, writtenAt: $0.modified)
                }
                return true
            }
            return found
        }
    }

    /// Removes an object; succeeds when there is none.
    package func delete(_ name: String) async throws(BlobStoreError) {
        try await reporting { try await self.bucket.delete(self.bucket.location.prefix + name) }
    }

    /// Lets go of connections.
    package func close() async { await bucket.close() }

    private func call(_ bytes: [UInt8], _ name: String) -> S3Call {
        var call = S3Call("PUT", bucket.location.prefix + name).with(bytes)
        call.headers.append(("content-type", BlobSpool.contentType))
        return call
    }

    /// Nil when there is no such object; of one that is too large some bytes more than `sizeBytesMax`, or what comes first.
    private func contents(_ name: String, sizeBytesMax: Int) async throws -> [UInt8]? {
        let bucket = bucket
        let key = bucket.location.prefix + name
        do {
            return try await bucket.retrying {
                let place = try await bucket.turn(bucket.reads)
                let reading = try await bucket.openOnce(key, range: nil, tag: nil, place: place)
                defer { reading.place.end() }
                var bytes: [UInt8] = []
                bytes.reserveCapacity(Int(min(reading.object.sizeBytes, Int64(sizeBytesMax))))
                while bytes.count <= sizeBytesMax,
                    let chunk = try await bucket.within(
                        bucket.limits.stallTimeout, of: "an object stands still", { try await reading.body.next() })
                {
                    bytes += chunk
                }
                guard bytes.count > sizeBytesMax || Int64(bytes.count) == reading.object.sizeBytes else {
                    throw S3Failure.broken("an object of another length than told")
                }
                return bytes
            }
        } catch let failure as S3Failure where failure.isNotFound {
            return nil
        }
    }

    private func reporting<Result: Sendable>(
        _ body: () async throws -> Result
    ) async throws(BlobStoreError) -> Result {
        do { return try await body() } catch { throw S3BlobStore.error(error) }
    }
}
