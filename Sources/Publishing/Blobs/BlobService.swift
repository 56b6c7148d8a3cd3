package import ATProtocol
package import Base
package import Contracts
package import Storage

/// Limits of blobs.
package struct BlobLimits: Sendable, Hashable {
    /// The largest blob.
    package var sizeBytesMax: Int64 = 100_000_000
    /// What one account may hold in sum, uploads that no record mentions yet included.
    package var accountSizeBytesMax: Int64 = 10_000_000_000
    /// How long an upload waits for a record; the protocol asks for an hour at least.
    package var temporaryLifetime: Duration = .seconds(24 * 3600)

    package init() {}
}

/// Uploads, reads and the end of blobs.
package struct BlobService: Sendable {
    private let database: any Database
    private let store: any BlobStore
    private let ledger: BlobLedger
    private let reader: RepositoryReader
    private let clock: any WallClock
    package let limits: BlobLimits

    package init(
        database: any Database, store: any BlobStore, ledger: BlobLedger, reader: RepositoryReader,
        clock: any WallClock, limits: BlobLimits
    ) {
        self.database = database
        self.store = store
        self.ledger = ledger
        self.reader = reader
        self.clock = clock
        self.limits = limits
    }

    /// Stores an upload; its bytes are on disk before its row is.
    ///
    /// - Parameter declaredType: what the client calls it; the bytes' own signature wins where there is one.
    ///   A wildcard, which some clients send, says nothing.
    /// - Throws: `BlobError`, `BlobStoreError`; nothing was changed.
    package func upload(
        _ body: some AsyncSequence<[UInt8], any Error> & Sendable, declaredType: String?, for did: DID
    ) async throws -> BlobReference {
        let declared = try declaredType.map { text throws(BlobError) in try BlobType(parsing: text) }
        let ledger = ledger
        let quota = limits.accountSizeBytesMax
        let held = try await database.read { scope in
            guard let row = try RepositoryStore.repository(did, in: scope) else {
                throw RepositoryReadError.repositoryNotFound
            }
            return try ledger.sizeBytes(repository: row.id, in: scope)
        }
        // Judged before the body is taken and once more with its size; what is held already may come again.
        guard held < quota else { throw BlobError.overQuota(sizeBytesMax: quota) }
        let stored = try await store.put(body, for: did, sizeBytesMax: limits.sizeBytesMax)
        do {
            guard stored.sizeBytes > 0 else { throw BlobError.empty }
            let type = MediaSignature.type(of: stored.head) ?? declared?.string ?? BlobType.unknown
            let now = clock.now()
            let row = try await database.write { scope in
                // The tree may be another since an import.
                guard let present = try RepositoryStore.repository(did, in: scope) else {
                    throw RepositoryReadError.repositoryNotFound
                }
                let isHeld = try ledger.row(stored.cid, repository: present.id, in: scope) != nil
                let sum = try ledger.sizeBytes(repository: present.id, in: scope) + stored.sizeBytes
                guard isHeld || sum <= quota else { throw BlobError.overQuota(sizeBytesMax: quota) }
                return try ledger.add(stored, mimeType: type, repository: present, now: now, in: scope)
            }
            return BlobReference(cid: row.cid, mimeType: row.mimeType, sizeBytes: row.sizeBytes)
        } catch {
            try? await store.delete(stored.location)
            throw error
        }
    }

    /// The row of a blob that `caller` may read.
    package func blob(_ cid: CID, of did: DID, for caller: Caller) async throws -> BlobRow {
        let repository = try await reader.repository(did, for: caller)
        let ledger = ledger
        guard let row = try await database.read({ try ledger.row(cid, repository: repository.id, in: $0) }),
            row.state == .permanent
        else { throw BlobError.notFound }
        return row
    }

    /// The bytes of a blob, all or a range of them.
    ///
    /// - Parameter range: within the blob.
    /// - Throws: `BlobStoreError`, `.damaged` when the store has another number of bytes than were uploaded.
    package func contents(_ row: BlobRow, range: Range<Int64>?) async throws -> BlobContents {
        let contents = try await store.read(row.location, range: range)
        guard contents.sizeBytes == row.sizeBytes, contents.range == range ?? 0..<row.sizeBytes else {
            throw BlobStoreError.damaged
        }
        return contents
    }

    /// Where the store itself hands out the whole of a blob for a while, if it does and if that is safe.
    ///
    /// Elsewhere nobody sends `nosniff` and the policy that keeps scripts from running. For pictures, sound and film that
    /// loses nothing: the Fetch standard takes none of these types for a script, with or without `nosniff`; a style
    /// sheet of another origin needs its own type; and `attachment`, which is part of what was signed, keeps a browser from
    /// showing them as a page. SVG, which is a document, and every other type pass through here.
    package func temporaryAddress(of row: BlobRow, disposition: String) -> String? {
        guard Self.inertTypes.contains(row.mimeType) else { return nil }
        return store.temporaryAddress(
            of: row.location, contentType: row.mimeType, disposition: disposition, lifetime: Self.addressLifetime)
    }

    private static let addressLifetime = Duration.seconds(300)
    private static let inertTypes: Set<String> = [
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/heic", "video/mp4", "video/webm",
        "video/quicktime", "audio/mpeg", "audio/wave",
    ]

    /// A page of an account's blobs that records mention, by CID.
    package func list(
        _ did: DID, since: TID?, cursor: CID?, limit: Int, for caller: Caller
    ) async throws -> [CID] {
        let repository = try await reader.repository(did, for: caller)
        let ledger = ledger
        return try await database.read { scope in
            try ledger.list(
                repository: repository.id, since: since?.string, cursor: cursor, limit: limit, in: scope)
        }
    }

    /// A page of blobs that records mention and that are not here, by CID.
    package func missing(_ did: DID, cursor: CID?, limit: Int) async throws -> [(cid: CID, path: String)] {
        let ledger = ledger
        return try await database.read { scope in
            guard let repository = try RepositoryStore.repository(did, in: scope) else { return [] }
            return try ledger.missing(repository: repository, cursor: cursor, limit: limit, in: scope)
        }
    }

    /// Ends uploads that waited too long and removes bytes that no row speaks of; called by a background loop. While bytes
    /// are held (`BlobHoldings`) they stay, and their places are remembered.
    ///
    /// - Returns: the number of blobs removed.
    package func sweep() async throws -> Int {
        let ledger = ledger
        let deadline = clock.now().advanced(by: .zero - limits.temporaryLifetime)
        while try await database.write({ try ledger.discardAbandoned(before: deadline, limit: 200, in: $0) }) > 0 {}
        _ = try await store.removeAbandoned(before: deadline)
        var removed = 0
        while true {
            let now = clock.now()
            let locations = try await database.read { scope in
                try ledger.isHeld(now: now, in: scope) ? [] : try ledger.disposals(limit: 200, in: scope)
            }
            if locations.isEmpty { return removed }
            for location in locations { try await store.delete(location) }
            try await database.write { scope in
                for location in locations { try ledger.disposed(location, in: scope) }
            }
            removed += locations.count
        }
    }
}
