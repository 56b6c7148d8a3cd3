import ATProtocol
import Base
import Community
import Testing

/// A community in memory that has made some attestations, with its identity.
struct AttestationFixture {
    let did: DID
    let key: PrivateKey
    let operations: DataValue
    let document: DIDDocument
    let subject: DID
    /// Record keys, with what stands there.
    private(set) var records: [RecordKey: AttestationRecord] = [:]
    private var nodes = TreeNodeSet()
    private var commit: Commit

    static let now = Timestamp(seconds: 1_790_000_000)

    init(seed: UInt64, records list: [AttestationRecord] = []) throws {
        let randomness = SeededRandomness(seed: seed)
        let key = PrivateKey.generate(.k256, using: randomness)
        let rotation = PrivateKey.generate(.k256, using: randomness)
        let state = PLCState(
            rotationKeys: [rotation.publicKey], signingKey: key.publicKey,
            handle: try Handle(parsing: "garden.kith.example"), pds: "https://kith.example")
        let genesis = try PLCChange.update(state, prev: nil).signed(by: rotation)
        did = genesis.genesisDID
        operations = [genesis.value]
        document = DIDDocument(did: did, state: state)
        subject = try DID(parsing: "did:plc:44ybard66vv44zksje25o7dz")
        self.key = key
        commit = try Commit(did: did, rev: TID(value: 1 << 10), data: TreeNode.empty.cid, signer: key)
        try hold(list)
    }

    /// Replaces all that the community states.
    mutating func hold(_ list: [AttestationRecord]) throws {
        records = [:]
        for (index, record) in list.enumerated() { records[Self.recordKey(index)] = record }
        var nodes: [TreeNode] = []
        var builder = TreeBuilder { nodes.append($0) }
        for (key, record) in records.sorted(by: { $0.key < $1.key }) {
            try builder.append(Self.treeKey(key), CID.of(dagCBOR: record.value.cbor()))
        }
        let root = try builder.finish()
        self.nodes = TreeNodeSet(nodes)
        let rev = TID(value: UInt64(Self.now.microseconds) << 10)
        commit = try Commit(did: did, rev: rev, data: root, signer: key)
    }

    static func recordKey(_ index: Int) -> RecordKey {
        RecordKey(TID(value: UInt64(1_780_000_000_000_000 + index) << 10))
    }

    static func treeKey(_ key: RecordKey) -> [UInt8] {
        Array(RepositoryPath(AttestationRecord.collection, key).string.utf8)
    }

    func record(_ content: AttestationRecord.Content, expiresAt: Timestamp? = nil) -> AttestationRecord {
        AttestationRecord(
            subject: subject, subjectHandle: "alice.kith.example", type: "credential", content: content,
            issuedAt: Datetime(Self.now), expiresAt: expiresAt.map { Datetime($0) })
    }

    func proof(of key: RecordKey, withOperations: Bool = true) throws -> AttestationProof {
        let (path, _) = try TreeProof.path(to: Self.treeKey(key), root: commit.data, source: nodes)
        let block = records[key].map { record in
            let bytes = record.value.cbor()
            return CARBlock(cid: CID.of(dagCBOR: bytes), bytes: bytes)
        }
        let archive = RecordProof.archive(
            commit: CARBlock(cid: commit.cid, bytes: commit.bytes), nodes: path, record: block)
        let checked = try RecordProof(
            archive: archive, of: RepositoryPath(AttestationRecord.collection, key), in: did,
            signedBy: self.key.publicKey
        )
        return AttestationProof(
            checked, archive: archive, signingKey: self.key.publicKey, document: document.value,
            operations: withOperations ? operations : nil, checkedAt: Datetime(Self.now))
    }

    func presentation(
        of key: RecordKey, disclosing fields: [OpenedField] = [], withOperations: Bool = true
    ) throws -> AttestationPresentation {
        let record = try #require(records[key])
        let view = record.view(in: did, key: key, cid: CID.of(dagCBOR: record.value.cbor()))
        return AttestationPresentation(
            view: view, proof: try proof(of: key, withOperations: withOperations), disclosed: fields)
    }
}
