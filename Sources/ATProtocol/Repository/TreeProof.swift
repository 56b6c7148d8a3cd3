/// Proofs over a Merkle search tree.
///
/// Spec: https://atproto.com/specs/sync (covering proof, inversion), https://atproto.com/specs/repository
package enum TreeProof {
    /// The nodes on the way from `root` to `key`, or to where it would be: an inclusion or absence proof.
    ///
    /// - Returns: nodes from the root down, and the record at `key` or nil.
    package static func path(
        to key: [UInt8], root: CID, source: some TreeNodeSource
    ) throws(RepositoryError) -> (nodes: [TreeNode], value: CID?) {
        var nodes: [TreeNode] = []
        var next: CID? = root
        while let cid = next {
            guard nodes.count <= TreeLimits.layerMax else {
                throw .invalidNode("the tree is deeper than any key allows")
            }
            let node = try source.node(cid)
            nodes.append(node)
            let (index, isMatch) = node.find(key)
            if isMatch { return (nodes, node.values[index]) }
            next = node.subtrees[index]
        }
        return (nodes, nil)
    }

    /// Checks an inclusion or absence proof from untrusted nodes.
    ///
    /// - Parameter source: holds only nodes whose bytes hash to their CIDs (`TreeNode(cid:bytes:)` after a hash check).
    /// - Returns: the record at `key`, or nil when the tree under `root` has none.
    /// - Throws: `.missingBlock` when the proof is incomplete; `.invalidNode` when layers or bounds are wrong, which a
    ///   canonical tree never shows.
    package static func verify(
        key: [UInt8], root: CID, source: some TreeNodeSource
    ) throws(RepositoryError) -> CID? {
        var next: CID? = root
        var layer: Int?
        var lower: [UInt8] = []
        var upper: [UInt8]?
        var depth = 0
        while let cid = next {
            depth += 1
            guard depth <= TreeLimits.layerMax + 1 else { throw .invalidNode("too deep") }
            let node = try source.node(cid)
            if node.isEmpty && depth > 1 { throw .invalidNode("an empty node inside the tree") }
            try check(node, layer: layer, lower: lower, upper: upper)
            let (index, isMatch) = node.find(key)
            if isMatch { return node.values[index] }
            if let first = node.keys.first { layer = TreeKey.layer(of: first) }
            layer = layer.map { $0 - 1 }
            if index > 0 { lower = node.keys[index - 1] }
            if index < node.keys.count { upper = node.keys[index] }
            next = node.subtrees[index]
        }
        return nil
    }

    private static func check(
        _ node: TreeNode, layer: Int?, lower: [UInt8], upper: [UInt8]?
    ) throws(RepositoryError) {
        if let layer, layer < 0 { throw .invalidNode("a subtree lies below layer 0") }
        let expected = layer ?? node.keys.first.map(TreeKey.layer(of:))
        for key in node.keys {
            guard TreeKey.layer(of: key) == expected else { throw .invalidNode("a key stands on the wrong layer") }
        }
        if let first = node.keys.first, TreeKey.compare(lower, first) >= 0 {
            throw .invalidNode("a key lies outside its subtree's bounds")
        }
        if let upper, let last = node.keys.last, TreeKey.compare(last, upper) >= 0 {
            throw .invalidNode("a key lies outside its subtree's bounds")
        }
    }

    /// The nodes that let a reader undo operations on `keys`: for each, the way to it and to its two neighbours.
    ///
    /// For a key that was deleted the way to where it was covers its neighbours already.
    /// - Returns: distinct nodes; each parent before its children.
    /// - Complexity: O(k · log n) look-ups, nothing is encoded.
    package static func covering(
        keys: [[UInt8]], root: CID, source: some TreeNodeSource
    ) throws(RepositoryError) -> [TreeNode] {
        var nodes: [TreeNode] = []
        var seen: Set<CID> = []
        for key in keys {
            let (path, value) = try path(to: key, root: root, source: source)
            for node in path where seen.insert(node.cid).inserted { nodes.append(node) }
            guard value != nil, let last = path.last else { continue }
            let (index, _) = last.find(key)
            try spine(from: last.subtrees[index], rightmost: true, source: source, nodes: &nodes, seen: &seen)
            try spine(from: last.subtrees[index + 1], rightmost: false, source: source, nodes: &nodes, seen: &seen)
        }
        return nodes
    }

    private static func spine(
        from start: CID?, rightmost: Bool, source: some TreeNodeSource, nodes: inout [TreeNode], seen: inout Set<CID>
    ) throws(RepositoryError) {
        var next = start
        var depth = 0
        while let cid = next {
            depth += 1
            guard depth <= TreeLimits.layerMax else { throw .invalidNode("too deep") }
            let node = try source.node(cid)
            if seen.insert(cid).inserted { nodes.append(node) }
            next = rightmost ? node.subtrees[node.keys.count] : node.subtrees[0]
        }
    }
}

/// One record operation of a commit as the firehose tells it.
package struct TreeOperation: Sendable, Hashable {
    /// `collection/record-key`.
    package var key: [UInt8]
    /// The record after the operation; nil for a deletion.
    package var value: CID?
    /// The record before the operation; nil for a creation.
    package var previous: CID?

    package init(key: [UInt8], value: CID?, previous: CID?) {
        self.key = key
        self.value = value
        self.previous = previous
    }
}

extension TreeProof {
    /// Undoes `operations` on the tree under `root` and returns the root before them.
    ///
    /// - Parameter source: the nodes of the commit's blocks; the rest of the tree is not needed when the proof covers.
    /// - Throws: `.missingBlock` when it does not; `.notInvertible` when an operation does not match the tree.
    package static func invert(
        _ operations: [TreeOperation], root: CID, source: some TreeNodeSource
    ) throws(RepositoryError) -> CID {
        var editor = try TreeEditor(root: root, source: source)
        for operation in operations.reversed() {
            let found: CID?
            if let previous = operation.previous {
                found = try editor.put(operation.key, previous)
            } else {
                guard operation.value != nil else { throw .notInvertible("an operation changes nothing") }
                found = try editor.delete(operation.key)
            }
            guard found == operation.value else {
                throw .notInvertible("the tree does not hold what an operation claims")
            }
        }
        return editor.finish().root
    }
}
