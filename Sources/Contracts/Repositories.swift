package import ATProtocol
package import Storage

/// The head of a repository.
package struct RepositoryHead: Sendable, Hashable {
    package var did: DID
    /// The commit.
    package var commit: CID
    package var rev: TID
    /// Root of the tree.
    package var data: CID

    package init(did: DID, commit: CID, rev: TID, data: CID) {
        self.did = did
        self.commit = commit
        self.rev = rev
        self.data = data
    }
}

/// What the server holds of a repository, from counters that are kept with it.
package struct RepositoryFigures: Sendable, Hashable {
    package var head: RepositoryHead
    package var recordCount: Int64
    /// Blocks of the whole archive: the commit, the tree's nodes, and the records.
    package var blockCount: Int64
    /// Different blobs that records mention.
    package var expectedBlobCount: Int64
    /// Blobs held, those included that no record mentions yet.
    package var heldBlobCount: Int64

    package init(
        head: RepositoryHead, recordCount: Int64, blockCount: Int64, expectedBlobCount: Int64, heldBlobCount: Int64
    ) {
        self.head = head
        self.recordCount = recordCount
        self.blockCount = blockCount
        self.expectedBlobCount = expectedBlobCount
        self.heldBlobCount = heldBlobCount
    }
}

/// An empty repository, signed and ready to be stored.
package struct RepositoryCreation: Sendable {
    /// The first commit, over the empty tree.
    package var commit: Commit

    package init(commit: Commit) {
        self.commit = commit
    }
}

/// The repositories of this server, as the rooms that create and end accounts see them.
package protocol Repositories: Sendable {
    /// Signs an empty repository. Nothing is stored.
    func prepareCreation(did: DID, signer: any RepositorySigner) throws -> RepositoryCreation
    /// Stores a prepared repository in the caller's transaction and, when `announced`, logs `#commit` and `#sync`.
    func create(_ creation: RepositoryCreation, announced: Bool, in scope: any WriteScope) throws
    /// Logs `#sync` with the present head in the caller's transaction: after activation.
    func announceHead(of did: DID, in scope: any WriteScope) throws
    /// Signs the present tree anew, with a revision newer than any that was given before now, and logs `#sync` when
    /// `announced`: after a restore, when others may know commits that are gone. Nothing is done where there is no repository.
    func renewHead(of did: DID, signer: any RepositorySigner, announced: Bool, in scope: any WriteScope) throws
    /// Removes a repository with its records, nodes and references in the caller's transaction. Blobs' bytes follow later.
    func remove(_ did: DID, in scope: any WriteScope) throws
    /// The present head, or nil.
    func head(of did: DID) async throws -> RepositoryHead?
    /// What is held of the repository, or nil. In constant time.
    func figures(of did: DID) async throws -> RepositoryFigures?
}

/// Proofs of what repositories of this server hold.
package protocol RecordProofs: Sendable {
    /// What proves, by the present commit, which record is at `path`, or that there is none.
    ///
    /// Whoever asks answers for who may see it.
    /// - Returns: an archive as `RecordProof` reads it; nil when no such repository is here.
    func proof(of path: RepositoryPath, in did: DID) async throws -> [UInt8]?
}

/// Whole repositories as archives.
package protocol RepositoryArchives: Sendable {
    /// The archive (CAR) of a repository's present state, whatever state its account is in.
    ///
    /// - Parameter client: whose share of the database's streams it takes; nil is this server itself.
    /// - Throws: errors for the caller when there is no repository; storage errors.
    func archive(of did: DID, for client: String?) async throws -> ByteStream
}
