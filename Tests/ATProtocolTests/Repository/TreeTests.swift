import ATProtocol
import Base
import Testing

@Suite struct TreeTests {
    @Test func layersOfKnownKeys() {
        let vectors = [
            ("", 0), ("asdf", 0), ("blue", 1), ("2653ae71", 0), ("88bfafc7", 2), ("2a92d355", 4), ("884976f5", 6),
            ("app.bsky.feed.post/454397e440ec", 4), ("app.bsky.feed.post/9adeb165882c", 8),
        ]
        for (key, layer) in vectors { #expect(TreeKey.layer(of: key) == layer, "\(key)") }
    }

    /// Roots that the network's implementations agree on.
    @Test func knownRoots() throws {
        let value = try CID(parsing: "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454")
        let vectors: [([String], String)] = [
            ([], "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"),
            (["3jqfcqzm3fo2j"], "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu"),
            (["3jqfcqzm3fx2j"], "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai"),
            (
                ["3jqfcqzm3fp2j", "3jqfcqzm3fr2j", "3jqfcqzm3fs2j", "3jqfcqzm3ft2j", "3jqfcqzm4fc2j"],
                "bafyreicmahysq4n6wfuxo522m6dpiy7z7qzym3dzs756t5n7nfdgccwq7m"
            ),
        ]
        for (keys, root) in vectors {
            let tree = TestTree()
            try tree.edit { editor in
                for key in keys { try editor.put(Array("com.example.record/\(key)".utf8), value) }
            }
            #expect(tree.root.string == root)
        }
    }

    /// Any order of edits gives the tree built from the sorted map; every commit inverts from its covering proof alone;
    /// the difference of two trees is what was done.
    @Test(arguments: 0..<Sample.seedCount) func editsEqualTheSortedMap(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let tree = TestTree()
        var model: [[UInt8]: CID] = [:]
        let span = [8, 40, 400][random.below(3)]
        // Most are short, so that there can be many.
        for step in 0..<(seed % 8 == 0 ? 60 : 8) {
            let before = tree.root
            let oldNodes = tree.nodes
            let operations = try edit(tree, &model, random: random, span: span, step: step)
            #expect(tree.root == (try Sample.root(of: model)), "seed \(seed), step \(step)")
            let keys = operations.map(\.key)
            let proof = TreeNodeSet(try TreeProof.covering(keys: keys, root: tree.root, source: tree))
            #expect(try TreeProof.invert(operations, root: tree.root, source: proof) == before, "seed \(seed)")
            var both = oldNodes
            for node in tree.nodes.nodes.values { both.insert(node) }
            let difference = try TreeDifference(from: before, to: tree.root, source: both)
            let expected = operations.filter { $0.value != $0.previous }
                .sorted { TreeKey.compare($0.key, $1.key) < 0 }
            #expect(difference.operations == expected, "seed \(seed), step \(step)")
            #expect(Set(difference.created) == Set(tree.nodes.nodes.keys).subtracting(oldNodes.nodes.keys))
            #expect(Set(difference.removed) == Set(oldNodes.nodes.keys).subtracting(tree.nodes.nodes.keys))
        }
    }

    /// One commit of one to four operations on distinct keys.
    private func edit(
        _ tree: TestTree, _ model: inout [[UInt8]: CID], random: SeededRandomness, span: Int, step: Int
    ) throws -> [TreeOperation] {
        var operations: [TreeOperation] = []
        for index in 0...random.below(4) {
            let key = Sample.key(random.below(span))
            guard !operations.contains(where: { $0.key == key }) else { continue }
            let previous = model[key]
            if previous != nil, random.oneIn(2) {
                operations.append(TreeOperation(key: key, value: nil, previous: previous))
                model[key] = nil
            } else {
                let value = Sample.record(step * 10 + index)
                operations.append(TreeOperation(key: key, value: value, previous: previous))
                model[key] = value
            }
        }
        try tree.edit { editor in
            for operation in operations {
                let found =
                    if let value = operation.value { try editor.put(operation.key, value) } else {
                        try editor.delete(operation.key)
                    }
                #expect(found == operation.previous)
            }
        }
        return operations
    }

    /// The store never keeps a node too many or one too few.
    @Test(arguments: 0..<50) func exactlyTheReachableNodesStay(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed &+ 1000)
        let tree = TestTree()
        var model: [[UInt8]: CID] = [:]
        for step in 0..<40 { _ = try edit(tree, &model, random: random, span: 60, step: step) }
        var reachable: Set<CID> = []
        var keys: [[UInt8]] = []
        var walk = TreeWalk(root: tree.root, source: tree)
        while let step = try walk.next() {
            switch step {
            case .node(let node): reachable.insert(node.cid)
            case .entry(let key, let value):
                keys.append(key)
                #expect(model[key] == value)
            }
        }
        if reachable.count > 1 || model.isEmpty == false {
            #expect(Set(tree.nodes.nodes.keys) == reachable, "seed \(seed)")
        }
        #expect(keys.count == model.count)
        #expect(zip(keys, keys.dropFirst()).allSatisfy { TreeKey.compare($0, $1) < 0 })
    }

