import ATProtocol
import Base
import Community
import Testing

/// Files that prove an attestation to whoever has them.
@Suite struct AttestationPresentationTests {
    private let fixture: AttestationFixture
    private let fields: [OpenedField]
    private let hidden = AttestationFixture.recordKey(17)
    private let open = AttestationFixture.recordKey(3)

    init() throws {
        var fixture = try AttestationFixture(seed: 11)
        let claim = try AttestationClaim(["role": "Keeper of seeds", "since": 2024, "born": "1990-01-31"])
        let (commitment, fields) = try ClaimCommitment.hiding(claim, randomness: SeededRandomness(seed: 12))
        var records = (0..<40).map { fixture.record(.open(["number": .integer(Int64($0))])) }
        records[17] = fixture.record(.hidden(commitment))
        try fixture.hold(records)
        self.fixture = fixture
        self.fields = fields
    }

    private func field(_ name: String) throws -> OpenedField { try #require(fields.first { $0.name == name }) }

    private func verify(_ value: DataValue, known: PublicKey? = nil) throws -> AttestationPresentation.Verified {
        try AttestationPresentation(json: value.json()).verify(known: known)
    }

    @Test func anOpenClaimIsProven() throws {
        let file = try fixture.presentation(of: open)
        let verified = try verify(file.value)
        #expect(verified.claim == ["number": 3])
        #expect(verified.community == fixture.did)
        #expect(verified.key == open)
        #expect(verified.grounds == .identityLog)
        #expect(verified.committedAt == AttestationFixture.now)
        #expect(try AttestationPresentation(json: file.value.json()) == file)
        #expect(try verify(file.value, known: fixture.key.publicKey).grounds == .known)
        #expect(try verify(fixture.presentation(of: open, withOperations: false).value).grounds == .stated)
    }

    @Test func aHiddenClaimTellsWhatIsDisclosed() throws {
        let nothing = try verify(fixture.presentation(of: hidden).value)
        #expect(nothing.claim.isEmpty)
        let some = try verify(fixture.presentation(of: hidden, disclosing: [field("role")]).value)
        #expect(some.claim == ["role": "Keeper of seeds"])
        let all = try verify(fixture.presentation(of: hidden, disclosing: fields).value)
        #expect(all.claim == ["role": "Keeper of seeds", "since": 2024, "born": "1990-01-31"])
        // Nothing of the record or the file speaks of what was not disclosed.
        let file = try fixture.presentation(of: hidden, disclosing: [field("role")])
        let text = String(decoding: file.value.json(), as: UTF8.self)
        #expect(!text.contains("1990") && !text.contains("born"))
    }

    @Test func whatWasNotHiddenIsRefused() throws {
        var forged = try field("since")
        forged.value = 1999
        let file = try fixture.presentation(of: hidden, disclosing: [forged])
        #expect(throws: AttestationFault.notCommitted(field: "since")) { try verify(file.value) }
        let onOpen = try fixture.presentation(of: open, disclosing: [field("since")])
        #expect(throws: AttestationFault.contradictory("disclosed")) { try verify(onOpen.value) }
    }

    /// A bit that is flipped anywhere in a file makes it refused, or changes nothing of what it proves.
    @Test(arguments: 0..<1500) func aFlippedBitProvesNothingElse(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let isHidden = random.oneIn(2)
        let file = try fixture.presentation(
            of: isHidden ? hidden : open, disclosing: isHidden ? [field("role"), field("since")] : [])
        let truth = try file.verify(known: fixture.key.publicKey)
        var json = file.value.json()
        let position = random.below(json.count)
        json[position] ^= 1 << UInt8(random.below(8))
        guard let told = try? AttestationPresentation(json: json).verify(known: fixture.key.publicKey) else { return }
        #expect(told == truth, "byte \(position), seed \(seed)")
    }

    @Test(arguments: 0..<400) func aFlippedBitOfTheProofIsRefused(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let file = try fixture.presentation(of: open)
        var map = try #require(file.value.mapValue)
        var proof = try #require(map["proof"]?.mapValue)
        let part = ["commit", "car"][random.below(2)]
        var bytes = try #require(proof[part]?.bytesValue)
        bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        proof[part] = .bytes(bytes)
        map["proof"] = .map(proof)
        #expect(throws: AttestationFault.self, "\(part), seed \(seed)") { try verify(.map(map)) }
    }

    @Test func anotherCommunityCannotSpeakForThisOne() throws {
        // A stranger signs a repository that claims the community's DID, and shows a key of their own.
        let stranger = try AttestationFixture(seed: 99)
        let file = try fixture.presentation(of: open)
        var map = try #require(file.value.mapValue)
        var proof = try #require(map["proof"]?.mapValue)
        proof["signingKey"] = .string(stranger.key.publicKey.didKey)
        map["proof"] = .map(proof)
        #expect(throws: AttestationFault.contradictory("proof.didDocument")) { try verify(.map(map)) }
        proof["didDocument"] = nil
        map["proof"] = .map(proof)
        #expect(throws: AttestationFault.wrongKey) { try verify(.map(map)) }
        proof["didLog"] = stranger.operations
        map["proof"] = .map(proof)
        #expect(throws: AttestationFault.self) { try verify(.map(map)) }
        proof["didLog"] = nil
        map["proof"] = .map(proof)
        #expect(throws: AttestationFault.unproven(.invalidSignature)) { try verify(.map(map)) }
        #expect(throws: AttestationFault.wrongKey) {
            try verify(file.value, known: stranger.key.publicKey)
        }
    }

