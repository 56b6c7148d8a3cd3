/// Builds a tree from keys in ascending order, with memory for one path: rebuilding, import, checks.
///
/// - Complexity: O(n) time, O(depth + open entries) memory.
package struct TreeBuilder {
    private struct Level {
        var keys: [[UInt8]] = []
        var values: [CID] = []
        /// Subtrees before each key; the one after the last key comes when the level closes.
        var subtrees: [CID?] = []
    }

    private var levels: [Level] = []
    private var last: [UInt8] = []
    private let emit: (TreeNode) throws -> Void

    /// - Parameter emit: receives each finished node, children before parents.
    package init(emit: @escaping (TreeNode) throws -> Void = { _ in }) {
        self.emit = emit
    }

    /// Adds the next record.
    ///
    /// - Throws: `RepositoryError.invalidKey` unless `key` follows the one before; what `emit` throws.
    package mutating func append(_ key: [UInt8], _ value: CID) throws {
        guard TreeKey.compare(last, key) < 0 else {
            throw RepositoryError.invalidKey(String(decoding: key, as: UTF8.self))
        }
        last = key
        let layer = TreeKey.layer(of: key)
        while levels.count <= layer { levels.append(Level()) }
        var carry: CID?
        for index in 0..<layer { carry = try close(index, tail: carry) }
        levels[layer].subtrees.append(carry)
        levels[layer].keys.append(key)
        levels[layer].values.append(value)
    }

    private mutating func close(_ index: Int, tail: CID?) throws -> CID? {
        let level = levels[index]
        if level.keys.isEmpty && tail == nil { return nil }
        levels[index] = Level()
        let node = TreeNode(keys: level.keys, values: level.values, subtrees: level.subtrees + [tail])
        try emit(node)
        return node.cid
    }

    /// Ends the tree and returns its root.
    package mutating func finish() throws -> CID {
        var carry: CID?
        for index in levels.indices { carry = try close(index, tail: carry) }
        if let carry { return carry }
        try emit(TreeNode.empty)
        return TreeNode.empty.cid
    }
}
