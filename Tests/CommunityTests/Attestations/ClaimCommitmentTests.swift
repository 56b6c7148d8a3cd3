import ATProtocol
import Base
import Community
import Testing

/// Claims that are hidden field by field.
@Suite struct ClaimCommitmentTests {
    private static func claim(_ random: SeededRandomness) throws -> AttestationClaim {
        var map = DataMap()
        for number in 0...random.below(20) {
            let value: DataValue =
                switch random.below(5) {
                case 0: .string("value \(random.below(3))")
                case 1: .integer(Int64(random.below(3)))
                case 2: .boolean(random.oneIn(2))
                case 3: ["nested": [.integer(Int64(number)), nil]]
                default: nil
                }
            map["field\(number)"] = .some(value)
        }
        return try AttestationClaim(.map(map))
    }

    @Test(arguments: 0..<100) func anySelectionOfFieldsOpens(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let claim = try Self.claim(random)
        let (commitment, fields) = try ClaimCommitment.hiding(claim, randomness: random)
        #expect(fields.count == claim.fields.count)
        let chosen = fields.filter { _ in random.oneIn(2) }
        let opened = try commitment.open(chosen)
        #expect(opened.count == chosen.count)
        for field in chosen { #expect(opened[field.name] == claim.fields[field.name]) }
        #expect(commitment.hashes.count % ClaimCommitment.countStep == 0)
        #expect(try ClaimCommitment(hashes: commitment.hashes.shuffled(using: random)) == commitment)
    }

    @Test(arguments: 0..<200) func anythingElseDoesNotOpen(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let (commitment, fields) = try ClaimCommitment.hiding(try Self.claim(random), randomness: random)
        var field = fields[random.below(fields.count)]
        switch random.below(3) {
        case 0: field.salt[random.below(field.salt.count)] ^= 1 << UInt8(random.below(8))
        case 1: field.name += "x"
        default: field.value = .string("something else \(seed)")
        }
        #expect(throws: AttestationFault.notCommitted(field: field.name)) { try commitment.open([field]) }
    }

    @Test func theSameClaimIsHiddenDifferentlyEachTime() throws {
        let random = SeededRandomness(seed: 1)
        let claim = try AttestationClaim(["a": true, "b": true])
        let (one, _) = try ClaimCommitment.hiding(claim, randomness: random)
        let (two, _) = try ClaimCommitment.hiding(claim, randomness: random)
        #expect(Set(one.hashes).isDisjoint(with: Set(two.hashes)))
        #expect(one.whole != two.whole)
    }

    @Test func textsThatOnlyLookTheSameAreNotTheSame() throws {
        let random = SeededRandomness(seed: 1)
        let (commitment, fields) = try ClaimCommitment.hiding(
            try AttestationClaim(["name": "caf\u{E9}"]), randomness: random)
        var field = fields[0]
        field.value = "cafe\u{301}"
        #expect(throws: AttestationFault.notCommitted(field: "name")) { try commitment.open([field]) }
    }

    @Test func aFieldOpensOnce() throws {
        let random = SeededRandomness(seed: 1)
        let (commitment, fields) = try ClaimCommitment.hiding(
            try AttestationClaim(["name": "x"]), randomness: random)
        #expect(throws: AttestationFault.malformed("disclosed")) { try commitment.open(fields + fields) }
    }

    @Test func claimsHaveLimits() throws {
        #expect(throws: AttestationError.claimTooLarge) {
            try AttestationClaim(["text": .string(String(repeating: "x", count: 4_096))])
        }
        _ = try AttestationClaim(["text": .string(String(repeating: "x", count: 4_096 - 11))])
        #expect(throws: AttestationError.claimTooLarge) {
            try AttestationClaim(["text": .string(String(repeating: "x", count: 4_096 - 10))])
        }
        _ = try AttestationClaim(["a": ["b": ["c": ["d": ["e": 1]]]]])
        #expect(throws: AttestationError.self) { try AttestationClaim(["a": ["b": ["c": ["d": ["e": []]]]]]) }
        #expect(throws: AttestationError.self) { try AttestationClaim("text") }
        #expect(throws: AttestationError.self) { try AttestationClaim(["a": [["$type": "blob"]]]) }
        let many = DataMap(unordered: (0..<65).map { DataMap.Entry(key: "f\($0)", value: 1) })
        let claim = try AttestationClaim(.map(#require(many)))
        #expect(throws: AttestationError.self) {
            try ClaimCommitment.hiding(claim, randomness: SeededRandomness(seed: 1))
        }
        #expect(throws: AttestationError.self) {
            try ClaimCommitment.hiding(try AttestationClaim([:]), randomness: SeededRandomness(seed: 1))
        }
    }
}

extension Array {
    fileprivate func shuffled(using random: SeededRandomness) -> [Element] {
        var generator = random
        return shuffled(using: &generator)
    }
}
