import ATProtocol
package import Base
package import Contracts
package import Storage

extension BlobLedger: BlobHoldings {
    package func hold(_ name: String, until moment: Timestamp, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO blob_hold (name, expires_at) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at
            """, [.text(name), .integer(moment.microseconds)])
    }

    package func release(_ name: String, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM blob_hold WHERE name = $1", [.text(name)])
    }

    package func releaseAll(in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM blob_hold")
    }

    /// Whether bytes without a row have to stay for now. To be asked in the state in which they are listed: what was
    /// listed before a hold had lost its row before it, too.
    func isHeld(now: Timestamp, in scope: any ReadScope) throws -> Bool {
        try scope.first("SELECT 1 FROM blob_hold WHERE expires_at > $1 LIMIT 1", [.integer(now.microseconds)]) != nil
    }

    package func blobs(after last: HeldBlob?, limit: Int, in scope: any ReadScope) throws -> [HeldBlob] {
        let rows = try scope.query(
            """
            SELECT repository, cid, size, location FROM blob
            WHERE repository > $1 OR (repository = $1 AND cid > $2) ORDER BY repository, cid LIMIT $3
            """, [.integer(last?.repository ?? .min), .blob(last?.cid.bytes ?? []), .integer(limit)])
        let owners = try RepositoryStore.owners(of: Set(rows.map { try $0.integer(0) }), in: scope)
        // A blob goes in the transaction in which its repository goes: none is without an owner.
        return try rows.compactMap { row in
            let repository = try row.integer(0)
            return try owners[repository].map { did in
                HeldBlob(
                    repository: repository, did: did, cid: try CID(bytes: row.blob(1)),
                    sizeBytes: try row.integer(2), location: try BlobLocation(parsing: row.text(3)))
            }
        }
    }

    package func relocate(_ blob: HeldBlob, to location: BlobLocation, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE blob SET location = $3 WHERE repository = $1 AND cid = $2",
            [.integer(blob.repository), .blob(blob.cid.bytes), .text(location.string)])
    }
}
