package import ATProtocol
import Base
package import Storage

/// Where a blob stands for one account.
package enum BlobState: String, Sendable, Hashable {
    /// Uploaded, not mentioned by a record yet; neither served nor listed.
    case temporary
    /// Mentioned by a record.
    case permanent
    /// Taken down: kept, not served, and not to be mentioned again.
    case takendown
}

/// A blob's row.
package struct BlobRow: Sendable, Hashable {
    package var cid: CID
    package var mimeType: String
    package var sizeBytes: Int64
    /// Where the bytes are.
    package var location: BlobLocation
    package var state: BlobState
}

/// All SQL on blobs and the records that mention them; see `BlobSchema`. Bytes live in the blob store.
///
/// Counters are maintained, never counted. Functions that change are called inside the transaction of what caused them.
package struct BlobLedger: Sendable {
    package init() {}

    // MARK: Inside a commit

    /// Checks that every blob the commit mentions was uploaded and fits its place. Changes nothing.
    ///
    /// - Throws: `RepositoryWriteError.blobNotFound`, `.invalidBlob`.
    func check(_ change: RepositoryChange, in scope: any WriteScope) throws {
        for write in change.writes {
            for blob in write.blobs {
                guard let row = try row(blob.reference.cid, repository: change.id, in: scope), row.state != .takendown
                else { throw RepositoryWriteError.blobNotFound(blob.reference.cid) }
                if let accept = blob.accept, !accept.contains(where: { $0.matches(row.mimeType) }) {
                    throw RepositoryWriteError.invalidBlob(
                        error: "InvalidMimeType", message: "\(blob.path): \(row.mimeType) is not allowed here.")
                }
                if let sizeBytesMax = blob.sizeBytesMax, row.sizeBytes > sizeBytesMax {
                    throw RepositoryWriteError.invalidBlob(
                        error: "InvalidSize",
                        message: "\(blob.path): \(row.sizeBytes) bytes; at most \(sizeBytesMax) are allowed here.")
                }
                guard blob.reference.mimeType == row.mimeType else {
                    throw RepositoryWriteError.invalidBlob(
                        error: "InvalidMimeType", message: "\(blob.path): the blob was uploaded as \(row.mimeType).")
                }
                guard blob.reference.sizeBytes == row.sizeBytes else {
                    throw RepositoryWriteError.invalidBlob(
                        error: "InvalidSize",
                        message: "\(blob.path): the blob was uploaded with \(row.sizeBytes) bytes.")
                }
            }
        }
    }

    /// Follows a commit: new mentions make blobs permanent; a blob that lost its last mention goes.
    func apply(_ change: RepositoryChange, in scope: any WriteScope) throws {
        var released: Set<CID> = []
        for write in change.writes where write.previous != nil {
            released.formUnion(try release(path: write.path, tree: change.tree, in: scope))
        }
        // What was released is counted still; what is mentioned again stays counted.
        var expected: Int64 = 0
        for write in change.writes where !write.blobs.isEmpty {
            for cid in Set(write.blobs.map(\.reference.cid)) {
                if released.remove(cid) == nil, try !isMentioned(cid, tree: change.tree, in: scope) { expected += 1 }
                try mention(cid, path: write.path, tree: change.tree, in: scope)
                try makePermanent(cid, repository: change.id, rev: change.commit.rev, in: scope)
            }
        }
        for cid in released where try !isMentioned(cid, tree: change.tree, in: scope) {
            expected -= 1
            try discard(cid, repository: change.id, in: scope)
        }
        if expected != 0 { try countExpected(expected, repository: change.id, in: scope) }
    }

    private func release(path: String, tree: Int64, in scope: any WriteScope) throws -> [CID] {
        let rows = try scope.query(
            "SELECT cid FROM blob_reference WHERE tree = $1 AND path = $2", [.integer(tree), .text(path)])
        guard !rows.isEmpty else { return [] }
        try scope.execute(
            "DELETE FROM blob_reference WHERE tree = $1 AND path = $2", [.integer(tree), .text(path)])
        return try rows.map { try CID(bytes: $0.blob(0)) }
    }

    func mention(_ cid: CID, path: String, tree: Int64, in scope: any WriteScope) throws {
        try scope.enqueue(
            "INSERT INTO blob_reference (tree, cid, path) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [.integer(tree), .blob(cid.bytes), .text(path)])
    }

    /// Takes the mentions over to a tree of the same records but those at `leftOut`.
    func copyMentions(
        from old: Int64, to new: Int64, leftOut: [String], in scope: any WriteScope
    ) throws {
        try scope.execute(
            "INSERT INTO blob_reference (tree, cid, path) SELECT $2, cid, path FROM blob_reference WHERE tree = $1",
            [.integer(old), .integer(new)])
        for path in leftOut { _ = try release(path: path, tree: new, in: scope) }
    }

    /// Removes up to `limit` mentions of a tree that is going; returns how many.
    func removeMentions(tree: Int64, limit: Int, in scope: any WriteScope) throws -> Int {
        try scope.execute(
            """
            DELETE FROM blob_reference WHERE tree = $1 AND path IN
                (SELECT path FROM blob_reference WHERE tree = $1 LIMIT $2)
            """, [.integer(tree), .integer(limit)])
    }

    private func isMentioned(_ cid: CID, tree: Int64, in scope: any ReadScope) throws -> Bool {
        try scope.first(
            "SELECT 1 FROM blob_reference WHERE tree = $1 AND cid = $2 LIMIT 1", [.integer(tree), .blob(cid.bytes)])
            != nil
    }

    private func makePermanent(_ cid: CID, repository: Int64, rev: TID, in scope: any WriteScope) throws {
        try scope.execute(
            """
            UPDATE blob SET state = 'permanent', since_rev = $3
            WHERE repository = $1 AND cid = $2 AND state = 'temporary'
            """, [.integer(repository), .blob(cid.bytes), .text(rev.string)])
    }

    /// Removes a blob's row; its bytes follow by the background loop.
    func discard(_ cid: CID, repository: Int64, in scope: any WriteScope) throws {
        guard let row = try row(cid, repository: repository, in: scope), row.state != .takendown else { return }
        try scope.execute(
            "DELETE FROM blob WHERE repository = $1 AND cid = $2", [.integer(repository), .blob(cid.bytes)])
        try count(-1, sizeBytes: -row.sizeBytes, repository: repository, in: scope)
        try dispose(row.location, in: scope)
    }

    /// Puts bytes on the list of those that may go.
    func dispose(_ location: BlobLocation, in scope: any WriteScope) throws {
        try scope.execute(
            "INSERT INTO blob_disposal (location) VALUES ($1) ON CONFLICT DO NOTHING", [.text(location.string)])
    }

    // MARK: Uploads

    /// Records an upload whose bytes are in place; one that records wait for is permanent at once.
    ///
    /// - Throws: `BlobError.takendown` for bytes that were taken down.
    func add(
        _ stored: StoredBlob, mimeType: String, repository: RepositoryRow, now: Timestamp, in scope: any WriteScope
    ) throws -> BlobRow {
        let key: [SQLValue] = [.integer(repository.id), .blob(stored.cid.bytes)]
        if let row = try row(stored.cid, repository: repository.id, in: scope) {
            guard row.state != .takendown else { throw BlobError.takendown }
            // The bytes are there already; the second copy may go, and the sweep counts from this upload.
            try dispose(stored.location, in: scope)
            try scope.execute(
                "UPDATE blob SET created_at = $3 WHERE repository = $1 AND cid = $2",
                key + [.integer(now.microseconds)])
            return row
        }
        let isAwaited = try isMentioned(stored.cid, tree: repository.tree, in: scope)
        let state: BlobState = isAwaited ? .permanent : .temporary
        try scope.execute(
            """
            INSERT INTO blob (repository, cid, mime_type, size, location, state, created_at, since_rev)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            key + [
                .text(mimeType), .integer(stored.sizeBytes), .text(stored.location.string), .text(state.rawValue),
                .integer(now.microseconds), isAwaited ? .text(repository.rev.string) : .null,
            ])
        try count(1, sizeBytes: stored.sizeBytes, repository: repository.id, in: scope)
        return BlobRow(
            cid: stored.cid, mimeType: mimeType, sizeBytes: stored.sizeBytes, location: stored.location, state: state)
    }

    /// Bytes the account holds.
    func sizeBytes(repository: Int64, in scope: any ReadScope) throws -> Int64 {
        try scope.first("SELECT size_bytes FROM blob_usage WHERE repository = $1", [.integer(repository)])?
            .integer(0) ?? 0
    }

    /// How many blobs the account's records mention, and how many it holds.
    func usage(repository: Int64, in scope: any ReadScope) throws -> (expected: Int64, held: Int64) {
        let row = try scope.first(
            "SELECT expected_count, blob_count FROM blob_usage WHERE repository = $1", [.integer(repository)])
        return try row.map { (try $0.integer(0), try $0.integer(1)) } ?? (0, 0)
    }

    private func countExpected(_ blobs: Int64, repository: Int64, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO blob_usage (repository, blob_count, size_bytes, expected_count) VALUES ($1, 0, 0, $2)
            ON CONFLICT (repository) DO UPDATE SET expected_count = blob_usage.expected_count + excluded.expected_count
            """, [.integer(repository), .integer(blobs)])
    }

    /// Counts the blobs that a tree's records mention, where the tree has taken the place of another.
    func recountExpected(repository: Int64, tree: Int64, in scope: any WriteScope) throws {
        let counted =
            try scope.first(
                "SELECT COUNT(DISTINCT cid) FROM blob_reference WHERE tree = $1", [.integer(tree)])?.integer(0) ?? 0
        let before = try usage(repository: repository, in: scope).expected
        if counted != before { try countExpected(counted - before, repository: repository, in: scope) }
    }

    private func count(_ blobs: Int64, sizeBytes: Int64, repository: Int64, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO blob_usage (repository, blob_count, size_bytes) VALUES ($1, $2, $3)
            ON CONFLICT (repository) DO UPDATE SET blob_count = blob_usage.blob_count + excluded.blob_count,
                size_bytes = blob_usage.size_bytes + excluded.size_bytes
            """, [.integer(repository), .integer(blobs), .integer(sizeBytes)])
    }

    // MARK: Reading

    func row(_ cid: CID, repository: Int64, in scope: any ReadScope) throws -> BlobRow? {
        try scope.first(
            "SELECT mime_type, size, state, location FROM blob WHERE repository = $1 AND cid = $2",
            [.integer(repository), .blob(cid.bytes)]
        ).map { row in
            BlobRow(
                cid: cid, mimeType: try row.text(0), sizeBytes: try row.integer(1),
                location: try BlobLocation(parsing: row.text(3)),
                state: BlobState(rawValue: try row.text(2)) ?? .takendown)
        }
    }

    /// Permanent blobs after `cursor`, by CID; with `since` only those first mentioned after that revision.
    func list(
        repository: Int64, since: String?, cursor: CID?, limit: Int, in scope: any ReadScope
    ) throws -> [CID] {
        try scope.query(
            """
            SELECT cid FROM blob WHERE repository = $1 AND cid > $2 AND state = 'permanent'
                AND (since_rev > $3 OR since_rev IS NULL) ORDER BY cid LIMIT $4
            """, [.integer(repository), .blob(cursor?.bytes ?? []), .text(since ?? ""), .integer(limit)]
        ).map { try CID(bytes: $0.blob(0)) }
    }

    /// Blobs that records mention and that were not uploaded, by CID, each with one record that mentions it.
    func missing(
        repository: RepositoryRow, cursor: CID?, limit: Int, in scope: any ReadScope
    ) throws -> [(cid: CID, path: String)] {
        try scope.query(
            """
            SELECT f.cid, MIN(f.path) FROM blob_reference f WHERE f.tree = $1 AND f.cid > $2
                AND NOT EXISTS (SELECT 1 FROM blob b WHERE b.repository = $3 AND b.cid = f.cid)
            GROUP BY f.cid ORDER BY f.cid LIMIT $4
            """,
            [.integer(repository.tree), .blob(cursor?.bytes ?? []), .integer(repository.id), .integer(limit)]
        ).map { (try CID(bytes: $0.blob(0)), try $0.text(1)) }
    }

    // MARK: After an import or a removal

    /// Brings states in line with a tree that has taken the place of another.
    func reconcile(_ repository: RepositoryRow, in scope: any WriteScope) throws {
        try scope.execute(
            """
            UPDATE blob SET state = 'permanent', since_rev = $3 WHERE repository = $1 AND state = 'temporary'
                AND EXISTS (SELECT 1 FROM blob_reference f WHERE f.tree = $2 AND f.cid = blob.cid)
            """, [.integer(repository.id), .integer(repository.tree), .text(repository.rev.string)])
        let orphans = try scope.query(
            """
            SELECT cid FROM blob WHERE repository = $1 AND state = 'permanent'
                AND NOT EXISTS (SELECT 1 FROM blob_reference f WHERE f.tree = $2 AND f.cid = blob.cid)
            """, [.integer(repository.id), .integer(repository.tree)])
        for row in orphans {
            try discard(CID(bytes: row.blob(0)), repository: repository.id, in: scope)
        }
        try recountExpected(repository: repository.id, tree: repository.tree, in: scope)
    }

    /// Removes every blob row of a repository that is removed.
    func removeAll(_ repository: RepositoryRow, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO blob_disposal (location) SELECT location FROM blob WHERE repository = $1
            ON CONFLICT DO NOTHING
            """, [.integer(repository.id)])
        try scope.execute("DELETE FROM blob WHERE repository = $1", [.integer(repository.id)])
        try scope.execute("DELETE FROM blob_usage WHERE repository = $1", [.integer(repository.id)])
    }

    // MARK: The background loop

    /// Takes up to `limit` uploads off the list that no record has mentioned since `deadline`; returns how many.
    func discardAbandoned(before deadline: Timestamp, limit: Int, in scope: any WriteScope) throws -> Int {
        let rows = try scope.query(
            """
            SELECT repository, cid FROM blob WHERE state = 'temporary' AND created_at < $1
            ORDER BY created_at LIMIT $2
            """, [.integer(deadline.microseconds), .integer(limit)])
        for row in rows { try discard(CID(bytes: row.blob(1)), repository: row.integer(0), in: scope) }
        return rows.count
    }

    /// Bytes that may go.
    func disposals(limit: Int, in scope: any ReadScope) throws -> [BlobLocation] {
        try scope.query("SELECT location FROM blob_disposal ORDER BY location LIMIT $1", [.integer(limit)])
            .map { try BlobLocation(parsing: $0.text(0)) }
    }

    /// Notes that bytes are gone.
    func disposed(_ location: BlobLocation, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM blob_disposal WHERE location = $1", [.text(location.string)])
    }
}
