import ATProtocol
import Base
import Testing

/// Proofs of one record of a repository, as another reads them.
@Suite struct RecordProofTests {
    private let did: DID
    private let key = PrivateKey.generate(.p256, using: SeededRandomness(seed: 5))
    private let tree = TestTree()
    private let commit: Commit
    private let records: [String: [UInt8]]

    init() throws {
        did = try DID(parsing: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
        var records: [String: [UInt8]] = [:]
        let tree = tree
        try tree.edit { editor in
            for number in 0..<60 {
                let path = Self.path(number * 2)
                let bytes = (["n": .integer(Int64(number))] as DataValue).cbor()
                records[path] = bytes
                try editor.put(Array(path.utf8), CID.of(dagCBOR: bytes))
            }
        }
        self.records = records
        commit = try Commit(did: did, rev: TID(parsing: "3jzfcijpj2z2a"), data: tree.root, signer: key)
    }

    private static func path(_ number: Int) -> String { "com.example.record/key\(1000 + number)" }

    private func archive(_ path: String) throws -> [UInt8] {
        let (nodes, _) = try TreeProof.path(to: Array(path.utf8), root: commit.data, source: tree)
        let record = records[path].map { CARBlock(cid: CID.of(dagCBOR: $0), bytes: $0) }
        return RecordProof.archive(
            commit: CARBlock(cid: commit.cid, bytes: commit.bytes), nodes: nodes, record: record)
    }

    private func check(_ archive: [UInt8], _ path: String) throws -> RecordProof {
        try RecordProof(archive: archive, of: RepositoryPath(parsing: path), in: did, signedBy: key.publicKey)
    }

    @Test(arguments: 0..<120) func presenceAndAbsenceAreProven(number: Int) throws {
        let path = Self.path(number)
        let proof = try check(archive(path), path)
        #expect(proof.record?.bytes == records[path])
        #expect((proof.record == nil) == (number % 2 == 1))
        #expect(proof.commit == commit)
    }

    @Test(arguments: 0..<600) func aFlippedBitIsRefused(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let path = Self.path(random.below(120))
        var damaged = try archive(path)
        let position = random.below(damaged.count)
        damaged[position] ^= 1 << UInt8(random.below(8))
        #expect(throws: RepositoryError.self, "byte \(position), seed \(seed)") { try check(damaged, path) }
    }

    @Test(arguments: 0..<100) func aProofOfOnePathIsNoneOfAnother(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let (one, other) = (Self.path(random.below(120)), Self.path(random.below(120)))
        guard one != other else { return }
        // Where both lie in the same node the blocks prove both; else something is missing. Never is another record told.
        if let proof = try? check(archive(one), other) {
            #expect(proof.record?.bytes == records[other])
        }
    }

    @Test func strangersKeysAndRepositoriesAreRefused() throws {
        let path = try RepositoryPath(parsing: Self.path(4))
        let bytes = try archive(path.string)
        let stranger = PrivateKey.generate(.p256, using: SeededRandomness(seed: 6))
        #expect(throws: RepositoryError.invalidSignature) {
            try RecordProof(archive: bytes, of: path, in: did, signedBy: stranger.publicKey)
        }
        let other = try DID(parsing: "did:web:example.com")
        #expect(throws: RepositoryError.self) {
            try RecordProof(archive: bytes, of: path, in: other, signedBy: key.publicKey)
        }
    }

    @Test func aRecordThatIsHeldBackProvesNothing() throws {
        let path = Self.path(4)
        let (nodes, value) = try TreeProof.path(to: Array(path.utf8), root: commit.data, source: tree)
        let block = CARBlock(cid: commit.cid, bytes: commit.bytes)
        let withoutRecord = RecordProof.archive(commit: block, nodes: nodes, record: nil)
        #expect(throws: RepositoryError.missingBlock(try #require(value))) { try check(withoutRecord, path) }
        let withoutNodes = RecordProof.archive(commit: block, nodes: [], record: nil)
        #expect(throws: RepositoryError.missingBlock(commit.data)) { try check(withoutNodes, path) }
    }

    @Test func tooManyBlocksAreRefused() throws {
        var bytes = try archive(Self.path(4))
        for number in 0...RecordProof.blockCountMax {
            let block = (["extra": .integer(Int64(number))] as DataValue).cbor()
            CARWriter.append(CID.of(dagCBOR: block), block, to: &bytes)
        }
        #expect(throws: RepositoryError.limitExceeded("too many blocks for a proof")) {
            try check(bytes, Self.path(4))
        }
    }
}