    @Test func editsTouchNodesOfOnePathOnly() throws {
        var nodes = TreeNodeSet()
        var collected: [TreeNode] = []
        var builder = TreeBuilder { collected.append($0) }
        let keys = (0..<20_000).map { Sample.key(1_000_000 + $0) }
        for (index, key) in keys.enumerated() { try builder.append(key, Sample.record(index)) }
        let root = try builder.finish()
        for node in collected { nodes.insert(node) }
        var editor = try TreeEditor(root: root, source: nodes)
        try editor.put(Sample.key(1_010_000), Sample.record(-1))
        let outcome = editor.finish()
        #expect(outcome.created.count <= 12)
        #expect(outcome.created.count == outcome.removed.count)
    }

    @Test(arguments: 0..<100) func proofsVerifyAndMutationsFail(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let tree = TestTree()
        var model: [[UInt8]: CID] = [:]
        for step in 0..<20 { _ = try edit(tree, &model, random: random, span: 100, step: step) }
        let key = Sample.key(random.below(100))
        let (path, value) = try TreeProof.path(to: key, root: tree.root, source: tree)
        #expect(value == model[key])
        #expect(try TreeProof.verify(key: key, root: tree.root, source: TreeNodeSet(path)) == model[key])
        // A node left out, or one with any bit flipped, proves nothing.
        let victim = path[random.below(path.count)]
        #expect(throws: RepositoryError.self) {
            try TreeProof.verify(
                key: key, root: tree.root, source: TreeNodeSet(path.filter { $0.cid != victim.cid }))
        }
        var bytes = victim.bytes
        bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        #expect(CID.of(dagCBOR: bytes) != victim.cid)
        if let forged = try? TreeNode(cid: CID.of(dagCBOR: bytes), bytes: bytes) {
            let forgery = TreeNodeSet(path.filter { $0.cid != victim.cid } + [forged])
            #expect(throws: RepositoryError.self) {
                try TreeProof.verify(key: key, root: tree.root, source: forgery)
            }
        }
    }

    @Test func nodesThatAreNotCanonicalAreRefused() throws {
        let link = DataValue.link(Sample.record(1))
        func entry(_ prefix: Int64, _ suffix: String) -> DataValue {
            ["p": .integer(prefix), "k": .bytes(Array(suffix.utf8)), "v": link, "t": nil]
        }
        let bad: [DataValue] = [
            ["e": []], ["l": nil], ["e": [], "l": nil, "x": 1], ["e": [], "l": "text"], [1, 2],
            ["e": [entry(1, "abc")], "l": nil],
            ["e": [entry(0, "b"), entry(0, "a")], "l": nil],
            ["e": [entry(0, "a"), entry(0, "a")], "l": nil],
            ["e": [entry(0, "abc"), entry(1, "bd")], "l": nil],
            ["e": [entry(0, "")], "l": nil],
            ["e": [entry(-1, "a")], "l": nil],
            ["e": [["p": 0, "k": "text", "v": link, "t": nil]], "l": nil],
            ["e": [["p": 0, "k": .bytes([97]), "v": nil, "t": nil]], "l": nil],
            ["e": [["p": 0, "k": .bytes([97]), "v": link]], "l": nil],
        ]
        for value in bad {
            let bytes = value.cbor()
            #expect(throws: RepositoryError.self) { try TreeNode(cid: CID.of(dagCBOR: bytes), bytes: bytes) }
        }
    }
}
