package import Base

/// Judges the events of one repository as a careful consumer does, without any I/O.
///
/// Each event is accepted, and moves the head on, or is refused and changes nothing. Whether the account is hosted where
/// the event came from, and what its key is now, are for the caller to find out.
///
/// - Spec: https://atproto.com/specs/sync (sections "Firehose", "Firehose Event Validation Best Practices")
package struct FirehoseVerifier: Sendable {
    /// A commit's revision and the root of its tree.
    package struct Head: Sendable, Hashable {
        package var rev: TID
        package var data: CID

        package init(rev: TID, data: CID) {
            self.rev = rev
            self.data = data
        }
    }

    package let did: DID
    /// The key that must sign; to be looked up again when a signature fails.
    package var signingKey: PublicKey
    /// The last accepted commit, nil before the first. To be set after a repository was fetched whole.
    package var head: Head?
    /// What the last `#account` said.
    package private(set) var isActive = true

    /// How far a revision may lie ahead of the clock.
    package static let revisionLeadMax: Duration = .seconds(300)

    package init(did: DID, signingKey: PublicKey, head: Head? = nil) {
        self.did = did
        self.signingKey = signingKey
        self.head = head
    }

    /// Judges an event.
    ///
    /// - Throws: why it is refused. After `desynchronized` the repository must be fetched whole.
    /// - Complexity: one signature check; hashing of the blocks; O(k · log n) for k operations.
    package mutating func accept(_ event: FirehoseEvent, now: Timestamp) throws(FirehoseRejection) {
        guard event.did == did else { throw .otherRepository }
        switch event {
        case .commit(let commit): head = try judge(commit, now: now)
        case .sync(let sync): head = try judge(sync, now: now)
        case .account(let account): isActive = account.isActive
        case .identity: break
        }
    }

    private func judge(_ event: FirehoseCommit, now: Timestamp) throws(FirehoseRejection) -> Head {
        let blocks = try readBlocks(event.blocks)
        guard blocks.root == event.commit else { throw .notRoot }
        let commit = try judgeCommit(event.commit, blocks, rev: event.rev, now: now)
        if let head {
            guard event.rev > head.rev else { throw .staleRevision }
            guard event.since == head.rev, event.previousData == head.data else { throw .desynchronized }
        }
        // Only the first commit comes from nothing; servers that leave the field out otherwise can't be followed.
        guard let before = event.previousData ?? (event.since == nil ? TreeNode.empty.cid : nil) else {
            throw .missingPrevious
        }
        try judgeOperations(event.operations, from: before, to: commit.data, blocks)
        return Head(rev: event.rev, data: commit.data)
    }

    private func judge(_ event: FirehoseSync, now: Timestamp) throws(FirehoseRejection) -> Head {
        let blocks = try readBlocks(event.blocks)
        let commit = try judgeCommit(blocks.root, blocks, rev: event.rev, now: now)
        if let head, event.rev < head.rev { throw .staleRevision }
        return Head(rev: event.rev, data: commit.data)
    }

    private func readBlocks(_ bytes: [UInt8]) throws(FirehoseRejection) -> EventBlocks {
        do throws(RepositoryError) { return try EventBlocks(bytes) } catch { throw .badBlocks(error) }
    }

    private func judgeCommit(
        _ cid: CID, _ blocks: EventBlocks, rev: TID, now: Timestamp
    ) throws(FirehoseRejection) -> Commit {
        guard isActive else { throw .inactive }
        let commit: Commit
        do throws(RepositoryError) { commit = try Commit(bytes: try blocks.bytes(cid)) } catch {
            throw .badBlocks(error)
        }
        guard commit.did == did, commit.rev == rev else { throw .fieldMismatch }
        let latest = now.advanced(by: Self.revisionLeadMax).microseconds
        guard rev.microseconds <= latest else { throw .futureRevision }
        guard commit.isSigned(by: signingKey) else { throw .badSignature }
        return commit
    }

    private func judgeOperations(
        _ operations: [FirehoseOperation], from before: CID, to after: CID, _ blocks: EventBlocks
    ) throws(FirehoseRejection) {
        var paths: Set<RepositoryPath> = []
        var changes: [TreeOperation] = []
        changes.reserveCapacity(operations.count)
        for operation in operations {
            guard paths.insert(operation.path).inserted else { throw .repeatedPath(operation.path) }
            if let cid = operation.cid, !blocks.has(cid) { throw .missingRecord(operation.path) }
            switch operation.action {
            case .create: break
            case .update(_, let previous), .delete(let previous):
                guard previous != nil else { throw .missingPrevious }
            }
            changes.append(
                TreeOperation(
                    key: Array(operation.path.string.utf8), value: operation.cid, previous: operation.previous))
        }
        guard !changes.isEmpty else {
            // A commit without operations (the first, or a change of key) leaves the tree, whose nodes need not be sent.
            guard before == after else { throw .rootMismatch }
            return
        }
        let inverted: CID
        do throws(RepositoryError) {
            inverted = try TreeProof.invert(changes, root: after, source: blocks)
        } catch {
            throw .badProof(error)
        }
        guard inverted == before else { throw .rootMismatch }
    }
}

/// Why an event is refused.
package enum FirehoseRejection: Error, Sendable, Hashable {
    /// The event is about another repository.
    case otherRepository
    /// The account is not active.
    case inactive
    /// The blocks are no CAR of intact blocks, or the commit in it can't be read.
    case badBlocks(RepositoryError)
    /// The CAR's root is not the commit.
    case notRoot
    /// The commit has another DID or revision than the event.
    case fieldMismatch
    /// The commit was not signed by the current key.
    case badSignature
    /// The revision is not after the last one: a repetition.
    case staleRevision
    /// The revision lies in the future.
    case futureRevision
    /// The event does not follow the last one: something was missed.
    case desynchronized
    /// `prevData`, or `prev` of an update or deletion, is not given.
    case missingPrevious
    /// A path has more than one operation.
    case repeatedPath(RepositoryPath)
    /// The record that was written is not among the blocks.
    case missingRecord(RepositoryPath)
    /// The operations can't be undone on the blocks given: some are missing, or they claim what the tree doesn't hold.
    case badProof(RepositoryError)
    /// Undone, the operations don't lead back to `prevData`.
    case rootMismatch
}

/// The blocks of an event, their hashes checked. Tree nodes are decoded when they are reached.
private struct EventBlocks: TreeNodeSource {
    let root: CID
    private let blocks: [CID: [UInt8]]

    init(_ bytes: [UInt8]) throws(RepositoryError) {
        let (roots, list) = try CARReader.read(bytes)
        guard let root = roots.first else { throw .invalidArchive(message: "no root", offset: 0) }
        self.root = root
        var blocks: [CID: [UInt8]] = [:]
        blocks.reserveCapacity(list.count)
        for block in list { blocks[block.cid] = block.bytes }
        self.blocks = blocks
    }

    func has(_ cid: CID) -> Bool { blocks[cid] != nil }

    func bytes(_ cid: CID) throws(RepositoryError) -> [UInt8] {
        guard let bytes = blocks[cid] else { throw .missingBlock(cid) }
        return bytes
    }

    func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
        try TreeNode(cid: cid, bytes: try bytes(cid))
    }
}
