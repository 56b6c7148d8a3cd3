/// What a signed commit proves about one path: the record that is there, or that there is none.
///
/// A value that exists was checked: every block hashes to its CID, the commit belongs to the repository and is signed by
/// the key, and the nodes lead from its tree's root to the path, or to where the path would be. It says nothing of
/// whether the commit is the latest. Spec: https://atproto.com/specs/sync, `com.atproto.sync.getRecord`
package struct RecordProof: Sendable, Hashable {
    /// A record with its bytes.
    package struct Record: Sendable, Hashable {
        package let cid: CID
        /// Canonical DAG-CBOR.
        package let bytes: [UInt8]
        /// A map.
        package let value: DataValue
    }

    package let path: RepositoryPath
    package let commit: Commit
    /// The record at the path; nil when the proof is one of absence.
    package let record: Record?

    /// Longest archive that is read, in bytes: a record of 1 MiB and the nodes on its way.
    package static let byteCountMax = 2_097_152
    /// Most blocks of an archive: the commit, the record, a node for each layer, and as many again that are not needed.
    package static let blockCountMax = 2 * (TreeLimits.layerMax + 3)

    /// Checks an untrusted archive.
    ///
    /// - Parameters:
    ///   - archive: CAR 1 whose only root is the commit; blocks in any order, more than needed are no error.
    ///   - did: whose repository it must be of.
    ///   - key: the key that must have signed the commit.
    /// - Throws: what is wrong with it; `.missingBlock` when it proves nothing about the path.
    package init(
        archive: [UInt8], of path: RepositoryPath, in did: DID, signedBy key: PublicKey
    ) throws(RepositoryError) {
        guard archive.count <= Self.byteCountMax else { throw .limitExceeded("the archive is too large for a proof") }
        let (root, blocks) = try Self.blocks(archive)
        guard let bytes = blocks[root] else { throw .missingBlock(root) }
        let commit = try Commit(bytes: bytes)
        guard commit.cid == root else { throw .invalidCommit("its CID is not dag-cbor") }
        guard commit.did == did else { throw .invalidCommit("it belongs to \(commit.did), not to \(did)") }
        guard commit.isSigned(by: key) else { throw .invalidSignature }
        self.path = path
        self.commit = commit
        let value = try TreeProof.verify(
            key: Array(path.string.utf8), root: commit.data, source: BlockNodes(blocks: blocks))
        record = try value.map { (cid) throws(RepositoryError) in try Self.record(cid, path, blocks) }
    }

    private static func blocks(_ archive: [UInt8]) throws(RepositoryError) -> (root: CID, blocks: [CID: [UInt8]]) {
        var reader = CARReader()
        reader.append(archive)
        var blocks: [CID: [UInt8]] = [:]
        var count = 0
        while let block = try reader.next() {
            count += 1
            guard count <= blockCountMax else { throw .limitExceeded("too many blocks for a proof") }
            blocks[block.cid] = block.bytes
        }
        try reader.finish()
        guard let roots = reader.roots, roots.count == 1 else {
            throw .invalidArchive(message: "header: a proof has one root, its commit", offset: 0)
        }
        return (roots[0], blocks)
    }

    private static func record(
        _ cid: CID, _ path: RepositoryPath, _ blocks: [CID: [UInt8]]
    ) throws(RepositoryError) -> Record {
        guard cid.codec == .dagCBOR else {
            throw .invalidRecord(path: path.string, reason: "its CID is not dag-cbor")
        }
        guard let bytes = blocks[cid] else { throw .missingBlock(cid) }
        return Record(cid: cid, bytes: bytes, value: try verifyRecord(bytes, path: path))
    }

    /// Writes the archive that proves what is, or is not, at a path.
    ///
    /// - Parameters:
    ///   - commit: CID and bytes.
    ///   - nodes: from the root down, as `TreeProof.path` gives them.
    ///   - record: CID and bytes of the record; nil for a proof of absence.
    package static func archive(
        commit: CARBlock, nodes: [TreeNode], record: CARBlock?
    ) -> [UInt8] {
        var archive = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &archive)
        for node in nodes { CARWriter.append(node.cid, node.bytes, to: &archive) }
        if let record { CARWriter.append(record.cid, record.bytes, to: &archive) }
        return archive
    }
}

/// Tree nodes among the blocks of an archive, decoded when they are asked for.
private struct BlockNodes: TreeNodeSource {
    let blocks: [CID: [UInt8]]

    func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
        guard let bytes = blocks[cid] else { throw .missingBlock(cid) }
        return try TreeNode(cid: cid, bytes: bytes)
    }
}
