package import ATProtocol
package import Storage

/// A record as its repository holds it.
package struct StoredRecord: Sendable, Hashable {
    package var path: RepositoryPath
    package var cid: CID
    package var value: DataValue

    package init(path: RepositoryPath, cid: CID, value: DataValue) {
        self.path = path
        self.cid = cid
        self.value = value
    }
}

/// What must stand at a path for a write to happen.
package enum RecordExpectation: Sendable, Hashable {
    case anything
    case absent
    case record(CID)
}

/// Something else stands there now: read again and decide anew.
package struct RecordConflict: Error, Sendable, Hashable {
    package init() {}
}

/// Records in people's own repositories, as rooms see them that don't own repositories. Whatever is written goes through the
/// one door, and whoever writes must own the repository.
package protocol PersonalRecords: Sendable {
    /// The record at a path, or nil; whatever state the account is in.
    func record(at path: RepositoryPath, of did: DID) async throws -> StoredRecord?
    /// The collections that hold records.
    func collections(of did: DID) async throws -> [NSID]
    /// Creates or replaces a record; the same again changes nothing.
    ///
    /// - Throws: `RecordConflict`; what the door throws.
    func put(
        _ value: DataValue, at path: RepositoryPath, replacing expected: RecordExpectation, by caller: Caller
    ) async throws -> CID
    /// Deletes a record.
    ///
    /// - Returns: false when there was none.
    func remove(at path: RepositoryPath, by caller: Caller) async throws -> Bool
    /// `head`, then one JSON object with an array of `{rkey, cid, record}` for each collection, then `tail`. In bounded
    /// memory, of one moment.
    ///
    /// - Parameter client: whose share of the database's streams it takes, e.g. an address.
    func dump(_ did: DID, head: [UInt8], tail: [UInt8], for client: String) async throws -> ByteStream
}
