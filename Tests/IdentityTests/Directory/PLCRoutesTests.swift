import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// The embedded directory over HTTP: what is shown, what is taken, and what is not.
struct PLCRoutesTests {
    private let strong = PrivateKey.generate(.k256, using: SeededRandomness(seed: 1))
    private let weak = PrivateKey.generate(.p256, using: SeededRandomness(seed: 2))

    private func state(_ handle: String) -> PLCState {
        PLCState(
            rotationKeys: [strong.publicKey.didKey, weak.publicKey.didKey],
            verificationMethods: [.atproto: weak.publicKey.didKey], alsoKnownAs: ["at://\(handle)"],
            services: [.atprotoPDS: PLCService(type: PLCService.pdsType, endpoint: "https://far.example.org")])
    }

    private func genesis() throws -> PLCOperation {
        try PLCChange.update(state("one.example.org"), prev: nil).signed(by: strong)
    }

    @Test func theWholeInterface() async throws {
        let home = try await Home { $0.publicPLCDirectory = nil }
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        #expect(try await home.get(path).status == 404)
        #expect(try await home.post(path, genesis.value).status == 200)
        let update = try PLCChange.update(state("two.example.org"), prev: genesis.cid).signed(by: weak)
        #expect(try await home.post(path, update.value).status == 200)

        let document = try await home.get(path)
        #expect(document.json["alsoKnownAs"] == ["at://two.example.org"])
        #expect(document.response.header("content-type") == "application/did+ld+json")
        #expect(try await home.get(path + "/data").json["alsoKnownAs"] == ["at://two.example.org"])
        #expect(try await home.get(path + "/log").json == [genesis.value, update.value])
        #expect(try await home.get(path + "/log/last").json == update.value)
        let audit = try await home.get(path + "/log/audit").json.arrayValue ?? []
        #expect(audit.map { $0["operation"] } == [genesis.value, update.value])
        #expect(audit.map { $0["cid"]?.stringValue } == [genesis.cid.string, update.cid.string])
        #expect(audit.allSatisfy { $0["nullified"] == false })
        // What we show, our own verifier accepts.
        #expect(throws: Never.self) { try PLCLog(verifyingAudit: .array(audit), of: genesis.genesisDID) }
        await home.discard()
    }

    @Test func aStrongerKeyUndoes() async throws {
        let home = try await Home { $0.publicPLCDirectory = nil }
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        _ = try await home.post(path, genesis.value)
        let stolen = try PLCChange.update(state("thief.example.org"), prev: genesis.cid).signed(by: weak)
        #expect(try await home.post(path, stolen.value).status == 200)
        home.clock.advance(by: .seconds(72 * 3600))
        let recovery = try PLCChange.update(state("back.example.org"), prev: genesis.cid).signed(by: strong)
        #expect(try await home.post(path, recovery.value).status == 200)
        #expect(try await home.get(path).json["alsoKnownAs"] == ["at://back.example.org"])
        let audit = try await home.get(path + "/log/audit").json.arrayValue ?? []
        #expect(audit.map { $0["nullified"]?.booleanValue } == [false, true, false])
        #expect(try await home.get(path + "/log").json.arrayValue?.count == 2)
        let late = try PLCChange.update(state("late.example.org"), prev: stolen.cid).signed(by: weak)
        #expect(try await home.post(path, late.value).status == 409)
        await home.discard()
    }

    @Test func tombstones() async throws {
        let home = try await Home { $0.publicPLCDirectory = nil }
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        _ = try await home.post(path, genesis.value)
        let end = try PLCChange.tombstone(prev: genesis.cid).signed(by: weak)
        #expect(try await home.post(path, end.value).status == 200)
        #expect(try await home.get(path).status == 410)
        #expect(try await home.get(path + "/data").status == 410)
        #expect(try await home.get(path + "/log").json.arrayValue?.count == 2)
        let resolved = try await home.get(
            "com.atproto.identity.resolveDid", [("did", genesis.genesisDID.string)])
        #expect(resolved.error == "DidDeactivated")
        await home.discard()
    }

