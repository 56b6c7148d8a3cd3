/// One step of a walk through a tree in pre-order: a node before its entries, entries in key order.
package enum TreeStep: Sendable {
    /// A node, before anything in it.
    case node(TreeNode)
    /// An entry: key and record.
    case entry(key: [UInt8], value: CID)
}

/// Walks a tree in pre-order (node, left subtree, entry, subtree, entry …) with memory for one path.
///
/// Keys come in ascending order, so a reader of records by key can run along. Spec: https://atproto.com/specs/repository
package struct TreeWalk<Source: TreeNodeSource> {
    private let source: Source
    private var stack: [Frame] = []
    private var pending: CID?

    private struct Frame {
        let node: TreeNode
        /// Even positions are subtrees, odd ones entries.
        var position: Int
    }

    package init(root: CID, source: Source) {
        self.source = source
        pending = root
    }

    /// The next step, or nil at the end.
    ///
    /// - Throws: what the source throws; `.invalidNode` when the tree is deeper than keys allow.
    package mutating func next() throws(RepositoryError) -> TreeStep? {
        if let cid = pending {
            pending = nil
            guard stack.count <= TreeLimits.layerMax else { throw .invalidNode("too deep") }
            let node = try source.node(cid)
            stack.append(Frame(node: node, position: 0))
            return .node(node)
        }
        while let frame = stack.last {
            let position = frame.position
            guard position <= 2 * frame.node.keys.count else {
                stack.removeLast()
                continue
            }
            stack[stack.count - 1].position += 1
            if position % 2 == 1 {
                let index = position / 2
                return .entry(key: frame.node.keys[index], value: frame.node.values[index])
            }
            if let subtree = frame.node.subtrees[position / 2] {
                pending = subtree
                return try next()
            }
        }
        return nil
    }

    /// Leaves out what is under the node that `next()` returned last: for walks that know an unchanged subtree.
    package mutating func skipNode() {
        if !stack.isEmpty { stack.removeLast() }
    }
}

/// What differs between two trees.
package struct TreeDifference: Sendable {
    /// Record operations in key order.
    package var operations: [TreeOperation] = []
    /// Nodes of the new tree that the old one lacks.
    package var created: [CID] = []
    /// Nodes of the old tree that the new one lacks.
    package var removed: [CID] = []

    /// Compares two trees, skipping subtrees they share.
    ///
    /// - Complexity: O(changed nodes · log n).
    package init(from old: CID, to new: CID, source: some TreeNodeSource) throws(RepositoryError) {
        guard old != new else { return }
        var left = DifferenceSide(root: old, source: source)
        var right = DifferenceSide(root: new, source: source)
        while true {
            // Two subtrees of the same content are skipped whole wherever they stand.
            if let a = left.subtree, let b = right.subtree, a == b {
                left.skip()
                right.skip()
                continue
            }
            if try left.expandIfHigher(than: right) { continue }
            if right.subtree != nil {
                try right.expand()
                continue
            }
            if left.subtree != nil {
                try left.expand()
                continue
            }
            guard try step(&left, &right) else { break }
        }
        removed = left.seen.subtracting(right.seen).sorted()
        created = right.seen.subtracting(left.seen).sorted()
    }

    private mutating func step<Source>(
        _ left: inout DifferenceSide<Source>, _ right: inout DifferenceSide<Source>
    ) throws(RepositoryError) -> Bool {
        switch (left.entry, right.entry) {
        case (nil, nil): return false
        case (let before?, nil):
            operations.append(TreeOperation(key: before.key, value: nil, previous: before.value))
            left.skip()
        case (nil, let after?):
            operations.append(TreeOperation(key: after.key, value: after.value, previous: nil))
            right.skip()
        case (let before?, let after?):
            let order = TreeKey.compare(before.key, after.key)
            if order < 0 {
                operations.append(TreeOperation(key: before.key, value: nil, previous: before.value))
                left.skip()
            } else if order > 0 {
                operations.append(TreeOperation(key: after.key, value: after.value, previous: nil))
                right.skip()
            } else {
                if before.value != after.value {
                    operations.append(TreeOperation(key: after.key, value: after.value, previous: before.value))
                }
                left.skip()
                right.skip()
            }
        }
        return true
    }
}

/// One of the two trees of a comparison: what is still to be looked at, in key order.
private struct DifferenceSide<Source: TreeNodeSource> {
    private enum Item {
        case subtree(CID)
        case entry(key: [UInt8], value: CID)
    }

    private let source: Source
    private var items: [Item]
    /// Nodes that were opened.
    private(set) var seen: Set<CID> = []

    init(root: CID, source: Source) {
        self.source = source
        items = [.subtree(root)]
    }

    var subtree: CID? {
        if case .subtree(let cid)? = items.last { cid } else { nil }
    }

    var entry: (key: [UInt8], value: CID)? {
        if case .entry(let key, let value)? = items.last { (key, value) } else { nil }
    }

    mutating func skip() { items.removeLast() }

    /// Replaces the subtree in front by what is in it.
    mutating func expand() throws(RepositoryError) {
        guard let cid = subtree else { return }
        guard seen.insert(cid).inserted else { throw .invalidNode("a subtree appears twice") }
        items.removeLast()
        let node = try source.node(cid)
        for index in node.keys.indices.reversed() {
            if let right = node.subtrees[index + 1] { items.append(.subtree(right)) }
            items.append(.entry(key: node.keys[index], value: node.values[index]))
        }
        if let left = node.subtrees[0] { items.append(.subtree(left)) }
    }

    /// Opens the taller of two subtrees in front first, so that equal ones meet at the same height.
    mutating func expandIfHigher(than other: DifferenceSide) throws(RepositoryError) -> Bool {
        guard let mine = subtree, let theirs = other.subtree else { return false }
        guard try height(mine) > other.height(theirs) else { return false }
        try expand()
        return true
    }

    private func height(_ cid: CID) throws(RepositoryError) -> Int {
        var node = try source.node(cid)
        var wrapped = 0
        while node.keys.isEmpty, let child = node.subtrees[0] {
            wrapped += 1
            guard wrapped <= TreeLimits.layerMax else { throw .invalidNode("too deep") }
            node = try source.node(child)
        }
        return wrapped + (node.keys.first.map(TreeKey.layer(of:)) ?? 0)
    }
}
