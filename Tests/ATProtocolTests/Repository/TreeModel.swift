import ATProtocol
import Base

/// A source that holds every node ever made in a test.
final class TestTree: TreeNodeSource {
    private(set) var nodes = TreeNodeSet([TreeNode.empty])
    private(set) var root = TreeNode.empty.cid

    func node(_ cid: CID) throws(RepositoryError) -> TreeNode { try nodes.node(cid) }

    /// Applies one edit; keeps only the nodes of the new tree, so that a wrong `removed` shows at once.
    @discardableResult
    func edit(
        _ body: (inout TreeEditor<TestTree>) throws -> Void
    ) throws -> TreeEditor<TestTree>.Outcome {
        var editor = try TreeEditor(root: root, source: self)
        try body(&editor)
        let outcome = editor.finish()
        for node in outcome.created { nodes.insert(node) }
        for cid in outcome.removed { nodes.remove(cid) }
        root = outcome.root
        return outcome
    }
}

enum Sample {
    /// How many seeds a property is tried with; more in `make soak`.
    static var seedCount: UInt64 { UInt64(max(2000, SyntaxVectors.fuzzInputCount / 100)) }

    /// A record CID that depends on `number` alone.
    static func record(_ number: Int) -> CID { CID.of(dagCBOR: DataValue.integer(Int64(number)).cbor()) }

    /// A key of the usual shape; small numbers collide on purpose.
    static func key(_ number: Int) -> [UInt8] { Array("com.example.record/\(number)".utf8) }

    /// The root of the tree over sorted records.
    static func root(of model: [[UInt8]: CID]) throws -> CID {
        var builder = TreeBuilder()
        for (key, value) in model.sorted(by: { TreeKey.compare($0.key, $1.key) < 0 }) { try builder.append(key, value) }
        return try builder.finish()
    }
}
