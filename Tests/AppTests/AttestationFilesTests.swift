import ATProtocol
import Base
import Community
import Foundation
import Testing

@testable import App

/// What `kith attestation verify` makes of a file when nobody is asked, and how it ends.
struct AttestationFilesTests {
    private static let now = Timestamp(seconds: 1_790_000_000)
    private let folder = TemporaryFolder()
    private let signer = PrivateKey.generate(.k256, using: SeededRandomness(seed: 1))

    /// A file of a community that states one thing.
    private func file(
        expiresAt: Timestamp? = nil, withOperations: Bool = true, change: (String) -> String = { $0 }
    ) throws -> String {
        let state = PLCState(
            rotationKeys: [signer.publicKey], signingKey: signer.publicKey,
            handle: try Handle(parsing: "garden.kith.example"), pds: "https://kith.example")
        let genesis = try PLCChange.update(state, prev: nil).signed(by: signer)
        let did = genesis.genesisDID
        let record = AttestationRecord(
            subject: did, subjectHandle: "alice.kith.example", type: "role",
            content: .open(["role": "Keeper of seeds"]),
            issuedAt: Datetime(Self.now), expiresAt: expiresAt.map { Datetime($0) })
        let bytes = record.value.cbor()
        let block = CARBlock(cid: CID.of(dagCBOR: bytes), bytes: bytes)
        let path = RepositoryPath(AttestationRecord.collection, RecordKey(TID(value: 1 << 20)))
        var nodes: [TreeNode] = []
        var builder = TreeBuilder { nodes.append($0) }
        try builder.append(Array(path.string.utf8), block.cid)
        let commit = try Commit(
            did: did, rev: TID(value: UInt64(Self.now.microseconds) << 10), data: try builder.finish(), signer: signer)
        let archive = RecordProof.archive(
            commit: CARBlock(cid: commit.cid, bytes: commit.bytes), nodes: nodes.reversed(), record: block)
        let checked = try RecordProof(archive: archive, of: path, in: did, signedBy: signer.publicKey)
        let proof = AttestationProof(
            checked, archive: archive, signingKey: signer.publicKey, document: nil,
            operations: withOperations ? [genesis.value] : nil, checkedAt: Datetime(Self.now))
        let presentation = AttestationPresentation(
            view: record.view(in: did, key: path.key, cid: block.cid), proof: proof, disclosed: [])
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let name = folder.path + "/seeds.json"
        let text = change(String(decoding: presentation.value.json(), as: UTF8.self))
        try Data(text.utf8).write(to: URL(fileURLWithPath: name))
        return name
    }

    private func verify(_ path: String, key: PublicKey? = nil) async throws -> CommandOutput {
        try await AttestationFiles.verify(
            path, .offline(key: key), configuration: TestInstance().configuration(), clock: ManualClock(Self.now))
    }

    /// How the command ends.
    private func failure(_ path: String, key: PublicKey? = nil) async throws -> CommandFailure {
        do {
            _ = try await verify(path, key: key)
        } catch {
            return CommandFailure(error)
        }
        Issue.record("it was accepted")
        return CommandFailure(usage: "")
    }

    @Test func aFileThatHoldsIsTold() async throws {
        let output = try await verify(file())
        let told = try DataValue(json: Array(output.json.utf8))
        #expect(told["valid"] == true && told["key"] == "identity-log")
        #expect(told["claim"] == ["role": "Keeper of seeds"])
        #expect(output.text.contains("Keeper of seeds"))
        let pinned = try await verify(file(), key: signer.publicKey)
        #expect(try DataValue(json: Array(pinned.json.utf8))["key"] == "known")
    }

    @Test func aKeyThatOnlyTheFileVouchesForIsNotTaken() async throws {
        let bare = try file(withOperations: false)
        let ended = try await failure(bare)
        #expect(ended.code == 69 && ended.name == "Unconfirmed")
        #expect(ended.report?.value["key"] == "stated" && ended.report?.value["valid"] == nil)
        let pinned = try await verify(bare, key: signer.publicKey)
        #expect(try DataValue(json: Array(pinned.json.utf8))["valid"] == true)
    }

    @Test func anythingElseEndsWith65() async throws {
        let forged = try await failure(file { $0.replacing("Keeper of seeds", with: "Keeper of deeds") })
        #expect(forged.code == 65 && forged.name == "Unsound")
        let stranger = PrivateKey.generate(.k256, using: SeededRandomness(seed: 2))
        #expect(try await failure(file(), key: stranger.publicKey).name == "Unsound")
        let ended = try await failure(file(expiresAt: Self.now))
        #expect(ended.code == 65 && ended.name == "Expired")
        #expect(ended.report?.value["valid"] == false)
        #expect(try await failure(file { _ in "{}" }).name == "Unsound")
        #expect(try await failure(folder.path + "/nothing.json").code == 66)
    }
}