    @Test func whatIsNotTaken() async throws {
        let home = try await Home { $0.publicPLCDirectory = nil }
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        let other = PrivateKey.generate(.k256, using: SeededRandomness(seed: 9))
        var forged = try #require(genesis.value.mapValue)
        forged["alsoKnownAs"] = ["at://forged.example.org"]
        var many = state("x.example.org")
        many.rotationKeys = (10..<16).map {
            PrivateKey.generate(.k256, using: SeededRandomness(seed: $0)).publicKey.didKey
        }
        for operation in [
            .map(forged), [:], "x", ["type": "odd"],
            try PLCChange.tombstone(prev: genesis.cid).signed(by: strong).value,
            try PLCChange.update(state("x.example.org"), prev: nil).signed(by: other).value,
            try PLCChange.update(state("x.example.org"), prev: genesis.cid).signed(by: strong).value,
            try PLCChange.update(many, prev: nil).signed(by: strong).value,
        ] as [DataValue] {
            let answer = try await home.post(path, operation)
            #expect((400..<500).contains(answer.status), "\(operation): \(answer.text)")
            #expect(answer.json["message"]?.stringValue != nil)
        }
        #expect(try await home.get(path).status == 404)
        for path in ["/plc/", "/plc/nothing", "/plc/did:web:x.example.org", "/plc/did:plc:short", "/plc/%00"] {
            #expect([400, 404].contains(try await home.get(path).status), "\(path)")
        }
        await home.discard()
    }

    @Test func exports() async throws {
        let home = try await Home { $0.publicPLCDirectory = nil }
        for number in 0..<12 { try await home.account("user\(number)") }
        func lines(_ parameters: [(String, String)]) async throws -> [DataValue] {
            let answer = try await home.get("/plc/export", parameters)
            #expect(answer.status == 200 && answer.response.header("content-type") == "application/jsonlines")
            return try answer.text.split(separator: "\n").map { try DataValue(json: Array($0.utf8)) }
        }
        #expect(try await lines([]).count == EmbeddedDirectory.exportCountDefault)
        let all = try await lines([("count", "1000")])
        #expect(all.count == 12)
        let times = all.compactMap { $0["createdAt"]?.stringValue }
        #expect(Set(times).count == 12 && times == times.sorted(), "no two at the same moment")
        // Page by page, by time and by number, the same operations.
        var byTime: [DataValue] = []
        while true {
            var parameters = [("count", "5")]
            if let last = byTime.last?["createdAt"]?.stringValue { parameters.append(("after", last)) }
            let page = try await lines(parameters)
            byTime += page
            if page.isEmpty { break }
        }
        #expect(byTime == all)
        var bySeq: [DataValue] = []
        while true {
            let after = bySeq.last?["seq"]?.integerValue ?? 0
            let page = try await lines([("count", "5"), ("after", "\(after)")])
            bySeq += page
            if page.isEmpty { break }
        }
        #expect(bySeq.map { $0["cid"] } == all.map { $0["cid"] })
        for bad in [("count", "0"), ("count", "1001"), ("count", "x"), ("after", "yesterday"), ("after", "-1")] {
            #expect(try await home.get("/plc/export", [bad]).status == 400, "\(bad)")
        }
        await home.discard()
    }

    /// A part of a foreign log must not stand here for the whole, where another directory knows the whole.
    @Test func foreignLogsAreNotTakenBesideAnotherDirectory() async throws {
        let home = try await Home()
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        #expect(try await home.post(path, genesis.value).status == 403)
        #expect(try await home.get(path).status == 404)
        await home.discard()
    }

    @Test func operationsOfOneIdentityAreLimited() async throws {
        let clock = ManualClock()
        let home = try await Home(limiter: RateLimiter(clock: clock)) { $0.publicPLCDirectory = nil }
        let genesis = try genesis()
        let path = "/plc/\(genesis.genesisDID.string)"
        var (last, statuses) = (genesis, [try await home.post(path, genesis.value).status])
        for number in 0..<11 {
            last = try PLCChange.update(state("n\(number).example.org"), prev: last.cid).signed(by: weak)
            statuses.append(try await home.post(path, last.value).status)
        }
        #expect(statuses.prefix(10).allSatisfy { $0 == 200 })
        #expect(statuses.suffix(2).first == 429)
        await home.discard()
    }
}
