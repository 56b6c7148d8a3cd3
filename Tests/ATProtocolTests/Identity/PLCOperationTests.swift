import ATProtocol
import Base
import Testing

@Suite struct PLCOperationTests {
    @Test(arguments: 0..<40) func everyKindRoundTrips(seed: UInt64) throws {
        let samples = PLCSamples(seed: seed)
        let random = samples.random
        let prev = CID.of(dagCBOR: random.bytes(4))
        let create = PLCLegacyCreate(
            signingKey: samples.keys[0].publicKey.didKey, recoveryKey: samples.keys[1].publicKey.didKey,
            handle: "alice.example.com", service: "pds.example.com")
        let changes: [PLCChange] = [
            .update(samples.state(), prev: nil), .update(samples.state("é.example"), prev: prev),
            .tombstone(prev: prev), .legacyCreate(create),
        ]
        for change in changes {
            let key = samples.keys[random.below(2)]
            let operation = try change.signed(by: key)
            let read = try PLCOperation(DataValue(json: operation.value.json()))
            #expect(read == operation)
            #expect(read.change == change, "seed \(seed)")
            #expect(read.bytes == operation.bytes)
            #expect(try DataValue(cbor: read.bytes) == operation.value)
            #expect(read.cid == CID.of(dagCBOR: read.bytes))
            let strangers = [samples.keys[2].publicKey.didKey, "did:key:zunreadable", "nonsense"]
            #expect(try read.signerIndex(among: strangers + [key.publicKey.didKey]) == 3)
            #expect(try read.signerIndex(among: strangers) == nil)
        }
        #expect(create.state.alsoKnownAs == ["at://alice.example.com"])
        #expect(create.state.services["atproto_pds"]?.endpoint == "https://pds.example.com")
    }

    @Test func formsThatAreNoOperation() throws {
        let samples = PLCSamples(seed: 1)
        let prev = CID.of(dagCBOR: [1])
        let update = try PLCChange.update(samples.state(), prev: prev).signed(by: samples.keys[0])
        let tombstone = try PLCChange.tombstone(prev: prev).signed(by: samples.keys[0])
        func read(_ operation: PLCOperation, _ key: String, _ value: DataValue?) throws -> PLCOperation {
            var map = try #require(operation.value.mapValue)
            map[key] = value
            return try PLCOperation(.map(map))
        }
        for key in ["type", "rotationKeys", "verificationMethods", "alsoKnownAs", "services", "prev", "sig"] {
            #expect(throws: PLCError.malformed(key)) { try read(update, key, nil) }
            #expect(throws: PLCError.malformed(key)) { try read(update, key, 1) }
        }
        for key in ["type", "prev", "sig"] {
            #expect(throws: PLCError.malformed(key)) { try read(tombstone, key, nil) }
        }
        let cases: [(PLCOperation, String, DataValue)] = [
            (update, "extra", "x"), (update, "rotation\u{212A}eys", []), (tombstone, "services", [:]),
            (tombstone, "prev", nil), (update, "prev", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"),
            (update, "prev", .string(CID.of(raw: [1]).string)), (update, "prev", .link(prev)),
            (update, "rotationKeys", [1]), (update, "verificationMethods", ["atproto": nil]),
            (update, "services", ["a": ["type": "t"]]),
            (update, "services", ["a": ["type": "t", "endpoint": "e", "more": "m"]]), (update, "type", "plc_other"),
        ]
        for (operation, key, value) in cases {
            #expect(throws: PLCError.malformed(key), "\(key): \(value)") { try read(operation, key, value) }
        }
        #expect(throws: PLCError.malformed("not an object")) { try PLCOperation("x") }
    }

    /// Names that are equal for a reader but differ in bytes stay two names: the signature covers the bytes.
    @Test func namesAreComparedByBytes() throws {
        let samples = PLCSamples(seed: 2)
        var state = samples.state()
        state.verificationMethods["caf\u{E9}"] = samples.keys[0].publicKey.didKey
        state.verificationMethods["cafe\u{301}"] = samples.keys[1].publicKey.didKey
        #expect(state.verificationMethods.count == 3)
        let operation = try PLCChange.update(state, prev: nil).signed(by: samples.keys[0])
        #expect(try PLCOperation(operation.value).bytes == operation.bytes)
        #expect(try PLCOperation(operation.value).state?.verificationMethods.count == 3)
    }

    @Test func whatADirectoryAccepts() throws {
        let samples = PLCSamples(seed: 3)
        func refused(_ change: (inout PLCState) -> Void) throws -> Bool {
            var state = samples.state()
            change(&state)
            let operation = try PLCChange.update(state, prev: nil).signed(by: samples.keys[0])
            do throws(PLCError) { try PLCSubmission.check(operation) } catch { return true }
            return false
        }
        let service = PLCService(type: "t", endpoint: "e")
        let ed25519 = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
        let names = (0..<11).map { PLCName("n\($0)") }
        let key = samples.keys[0].publicKey.didKey
        let more = (0..<6).map { _ in PrivateKey.generate(.k256, using: samples.random).publicKey.didKey }
        #expect(try !refused { _ in })
        #expect(try !refused { $0.rotationKeys = Array(more.prefix(5)) })
        #expect(try refused { $0.rotationKeys = more })
        #expect(try refused { $0.rotationKeys = [] })
        #expect(try refused { $0.rotationKeys = [key, key] })
        #expect(try refused { $0.rotationKeys = [ed25519] })
        #expect(try !refused { $0.verificationMethods["x"] = ed25519 })
        #expect(try refused { $0.verificationMethods["x"] = "did:key:" })
        #expect(try refused { $0.verificationMethods["x"] = "did:key:z" + String(repeating: "1", count: 250) })
        #expect(try refused { state in names.forEach { state.verificationMethods[$0] = key } })
        #expect(try refused { $0.verificationMethods[PLCName(String(repeating: "n", count: 33))] = key })
        #expect(try refused { $0.alsoKnownAs = ["at://a.test", "at://a.test"] })
        #expect(try refused { $0.alsoKnownAs = [String(repeating: "a", count: 259)] })
        #expect(try refused { $0.alsoKnownAs = (0..<11).map { "at://a\($0).test" } })
        #expect(try refused { state in names.forEach { state.services[$0] = service } })
        #expect(try refused { $0.services["a"] = PLCService(type: String(repeating: "t", count: 257), endpoint: "e") })
        #expect(try refused { $0.services["a"] = PLCService(type: "t", endpoint: String(repeating: "e", count: 513)) })
        let genesis = try samples.update(after: nil, by: 0)
        try PLCSubmission.check(samples.tombstone(after: genesis, by: 0))
    }
}