    @Test func whatIsShownMustBeWhatIsProven() throws {
        let file = try fixture.presentation(of: open)
        var view = file.view
        view["subjectHandle"] = "mallory.example"
        let forged = AttestationPresentation(view: view, proof: file.proof, disclosed: [])
        #expect(throws: AttestationFault.contradictory("attestation")) { try verify(forged.value) }
        var map = try #require(file.value.mapValue)
        map["note"] = "something else"
        #expect(throws: AttestationFault.malformed("note")) { try verify(.map(map)) }
    }

    @Test func whatIsTakenBackIsProvenAbsent() throws {
        var fixture = fixture
        let before = try fixture.presentation(of: open)
        let kept = fixture.records.filter { $0.key != open }.sorted { $0.key < $1.key }.map(\.value)
        try fixture.hold(Array(kept.dropLast(37)))
        let gone = AttestationFixture.recordKey(30)
        let proof = try fixture.proof(of: gone)
        #expect(!proof.isPresent)
        #expect(try proof.check(known: nil).proof.record == nil)
        let shown = AttestationPresentation(view: before.view, proof: proof, disclosed: [])
        #expect(throws: AttestationFault.absent) { try shown.verify(known: nil) }
    }

    @Test func expiryIsOfTheMoment() {
        let record = fixture.record(.open([:]), expiresAt: AttestationFixture.now)
        #expect(record.isExpired(at: AttestationFixture.now))
        #expect(!record.isExpired(at: AttestationFixture.now.advanced(by: .milliseconds(-1))))
        #expect(!fixture.record(.open([:])).isExpired(at: Timestamp(microseconds: .max)))
    }

    @Test(arguments: 0..<500) func anyBytesAreReadOrRefused(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        var json = try fixture.presentation(of: open).value.json()
        for _ in 0...random.below(20) {
            let position = random.below(json.count)
            switch random.below(3) {
            case 0: json[position] = UInt8(truncatingIfNeeded: random.uint64())
            case 1: json.remove(at: position)
            default: json.insert(UInt8(truncatingIfNeeded: random.uint64()), at: position)
            }
        }
        _ = try? AttestationPresentation(json: json).verify(known: nil)
    }
}

/// Records of attestations.
@Suite struct AttestationRecordTests {
    private let fixture: AttestationFixture

    init() throws { fixture = try AttestationFixture(seed: 1) }

    @Test func recordsAreReadAsTheyWereWritten() throws {
        let (commitment, _) = try ClaimCommitment.hiding(
            try AttestationClaim(["a": 1]), randomness: SeededRandomness(seed: 1))
        let contents: [AttestationRecord.Content] = [
            .open(["role": "x"]), .open([:]), .hidden(commitment), .foreign(commitment: "aa"),
            .foreign(commitment: nil),
        ]
        for content in contents {
            let record = fixture.record(content, expiresAt: AttestationFixture.now)
            #expect(AttestationRecord(record.value) == record)
        }
    }

    @Test func whatMakesNoSenseIsNoRecord() throws {
        let (commitment, _) = try ClaimCommitment.hiding(
            try AttestationClaim(["a": 1]), randomness: SeededRandomness(seed: 1))
        let value = try #require(fixture.record(.hidden(commitment)).value.mapValue)
        for name in ["subjectDid", "subjectHandle", "type", "issuedAt"] {
            var broken = value
            broken[name] = 5
            #expect(AttestationRecord(.map(broken)) == nil, "\(name)")
        }
        var otherSum = value
        otherSum["commitment"] = .string(String(repeating: "0", count: 64))
        #expect(AttestationRecord(.map(otherSum)) == nil)
        var twice = value
        let hashes = try #require(value["fieldCommitments"]?.arrayValue)
        twice["fieldCommitments"] = .array(hashes + [hashes[0]])
        #expect(AttestationRecord(.map(twice)) == nil)
        var withoutClaim = try #require(fixture.record(.open([:])).value.mapValue)
        withoutClaim["claim"] = nil
        #expect(AttestationRecord(.map(withoutClaim)) == nil)
    }
}
