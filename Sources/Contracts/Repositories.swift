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
    /// Removes a repository with its records, nodes and references in the caller's transaction. Blobs' bytes follow later.
    func remove(_ did: DID, in scope: any WriteScope) throws
    /// The present head, or nil.
    func head(of did: DID) async throws -> RepositoryHead?
}
