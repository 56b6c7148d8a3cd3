/// One node of a Merkle search tree, decoded, with the bytes it was decoded from or encoded to.
///
/// On the wire `{e: [{k: bytes, p: integer, t: link | null, v: link}], l: link | null}`: `p` bytes are shared with the
/// previous key in the node, `k` is the rest, `v` the record, `t` the subtree right of the entry, `l` the subtree left
/// of all. Here keys are whole, and `subtrees[i]` lies before `keys[i]`, the last one after all.
/// Spec: https://atproto.com/specs/repository#mst-structure
package final class TreeNode: Sendable {
    package let cid: CID
    /// The canonical encoding, which hashes to `cid`.
    package let bytes: [UInt8]
    /// Whole keys in ascending order.
    package let keys: [[UInt8]]
    /// The record each key stands for; as many as keys.
    package let values: [CID]
    /// Subtrees around the keys; one more than keys.
    package let subtrees: [CID?]

    /// The only node of a repository without records.
    package static let empty = TreeNode(keys: [], values: [], subtrees: [nil])

    /// Most entries of a node that is read. Keys can be mined to fall on one layer; real nodes have a few dozen.
    package static let entryCountMax = 20_000

    /// Encodes a node. `subtrees` has one element more than `keys`, `values` as many.
    init(keys: [[UInt8]], values: [CID], subtrees: [CID?]) {
        self.keys = keys
        self.values = values
        self.subtrees = subtrees
        bytes = TreeNode.encode(keys: keys, values: values, subtrees: subtrees)
        cid = CID.of(dagCBOR: bytes)
    }

    /// Decodes a node whose bytes are known to hash to `cid`.
    ///
    /// - Throws: `.invalidNode` unless the bytes are the canonical encoding of some node: fields, key order, prefix
    ///   compression. Layers are not judged here.
    package init(cid: CID, bytes: [UInt8]) throws(RepositoryError) {
        let decoded: Decoded
        do { decoded = try TreeNode.decode(bytes) } catch {
            throw .invalidNode("\(error)")
        }
        self.cid = cid
        self.bytes = bytes
        keys = decoded.keys
        values = decoded.values
        subtrees = decoded.subtrees
        for index in keys.indices.dropFirst() where TreeKey.compare(keys[index - 1], keys[index]) >= 0 {
            throw .invalidNode("keys are not in ascending order")
        }
        for index in keys.indices.dropFirst() {
            let shared = TreeKey.sharedPrefixCount(keys[index - 1], keys[index])
            guard shared == decoded.prefixCounts[index] else { throw .invalidNode("prefix is not the longest shared") }
        }
    }

    /// True for a node with neither entries nor subtree.
    package var isEmpty: Bool { keys.isEmpty && subtrees[0] == nil }

    /// The index of the first key not before `key`, and whether it is `key`.
    package func find(_ key: [UInt8]) -> (index: Int, isMatch: Bool) {
        TreeNode.find(key, in: keys)
    }

    /// Binary search in ascending keys.
    static func find(_ key: [UInt8], in keys: [[UInt8]]) -> (index: Int, isMatch: Bool) {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            let order = TreeKey.compare(keys[middle], key)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    private static func encode(keys: [[UInt8]], values: [CID], subtrees: [CID?]) -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: 64 + keys.count * 120)
        writer.map(count: 2)
        writer.text("e")
        writer.array(count: keys.count)
        var previous: [UInt8] = []
        for index in keys.indices {
            let key = keys[index]
            let shared = TreeKey.sharedPrefixCount(previous, key)
            writer.map(count: 4)
            writer.text("k")
            writer.byteString(key[shared...])
            writer.text("p")
            writer.integer(Int64(shared))
            writer.text("t")
            writer.link(subtrees[index + 1])
            writer.text("v")
            writer.link(values[index])
            previous = key
        }
        writer.text("l")
        writer.link(subtrees[0])
        return writer.bytes
    }

    private struct Decoded {
        var keys: [[UInt8]] = []
        var values: [CID] = []
        var subtrees: [CID?] = []
        var prefixCounts: [Int] = []
    }

    private static func decode(_ bytes: [UInt8]) throws(DataModelError) -> Decoded {
        var reader = CBORReader(bytes)
        var result = Decoded()
        guard try reader.mapCount() == 2 else { throw .invalid(reason: .unexpectedType, offset: 0) }
        try reader.key("e")
        let count = try reader.arrayCount()
        guard count <= entryCountMax else { throw .limitExceeded(limit: .valueCount) }
        result.subtrees.append(nil)
        var previous: [UInt8] = []
        for _ in 0..<count {
            let start = reader.position
            guard try reader.mapCount() == 4 else { throw .invalid(reason: .unexpectedType, offset: start) }
            try reader.key("k")
            let suffix = try reader.byteString()
            try reader.key("p")
            let shared = try reader.integer()
            guard shared >= 0, shared <= Int64(previous.count) else {
                throw .invalid(reason: .unexpectedType, offset: start)
            }
            let key = Array(previous[..<Int(shared)]) + suffix
            guard !key.isEmpty, key.count <= TreeKey.byteCountMax else { throw .limitExceeded(limit: .size) }
            try reader.key("t")
            result.subtrees.append(try reader.optionalLink())
            try reader.key("v")
            result.values.append(try reader.link())
            result.keys.append(key)
            result.prefixCounts.append(Int(shared))
            previous = key
        }
        try reader.key("l")
        result.subtrees[0] = try reader.optionalLink()
        try reader.finish()
        return result
    }
}

/// Where tree nodes come from: a cache, a database, the blocks of an archive.
package protocol TreeNodeSource {
    /// The node of `cid`.
    ///
    /// - Throws: `.missingBlock` when it is not there, `.invalidNode` when it is not a node.
    func node(_ cid: CID) throws(RepositoryError) -> TreeNode
}

/// Nodes held in memory.
package struct TreeNodeSet: TreeNodeSource, Sendable {
    package private(set) var nodes: [CID: TreeNode] = [:]

    package init() {}

    package init(_ nodes: some Sequence<TreeNode>) {
        for node in nodes { self.nodes[node.cid] = node }
    }

    /// Adds a node under its CID.
    package mutating func insert(_ node: TreeNode) { nodes[node.cid] = node }
    /// Takes a node away; an absent one is no error.
    package mutating func remove(_ cid: CID) { nodes[cid] = nil }

    package func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
        guard let node = nodes[cid] else { throw .missingBlock(cid) }
        return node
    }
}
