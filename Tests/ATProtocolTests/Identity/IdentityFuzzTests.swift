import ATProtocol
import Base
import Testing

@Suite struct IdentityFuzzTests {
    private let did = DID(literal: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")

    /// Operations with changed JSON: an error, or an operation whose bytes read back to itself. No trap.
    @Test func hostileOperations() throws {
        let samples = PLCSamples(seed: 4)
        let random = samples.random
        let seeds = [
            try samples.update(after: nil, by: 0),
            try PLCChange.tombstone(prev: CID.of(dagCBOR: [])).signed(by: samples.keys[0]),
        ].map { $0.value.json() }
        var log = try samples.log().log
        for round in 0..<SyntaxVectors.fuzzInputCount {
            var json = seeds[random.below(2)]
            for _ in 0...random.below(4) {
                let index = random.below(json.count)
                switch random.below(3) {
                case 0: json[index] = UInt8(truncatingIfNeeded: random.uint64())
                case 1: json.remove(at: index)
                default: json.insert(json[random.below(json.count)], at: index)
                }
            }
            guard let value = try? DataValue(json: json), let operation = try? PLCOperation(value) else { continue }
            #expect(try PLCOperation(operation.value) == operation, "seed 4, round \(round)")
            if round.isMultiple(of: 20) { _ = try? log.apply(operation, at: log.receiptTime(now: PLCSamples.start)) }
        }
    }

    /// Documents with changed bytes: an error or a document, no trap.
    @Test func hostileDocuments() {
        let samples = PLCSamples(seed: 5)
        let seed = DIDDocument(did: did, state: samples.state()).value.json()
        let random = samples.random
        for _ in 0..<SyntaxVectors.fuzzInputCount {
            var json = seed
            for _ in 0...random.below(5) {
                let index = random.below(json.count)
                switch random.below(3) {
                case 0: json[index] = UInt8(truncatingIfNeeded: random.uint64())
                case 1: json.remove(at: index)
                default: json.insert(json[random.below(json.count)], at: index)
                }
            }
            guard let document = try? DIDDocument(json: json, of: did) else { continue }
            _ = (document.signingKey, document.pdsEndpoint, document.handle)
            let text = String(decoding: random.bytes(random.below(30)), as: UTF8.self)
            _ = (ServiceOrigin("https://" + text), DIDWeb(host: text))
        }
    }
}
