/// Edits a Merkle search tree: puts and deletes by key, touching O(log n) nodes, each encoded once at the end.
///
/// Nodes are loaded when an edit reaches them; the rest of the tree is never looked at. A failed edit leaves nothing
/// behind: the stored tree is not changed, the editor is thrown away.
/// Spec: https://atproto.com/specs/repository#mst-structure
package struct TreeEditor<Source: TreeNodeSource> {
    private let source: Source
    private var root: Link
    private var rootLayer: Int
    /// Stored nodes that were opened for change.
    private var opened: Set<CID> = []

    private indirect enum Link {
        case none
        case stored(CID)
        case draft(Draft)

        var isNone: Bool { if case .none = self { true } else { false } }
    }

    /// A node being changed. Owned by one editor, reachable from one place.
    private final class Draft {
        let layer: Int
        var keys: [[UInt8]]
        var values: [CID]
        var subtrees: [Link]

        init(layer: Int, keys: [[UInt8]], values: [CID], subtrees: [Link]) {
            self.layer = layer
            self.keys = keys
            self.values = values
            self.subtrees = subtrees
        }

        var isEmpty: Bool { keys.isEmpty && subtrees[0].isNone }
    }

    /// Begins an edit of the tree under `root`.
    ///
    /// - Throws: what `source` throws; `.invalidNode` for a root that no canonical tree has.
    package init(root: CID, source: Source) throws(RepositoryError) {
        self.source = source
        let node = try source.node(root)
        if node.isEmpty {
            self.root = .none
            rootLayer = 0
            opened.insert(root)
        } else {
            guard let key = node.keys.first else { throw .invalidNode("the root has no entries") }
            self.root = .stored(root)
            rootLayer = TreeKey.layer(of: key)
        }
    }

    /// The record at `key`, or nil.
    package func value(of key: [UInt8]) throws(RepositoryError) -> CID? {
        var link = root
        // A path has a node per layer at most; the bound ends cycles in hostile blocks.
        for _ in 0...TreeLimits.layerMax {
            switch link {
            case .none: return nil
            case .stored(let cid):
                let node = try source.node(cid)
                let (index, isMatch) = node.find(key)
                if isMatch { return node.values[index] }
                link = node.subtrees[index].map(Link.stored) ?? .none
            case .draft(let draft):
                let (index, isMatch) = TreeNode.find(key, in: draft.keys)
                if isMatch { return draft.values[index] }
                link = draft.subtrees[index]
            }
        }
        throw .invalidNode("the tree is deeper than any key allows")
    }

    /// Sets `key` to `value`; returns the record it had before, or nil.
    @discardableResult
    package mutating func put(_ key: [UInt8], _ value: CID) throws(RepositoryError) -> CID? {
        let layer = TreeKey.layer(of: key)
        guard let top = try open(root, layer: rootLayer) else {
            root = .draft(Draft(layer: layer, keys: [key], values: [value], subtrees: [.none, .none]))
            rootLayer = layer
            return nil
        }
        if layer > rootLayer {
            let (left, right) = try split(.draft(top), around: key, layer: rootLayer)
            root = .draft(
                Draft(
                    layer: layer, keys: [key], values: [value],
                    subtrees: [
                        wrap(left, from: rootLayer, to: layer - 1), wrap(right, from: rootLayer, to: layer - 1),
                    ]))
            rootLayer = layer
            return nil
        }
        root = .draft(top)
        return try put(key, value, layer: layer, into: top)
    }

    private mutating func put(
        _ key: [UInt8], _ value: CID, layer: Int, into draft: Draft
    ) throws(RepositoryError) -> CID? {
        let (index, isMatch) = TreeNode.find(key, in: draft.keys)
        if isMatch {
            let previous = draft.values[index]
            draft.values[index] = value
            return previous
        }
        if draft.layer == layer {
            let (left, right) = try split(draft.subtrees[index], around: key, layer: layer - 1)
            draft.keys.insert(key, at: index)
            draft.values.insert(value, at: index)
            draft.subtrees[index] = left
            draft.subtrees.insert(right, at: index + 1)
            return nil
        }
        guard let child = try open(draft.subtrees[index], layer: draft.layer - 1) else {
            let leaf = Draft(layer: layer, keys: [key], values: [value], subtrees: [.none, .none])
            draft.subtrees[index] = wrap(.draft(leaf), from: layer, to: draft.layer - 1)
            return nil
        }
        draft.subtrees[index] = .draft(child)
        return try put(key, value, layer: layer, into: child)
    }

    /// Removes `key`; returns the record it had, or nil when it was absent and nothing changed.
    @discardableResult
    package mutating func delete(_ key: [UInt8]) throws(RepositoryError) -> CID? {
        guard let previous = try value(of: key), let top = try open(root, layer: rootLayer) else { return nil }
        try delete(key, from: top)
        root = .draft(top)
        try trimRoot()
        return previous
    }

    private mutating func delete(_ key: [UInt8], from draft: Draft) throws(RepositoryError) {
        let (index, isMatch) = TreeNode.find(key, in: draft.keys)
        if isMatch {
            let merged = try merge(draft.subtrees[index], draft.subtrees[index + 1], layer: draft.layer - 1)
            draft.keys.remove(at: index)
            draft.values.remove(at: index)
            draft.subtrees.remove(at: index + 1)
            draft.subtrees[index] = merged
            return
        }
        guard let child = try open(draft.subtrees[index], layer: draft.layer - 1) else { return }
        try delete(key, from: child)
        draft.subtrees[index] = child.isEmpty ? .none : .draft(child)
    }

    /// Drops layers on top that hold no entry.
    private mutating func trimRoot() throws(RepositoryError) {
        while true {
            switch root {
            case .none: return
            case .draft(let draft):
                guard draft.keys.isEmpty else { return }
                root = draft.subtrees[0]
            case .stored(let cid):
                let node = try source.node(cid)
                guard node.keys.isEmpty else { return }
                opened.insert(cid)
                root = node.subtrees[0].map(Link.stored) ?? .none
            }
            rootLayer = max(0, rootLayer - 1)
        }
    }

    private mutating func open(_ link: Link, layer: Int) throws(RepositoryError) -> Draft? {
        switch link {
        case .none: return nil
        case .draft(let draft): return draft
        case .stored(let cid):
            guard layer >= 0 else { throw .invalidNode("a subtree lies below layer 0") }
            let node = try source.node(cid)
            opened.insert(cid)
            return Draft(
                layer: layer, keys: node.keys, values: node.values,
                subtrees: node.subtrees.map { $0.map(Link.stored) ?? .none })
        }
    }

    /// Puts entry-less nodes over `link` until it stands at layer `to`.
    private func wrap(_ link: Link, from: Int, to: Int) -> Link {
        guard !link.isNone, from < to else { return link }
        return ((from + 1)...to).reduce(link) { inner, layer in
            .draft(Draft(layer: layer, keys: [], values: [], subtrees: [inner]))
        }
    }

    /// Parts the subtree into what comes before `key` and what comes after; `key` itself is not in it.
    private mutating func split(
        _ link: Link, around key: [UInt8], layer: Int
    ) throws(RepositoryError) -> (Link, Link) {
        let keys: [[UInt8]]
        switch link {
        case .none: return (.none, .none)
        case .stored(let cid):
            guard layer >= 0 else { throw .invalidNode("a subtree lies below layer 0") }
            keys = try source.node(cid).keys
        case .draft(let draft): keys = draft.keys
        }
        let (index, isMatch) = TreeNode.find(key, in: keys)
        guard !isMatch else { throw .invalidNode("a key stands on the wrong layer") }
        let gap: Link
        switch link {
        case .none: gap = .none
        case .stored(let cid): gap = try source.node(cid).subtrees[index].map(Link.stored) ?? .none
        case .draft(let draft): gap = draft.subtrees[index]
        }
        let (left, right) = try split(gap, around: key, layer: layer - 1)
        // A part that takes everything is the old subtree, unopened: it needs no new encoding.
        if index == keys.count, right.isNone { return (link, .none) }
        if index == 0, left.isNone { return (.none, link) }
        guard let draft = try open(link, layer: layer) else { return (.none, .none) }
        let before = Draft(
            layer: layer, keys: Array(draft.keys[..<index]), values: Array(draft.values[..<index]),
            subtrees: Array(draft.subtrees[..<index]) + [left])
        let after = Draft(
            layer: layer, keys: Array(draft.keys[index...]), values: Array(draft.values[index...]),
            subtrees: [right] + Array(draft.subtrees[(index + 1)...]))
        return (before.isEmpty ? .none : .draft(before), after.isEmpty ? .none : .draft(after))
    }

    /// Joins two neighbouring subtrees of one layer.
    private mutating func merge(_ left: Link, _ right: Link, layer: Int) throws(RepositoryError) -> Link {
        if left.isNone { return right }
        if right.isNone { return left }
        guard let before = try open(left, layer: layer), let after = try open(right, layer: layer) else {
            return .none
        }
        let middle = try merge(before.subtrees[before.keys.count], after.subtrees[0], layer: layer - 1)
        return .draft(
            Draft(
                layer: layer, keys: before.keys + after.keys, values: before.values + after.values,
                subtrees: Array(before.subtrees.dropLast()) + [middle] + Array(after.subtrees.dropFirst())))
    }

    /// What an edit did to the set of nodes.
    package struct Outcome: Sendable {
        /// The root of the edited tree.
        package var root: CID
        /// Nodes of the new tree that the old one did not have; children before parents.
        package var created: [TreeNode]
        /// Nodes of the old tree that the new one does not have.
        package var removed: [CID]
    }

    /// Encodes what changed.
    ///
    /// - Complexity: O(k · log n) for k edits among n records.
    package func finish() -> Outcome {
        var created: [TreeNode] = []
        var kept: Set<CID> = []
        let top: CID
        switch root {
        case .none:
            created.append(TreeNode.empty)
            top = TreeNode.empty.cid
        case .stored(let cid):
            kept.insert(cid)
            top = cid
        case .draft(let draft):
            top = encode(draft, into: &created)
        }
        let encoded = Set(created.map(\.cid))
        return Outcome(
            root: top, created: created.filter { !opened.contains($0.cid) },
            removed: opened.filter { !encoded.contains($0) && !kept.contains($0) })
    }

    private func encode(_ draft: Draft, into created: inout [TreeNode]) -> CID {
        var subtrees: [CID?] = []
        subtrees.reserveCapacity(draft.subtrees.count)
        for link in draft.subtrees {
            switch link {
            case .none: subtrees.append(nil)
            case .stored(let cid): subtrees.append(cid)
            case .draft(let child): subtrees.append(encode(child, into: &created))
            }
        }
        let node = TreeNode(keys: draft.keys, values: draft.values, subtrees: subtrees)
        created.append(node)
        return node.cid
    }
}

/// Bounds of the tree.
package enum TreeLimits {
    /// Highest layer a SHA-256 allows.
    package static let layerMax = 128
}
