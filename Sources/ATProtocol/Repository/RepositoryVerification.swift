/// Gives the bytes of blocks that were checked against their CIDs.
package protocol BlockSource {
    /// The bytes of `cid`, or nil when the block is not there.
    func block(_ cid: CID) throws(RepositoryError) -> [UInt8]?
}

extension Dictionary: BlockSource where Key == CID, Value == [UInt8] {
    package func block(_ cid: CID) throws(RepositoryError) -> [UInt8]? { self[cid] }
}

/// Verifies a whole repository from untrusted blocks.
///
/// Checked are: the commit's form and owner, its signature when a key is given, that the tree has its one canonical
/// shape (order, layers, compression, no empty nodes), that every key is a repository path, and every record a
/// canonical map. Spec: https://atproto.com/specs/repository
package struct RepositoryVerification<Source: BlockSource> {
    private let source: Source

    package init(source: Source) {
        self.source = source
    }

    /// Reads a commit and checks owner and signature.
    ///
    /// - Parameters:
    ///   - did: whose repository it must be; nil to accept any.
    ///   - key: the key that must have signed it; nil to leave the signature open.
    package func commit(_ cid: CID, did: DID?, key: PublicKey?) throws(RepositoryError) -> CommitFields {
        guard let bytes = try source.block(cid) else { throw .missingBlock(cid) }
        let fields = try CommitFields(bytes: bytes)
        if let did, fields.did != did { throw .invalidCommit("it belongs to \(fields.did), not to \(did)") }
        if let key {
            guard fields.version == 3 else { throw .invalidCommit("version \(fields.version), only 3 is current") }
            guard try Commit(bytes: bytes).isSigned(by: key) else { throw .invalidSignature }
        }
        return fields
    }

    /// Walks the tree under `root` and hands out every record in key order.
    ///
    /// - Parameters:
    ///   - nodes: receives every node, parents first.
    ///   - records: receives path, CID and bytes of every record.
    /// - Returns: the number of records.
    /// - Throws: the first fault; what the closures throw.
    @discardableResult
    package func tree(
        root: CID, nodes: (TreeNode) throws -> Void = { _ in },
        records: (RepositoryPath, CID, [UInt8]) throws -> Void = { _, _, _ in }
    ) throws -> Int {
        var count = 0
        var last: [UInt8] = []
        var seen: Set<CID> = []
        try walk(root, layer: nil, depth: 0, seen: &seen, nodes: nodes) { key, cid in
            guard TreeKey.compare(last, key) < 0 else {
                throw RepositoryError.invalidNode("keys are not in ascending order")
            }
            last = key
            let text = String(decoding: key, as: UTF8.self)
            guard key.count <= TreeKey.byteCountMax, let path = try? RepositoryPath(parsing: text) else {
                throw RepositoryError.invalidKey(text)
            }
            guard let bytes = try source.block(cid) else { throw RepositoryError.missingBlock(cid) }
            guard cid.codec == .dagCBOR else {
                throw RepositoryError.invalidRecord(path: text, reason: "its CID is not dag-cbor")
            }
            try records(path, cid, bytes)
            count += 1
        }
        return count
    }

    private func walk(
        _ cid: CID, layer: Int?, depth: Int, seen: inout Set<CID>, nodes: (TreeNode) throws -> Void,
        entries: ([UInt8], CID) throws -> Void
    ) throws {
        guard depth <= TreeLimits.layerMax else { throw RepositoryError.invalidNode("too deep") }
        guard seen.insert(cid).inserted else { throw RepositoryError.invalidNode("a subtree appears twice") }
        guard let bytes = try source.block(cid) else { throw RepositoryError.missingBlock(cid) }
        let node = try TreeNode(cid: cid, bytes: bytes)
        let isRoot = depth == 0
        if node.keys.isEmpty && (isRoot ? node.subtrees[0] != nil : node.subtrees[0] == nil) {
            throw RepositoryError.invalidNode("a node without entries where none may be")
        }
        let ownLayer = layer ?? node.keys.first.map(TreeKey.layer(of:)) ?? 0
        guard ownLayer >= 0 else { throw RepositoryError.invalidNode("a subtree lies below layer 0") }
        for key in node.keys where TreeKey.layer(of: key) != ownLayer {
            throw RepositoryError.invalidNode("a key stands on the wrong layer")
        }
        try nodes(node)
        for index in node.subtrees.indices {
            if let subtree = node.subtrees[index] {
                try walk(subtree, layer: ownLayer - 1, depth: depth + 1, seen: &seen, nodes: nodes, entries: entries)
            }
            if index < node.keys.count { try entries(node.keys[index], node.values[index]) }
        }
    }
}

/// Checks that bytes are a record: a canonical DAG-CBOR map of the data model.
///
/// - Returns: the record.
/// - Throws: `.invalidRecord` with the reason.
package func verifyRecord(_ bytes: [UInt8], path: RepositoryPath) throws(RepositoryError) -> DataValue {
    do {
        let value = try DataValue(cbor: bytes)
        guard case .map = value else {
            throw DataModelError.invalidShape(path: "", message: "a record must be an object")
        }
        return value
    } catch {
        throw .invalidRecord(path: path.string, reason: "\(error)")
    }
}
