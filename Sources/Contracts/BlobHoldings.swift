package import ATProtocol
package import Base
package import Storage

/// A blob whose bytes this server holds for a repository.
package struct HeldBlob: Sendable, Hashable {
    /// The repository's number.
    package var repository: Int64
    package var did: DID
    package var cid: CID
    package var sizeBytes: Int64
    /// Where the bytes are.
    package var location: BlobLocation

    package init(repository: Int64, did: DID, cid: CID, sizeBytes: Int64, location: BlobLocation) {
        self.repository = repository
        self.did = did
        self.cid = cid
        self.sizeBytes = sizeBytes
        self.location = location
    }
}

/// The bytes of blobs as backups see them.
package protocol BlobHoldings: Sendable {
    /// Has bytes stay until `moment` although their last row goes; a second call under one name moves the moment.
    ///
    /// Whatever had a row when this was on disk can be read until then.
    func hold(_ name: String, until moment: Timestamp, in scope: any WriteScope) throws
    /// Ends a hold before its time.
    func release(_ name: String, in scope: any WriteScope) throws
    /// Ends all holds, those included that a restored database remembers.
    func releaseAll(in scope: any WriteScope) throws
    /// Up to `limit` blobs behind `last`, by repository and CID; nil starts.
    func blobs(after last: HeldBlob?, limit: Int, in scope: any ReadScope) throws -> [HeldBlob]
    /// Notes that the bytes lie elsewhere now.
    func relocate(_ blob: HeldBlob, to location: BlobLocation, in scope: any WriteScope) throws
}
