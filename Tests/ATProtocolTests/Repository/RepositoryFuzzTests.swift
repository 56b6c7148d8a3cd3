import ATProtocol
import Base
import Testing

/// Hostile bytes against every decoder: any bytes give a value or an error, and what decodes was canonical.
@Suite struct RepositoryFuzzTests {
    /// Valid encodings that mutations start from.
    private func seeds() throws -> [[UInt8]] {
        let tree = TestTree()
        try tree.edit { editor in for number in 0..<40 { try editor.put(Sample.key(number), Sample.record(number)) } }
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: 1))
        let did = try DID(parsing: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
        let commit = try Commit(did: did, rev: TID(parsing: "3jzfcijpj2z2a"), data: tree.root, signer: key)
        var archive = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &archive)
        for node in tree.nodes.nodes.values { CARWriter.append(node.cid, node.bytes, to: &archive) }
        let record: DataValue = ["$type": "a.b.c", "x": [1, "two", nil, true, ["$link": "x"]], "y": .bytes([1, 2])]
        return tree.nodes.nodes.values.map(\.bytes) + [commit.bytes, archive, record.cbor(), record.json()]
    }

    private func mutated(_ bytes: [UInt8], _ random: SeededRandomness) -> [UInt8] {
        var result = bytes
        for _ in 0...random.below(4) where !result.isEmpty {
            let position = random.below(result.count)
            switch random.below(5) {
            case 0: result[position] = UInt8(random.below(256))
            case 1: result[position] ^= 1 << UInt8(random.below(8))
            case 2: result.remove(at: position)
            case 3: result.insert(UInt8(random.below(256)), at: position)
            default: result.removeLast(random.below(result.count))
            }
        }
        return result
    }

    @Test func decodersSurvive() throws {
        let seeds = try seeds()
        let inputCount = SyntaxVectors.fuzzInputCount
        for seed in 0..<UInt64(inputCount) {
            let random = SeededRandomness(seed: seed)
            let bytes =
                random.oneIn(8) ? random.bytes(random.below(80)) : mutated(seeds[random.below(seeds.count)], random)
            let cid = CID.of(dagCBOR: bytes)
            if let value = try? DataValue(cbor: bytes) {
                #expect(value.cbor() == bytes, "seed \(seed): not canonical, yet decoded")
                _ = try? RecordShape.check(value)
            }
            if let value = try? DataValue(json: bytes) {
                #expect((try? DataValue(json: value.json())) == value, "seed \(seed)")
            }
            if let node = try? TreeNode(cid: cid, bytes: bytes) {
                _ = try? TreeProof.verify(key: Sample.key(1), root: cid, source: TreeNodeSet([node]))
                _ = try? RepositoryVerification(source: [cid: bytes]).tree(root: cid)
            }
            _ = try? Commit(bytes: bytes)
            _ = try? CARReader.read(bytes)
            _ = try? CID(bytes: bytes)
        }
    }
}
