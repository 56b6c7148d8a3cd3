import ATProtocol
import Base
import Testing

@Suite struct ArchiveTests {
    /// A small signed repository: archive bytes, commit and key.
    private func archive(records: Int, seed: UInt64) throws -> (bytes: [UInt8], commit: Commit, key: PrivateKey) {
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: seed))
        let tree = TestTree()
        var blocks: [CID: [UInt8]] = [:]
        try tree.edit { editor in
            for number in 0..<records {
                let bytes = (["$type": "com.example.record", "n": .integer(Int64(number))] as DataValue).cbor()
                let cid = CID.of(dagCBOR: bytes)
                blocks[cid] = bytes
                try editor.put(Sample.key(number), cid)
            }
        }
        let did = try DID(parsing: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
        let commit = try Commit(did: did, rev: TID(parsing: "3jzfcijpj2z2a"), data: tree.root, signer: key)
        var bytes = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &bytes)
        var walk = TreeWalk(root: tree.root, source: tree)
        while let step = try walk.next() {
            switch step {
            case .node(let node): CARWriter.append(node.cid, node.bytes, to: &bytes)
            case .entry(_, let cid): CARWriter.append(cid, try #require(blocks[cid]), to: &bytes)
            }
        }
        return (bytes, commit, key)
    }

    private func verify(_ bytes: [UInt8], key: PublicKey?, did: DID?) throws -> Int {
        let (roots, blocks) = try CARReader.read(bytes)
        let source = Dictionary(blocks.map { ($0.cid, $0.bytes) }, uniquingKeysWith: { first, _ in first })
        let verification = RepositoryVerification(source: source)
        let root = try #require(roots.first)
        let fields = try verification.commit(root, did: did, key: key)
        return try verification.tree(
            root: fields.data, records: { path, _, bytes in _ = try verifyRecord(bytes, path: path) })
    }

    @Test func aWholeRepositoryVerifies() throws {
        let (bytes, commit, key) = try archive(records: 200, seed: 1)
        #expect(try verify(bytes, key: key.publicKey, did: commit.did) == 200)
        #expect(try Commit(bytes: commit.bytes) == commit)
        #expect(commit.isSigned(by: key.publicKey))
        let stranger = PrivateKey.generate(.k256, using: SeededRandomness(seed: 2))
        #expect(throws: RepositoryError.invalidSignature) {
            try verify(bytes, key: stranger.publicKey, did: commit.did)
        }
        let other = try DID(parsing: "did:web:example.com")
        #expect(throws: RepositoryError.self) { try verify(bytes, key: nil, did: other) }
    }

    /// One flipped bit anywhere is found.
    @Test(arguments: 0..<400) func everyDamageIsFound(seed: UInt64) throws {
        let (bytes, commit, key) = try archive(records: 12, seed: 7)
        let random = SeededRandomness(seed: seed)
        var damaged = bytes
        let position = random.below(bytes.count)
        damaged[position] ^= 1 << UInt8(random.below(8))
        #expect(throws: (any Error).self, "byte \(position), seed \(seed)") {
            let count = try verify(damaged, key: key.publicKey, did: commit.did)
            // A header that names other roots verifies nothing.
            if count != 12 { throw RepositoryError.invalidCommit("count") }
        }
        let cut = random.below(bytes.count)
        #expect(throws: (any Error).self) { try verify(Array(bytes[..<cut]), key: key.publicKey, did: commit.did) }
    }

    /// The reader gives the same blocks however the bytes arrive.
    @Test(arguments: 0..<30) func piecesOfAnySizeGiveTheSameBlocks(seed: UInt64) throws {
        let (bytes, _, _) = try archive(records: 20, seed: 3)
        let whole = try CARReader.read(bytes)
        let random = SeededRandomness(seed: seed)
        var reader = CARReader()
        var blocks: [CARBlock] = []
        var position = 0
        while position < bytes.count {
            let end = min(bytes.count, position + 1 + random.below(seed % 2 == 0 ? 3 : 700))
            reader.append(bytes[position..<end])
            position = end
            while let block = try reader.next() { blocks.append(block) }
        }
        try reader.finish()
        #expect(blocks == whole.blocks)
        #expect(reader.roots == whole.roots)
    }
}
