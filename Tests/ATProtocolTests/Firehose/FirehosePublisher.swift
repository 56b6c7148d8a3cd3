import ATProtocol
import Base

/// A repository in memory that tells its commits as a server does.
struct FirehosePublisher {
    let random: SeededRandomness
    var key: PrivateKey
    let did = FirehoseSamples.did
    private(set) var records: [RepositoryPath: CID] = [:]
    private(set) var head: FirehoseVerifier.Head?
    private var nodes = TreeNodeSet([TreeNode.empty])
    private var time = Timestamp(seconds: 1_750_000_000)

    init(seed: UInt64) {
        random = SeededRandomness(seed: seed)
        key = .generate(.k256, using: random)
    }

    var verifier: FirehoseVerifier { FirehoseVerifier(did: did, signingKey: key.publicKey) }

    /// The moment of the last commit.
    var now: Timestamp { time }

    /// Makes a commit of random operations and returns its event.
    mutating func commit(operationCount: Int) throws -> FirehoseCommit {
        var editor = try TreeEditor(root: head?.data ?? TreeNode.empty.cid, source: nodes)
        var operations: [FirehoseOperation] = []
        var blocks: [CARBlock] = []
        var touched: Set<RepositoryPath> = []
        for _ in 0..<operationCount {
            let path = path()
            guard touched.insert(path).inserted else { continue }
            let treeKey = Array(path.string.utf8)
            if let previous = records[path], random.oneIn(2) {
                _ = try editor.delete(treeKey)
                records[path] = nil
                operations.append(FirehoseOperation(path: path, action: .delete(previous: previous)))
            } else {
                let number = Int64(random.below(1 << 40))
                let record: DataValue = ["$type": .string(path.collection.string), "n": .integer(number)]
                let block = CARBlock(cid: CID.of(dagCBOR: record.cbor()), bytes: record.cbor())
                let previous = records[path]
                _ = try editor.put(treeKey, block.cid)
                records[path] = block.cid
                blocks.append(block)
                operations.append(
                    FirehoseOperation(
                        path: path, action: previous.map { .update(block.cid, previous: $0) } ?? .create(block.cid)))
            }
        }
        return try finish(editor, operations, blocks)
    }

    private mutating func finish(
        _ editor: TreeEditor<TreeNodeSet>, _ operations: [FirehoseOperation], _ records: [CARBlock]
    ) throws -> FirehoseCommit {
        let outcome = editor.finish()
        for node in outcome.created { nodes.insert(node) }
        time = time.advanced(by: .seconds(1))
        let rev = TID(value: UInt64(time.microseconds) << 10)
        let commit = try Commit(did: did, rev: rev, data: outcome.root, signer: key)
        let proof = try TreeProof.covering(
            keys: operations.map { Array($0.path.string.utf8) }, root: outcome.root, source: nodes)
        var archive = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &archive)
        var written: Set<CID> = []
        for node in outcome.created + proof where written.insert(node.cid).inserted {
            CARWriter.append(node.cid, node.bytes, to: &archive)
        }
        for record in records { CARWriter.append(record.cid, record.bytes, to: &archive) }
        defer { head = FirehoseVerifier.Head(rev: rev, data: outcome.root) }
        return FirehoseCommit(
            repository: did, commit: commit.cid, rev: rev, since: head?.rev, previousData: head?.data,
            blocks: archive, operations: operations, time: Datetime(time))
    }

    /// Declares the head.
    mutating func sync() throws -> FirehoseSync {
        time = time.advanced(by: .seconds(1))
        let rev = TID(value: UInt64(time.microseconds) << 10)
        let data = head?.data ?? TreeNode.empty.cid
        let commit = try Commit(did: did, rev: rev, data: data, signer: key)
        var archive = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &archive)
        head = FirehoseVerifier.Head(rev: rev, data: data)
        return FirehoseSync(did: did, rev: rev, blocks: archive, time: Datetime(time))
    }

    private func path() -> RepositoryPath {
        let collection = random.oneIn(3) ? NSID(literal: "app.bsky.feed.post") : NSID(literal: "app.bsky.feed.like")
        return RepositoryPath(collection, RecordKey(TID(value: UInt64(random.below(60)) * 7_919)))
    }
}
