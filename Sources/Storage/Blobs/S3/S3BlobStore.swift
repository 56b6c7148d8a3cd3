package import ATProtocol
package import Base

/// Blobs as objects of an S3 bucket.
///
///     <prefix>stored/<shard>/<account>/<CID>-<upload>      whole
///     <prefix>quarantine/<shard>/<account>/<CID>-<upload>  the same, out of reach
///
/// Uploads are gathered in a file without a name, then sent, in parts where they are large. The bucket is not trusted:
/// what it stored is looked at before an upload is acknowledged, and what it gives is held against the CID.
package final class S3BlobStore: BlobStore {
    private static let chunkSizeBytes = 256 << 10
    /// Removals of one account under way at once.
    private static let removalsAtOnce = 8

    let bucket: S3Bucket
    private let randomness: any Randomness
    private let spoolDirectory: String
    private let handsOutAddresses: Bool
    private let threads: WorkerThreads<Void>

    /// Opens the store; sends nothing yet.
    /// - Parameters:
    ///   - spoolDirectory: an existing directory for uploads under way.
    ///   - handsOutAddresses: whether `temporaryAddress` gives any.
    ///   - sleeper: what measures pauses and timeouts.
    package init(
        _ location: S3Location, credentials: S3Credentials, transport: any ObjectTransport, spoolDirectory: String,
        handsOutAddresses: Bool = false, limits: S3Limits = S3Limits(), clock: any WallClock,
        sleeper: any Clock<Duration> = ContinuousClock(), randomness: any Randomness
    ) {
        bucket = S3Bucket(
            location, credentials, transport, limits: limits, clock: clock, sleeper: sleeper, randomness: randomness)
        self.randomness = randomness
        self.spoolDirectory = spoolDirectory
        self.handsOutAddresses = handsOutAddresses
        threads = WorkerThreads(name: "kith-spool", threadsMax: 4, queueMax: 4096)
    }

    /// Makes sure that the bucket can be written, read, listed and cleaned up with these credentials.
    /// - Throws: `.unavailable` or `.refused`, with one sentence for the operator.
    package func check() async throws(BlobStoreError) {
        let key = "\(bucket.location.prefix)check-\(Base32.encode(randomness.bytes(8)))"
        let content = randomness.bytes(32)
        var step = "writing"
        do {
            _ = try await bucket.answer(S3Call("PUT", key).with(content))
            step = "reading"
            let read = try await bucket.answer(S3Call("GET", key))
            guard read.body == content else { throw S3Failure.lied("other bytes than were stored") }
            step = "listing"
            try await bucket.list(key, after: nil, pageSize: 1) { _ in false }
            step = "removing"
            try await bucket.delete(key)
        } catch let failure as S3Failure {
            let reason = "\(step) in \(bucket.location): \(failure)"
            throw failure.isLasting ? .refused(reason: reason) : .unavailable(reason: reason)
        } catch {
            throw Self.error(error)
        }
    }

    package func put<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks, for did: DID, sizeBytesMax: Int64
    ) async throws -> StoredBlob where Chunks.Element == [UInt8] {
        let path = spoolDirectory + "/upload-" + Base32.encode(randomness.bytes(10))
        let partSizeBytes = bucket.limits.partSizeBytes
        let spool = try await threads.onDisk { () throws(BlobStoreError) in
            try BlobSpool(path: path, partSizeBytes: partSizeBytes, sizeBytesMax: sizeBytesMax)
        }
        var pending: [UInt8] = []
        for try await chunk in chunks {
            pending += chunk
            guard pending.count >= Self.chunkSizeBytes else { continue }
            let full = pending
            pending = []
            try await threads.onDisk { () throws(BlobStoreError) in try spool.append(full) }
        }
        let (rest, threads) = (pending, threads)
        let upload = try await threads.onDisk { () throws(BlobStoreError) in
            try spool.append(rest)
            return spool.finish(threads: threads)
        }
        guard let cid = CID(digest: upload.digest, codec: .raw) else {
            throw BlobStoreError.unavailable(reason: "a digest of another length")
        }
        let location = BlobLocation(did: did, cid: cid, randomness: randomness)
        try await send(upload, to: stored(location))
        return StoredBlob(location: location, cid: cid, sizeBytes: upload.sizeBytes, head: upload.head)
    }

    private func send(_ upload: BlobSpool.Upload, to key: String) async throws {
        do {
            try await bucket.put(upload, at: key)
        } catch {
            // It may be there all the same. What this can't remove is found by `list`, having no row.
            try? await bucket.delete(key)
            if error is CancellationError { throw error }
            let known = Self.error(error)
            // What it doesn't find is what it said it took.
            if known == .notFound { throw S3Failure.lied("nothing where it took an upload").asBlobStoreError }
            throw known
        }
    }

    package func read(
        _ location: BlobLocation, range: Range<Int64>?
    ) async throws(BlobStoreError) -> BlobContents {
        let key = stored(location)
        do {
            let wanted = range?.clamped(to: 0..<Int64.max)
            if let wanted, wanted.isEmpty { return try await nothing(of: key, at: wanted) }
            let reading: S3Reading
            do {
                reading = try await bucket.open(key, range: wanted)
            } catch S3Failure.refused(let refusal) where refusal.status == 416 && wanted != nil {
                return try await nothing(of: key, at: wanted ?? 0..<0)
            }
            let source = S3ChunkSource(reading, of: key, digest: location.cid?.digest ?? [], bucket: bucket)
            return BlobContents(sizeBytes: reading.object.sizeBytes, range: reading.range, source: source)
        } catch {
            throw Self.error(error)
        }
    }

    /// The contents of a range that is empty or behind the end.
    private func nothing(of key: String, at range: Range<Int64>) async throws -> BlobContents {
        let size = try await bucket.head(key).sizeBytes
        let clamped = range.clamped(to: 0..<size)
        guard clamped.isEmpty else { throw S3Failure.lied("no bytes where there are some") }
        return BlobContents(sizeBytes: size, range: clamped, source: ByteSource([]))
    }

    package func delete(_ location: BlobLocation) async throws(BlobStoreError) {
        let keys = [stored(location), quarantined(location)]
        try await reporting { for key in keys { try await self.bucket.delete(key) } }
    }

    package func deleteAll(of did: DID) async throws(BlobStoreError) {
        let directory = BlobLocation.directory(of: did) + "/"
        try await reporting {
            for area in ["stored/", "quarantine/"] {
                try await self.bucket.list(self.bucket.location.prefix + area + directory, after: nil, pageSize: 1000) {
                    try await self.remove($0.map(\.key))
                    return true
                }
            }
        }
    }

    private func remove(_ keys: [String]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, key) in keys.enumerated() {
                if index >= Self.removalsAtOnce { try await group.next() }
                group.addTask { try await self.bucket.delete(key) }
            }
            try await group.waitForAll()
        }
    }

    package func quarantine(_ location: BlobLocation) async throws(BlobStoreError) {
        try await reporting { try await self.bucket.move(self.stored(location), to: self.quarantined(location)) }
    }

    package func release(_ location: BlobLocation) async throws(BlobStoreError) {
        try await reporting { try await self.bucket.move(self.quarantined(location), to: self.stored(location)) }
    }

    package func list(after: BlobLocation?, limit: Int) async throws(BlobStoreError) -> [ListedBlob] {
        let area = bucket.location.prefix + "stored/"
        return try await reporting {
            var listed: [ListedBlob] = []
            try await self.bucket.list(area, after: after.map { area + $0.string }, pageSize: limit) { page in
                for object in page {
                    // What others put there is none of ours.
                    guard let location = try? BlobLocation(parsing: String(object.key.dropFirst(area.count))) else {
                        continue
                    }
                    listed.append(
                        ListedBlob(location: location, sizeBytes: object.sizeBytes, storedAt: object.modified))
                }
                return listed.count < limit
            }
            return Array(listed.prefix(limit))
        }
    }

    package func removeAbandoned(before moment: Timestamp) async throws(BlobStoreError) -> Int {
        try await reporting {
            var removed = 0
            try await self.bucket.openUploads(self.bucket.location.prefix + "stored/") { page in
                for upload in page where upload.started < moment {
                    try await self.bucket.abort(upload.key, upload.id)
                    removed += 1
                }
            }
            return removed
        }
    }

    package func temporaryAddress(
        of location: BlobLocation, contentType: String, disposition: String, lifetime: Duration
    ) -> String? {
        guard handsOutAddresses else { return nil }
        return bucket.presigned(
            key: stored(location),
            query: [
                ("response-cache-control", "private, max-age=\(lifetime.components.seconds)"),
                ("response-content-disposition", disposition), ("response-content-type", contentType),
            ], lifetime: lifetime)
    }

    package func close() async {
        await threads.close()
        await bucket.close()
    }

    private func stored(_ location: BlobLocation) -> String { "\(bucket.location.prefix)stored/\(location.string)" }

    private func quarantined(_ location: BlobLocation) -> String {
        "\(bucket.location.prefix)quarantine/\(location.string)"
    }

    private func reporting<Result: Sendable>(
        _ body: () async throws -> Result
    ) async throws(BlobStoreError) -> Result {
        do { return try await body() } catch { throw Self.error(error) }
    }

    /// A failure as the store's callers know it.
    static func error(_ error: any Error) -> BlobStoreError {
        switch error {
        case let error as BlobStoreError: error
        case let failure as S3Failure: failure.asBlobStoreError
        case is CancellationError: .unavailable(reason: "cancelled")
        default: .unavailable(reason: String(describing: error))
        }
    }
}
