import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// Documents and handles, here and elsewhere.
struct ResolutionTests {
    private static let far = "did:plc:ffffffffffffffffffffffff"

    private func document(_ did: String, handle: String, pds: String = "https://far.example.org") -> String {
        String(
            decoding: DataValue.map([
                "id": .string(did), "alsoKnownAs": [.string("at://" + handle)],
                "service": [
                    [
                        "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": .string(pds),
                    ]
                ],
            ]).json(), as: UTF8.self)
    }

    @Test func handlesElsewhere() async throws {
        let home = try await Home()
        func resolved(_ handle: String) async throws -> String? {
            try await home.identities.resolve(try Handle(parsing: handle), freshness: .fresh)?.string
        }
        home.world.records(of: "_atproto.dns.example.org", ["v=spf1", "did=\(Self.far)"])
        #expect(try await resolved("dns.example.org") == Self.far)
        home.world.records(of: "_atproto.twice.example.org", ["did=\(Self.far)", "did=\(Self.far)"])
        #expect(try await resolved("twice.example.org") == Self.far)
        home.world.records(of: "_atproto.torn.example.org", ["did=\(Self.far)", "did=did:web:other.example.org"])
        home.world.page("https://torn.example.org/.well-known/atproto-did", Self.far)
        #expect(try await resolved("torn.example.org") == nil, "contradicting records are no answer")
        home.world.records(of: "_atproto.broken.example.org", ["did=nonsense"])
        #expect(try await resolved("broken.example.org") == nil)
        home.world.page("https://web.example.org/.well-known/atproto-did", " \(Self.far)\n")
        #expect(try await resolved("web.example.org") == Self.far)
        home.world.page("https://two.example.org/.well-known/atproto-did", "\(Self.far) \(Self.far)")
        #expect(try await resolved("two.example.org") == nil)
        home.world.page("https://gone.example.org/.well-known/atproto-did", status: 404, Self.far)
        #expect(try await resolved("gone.example.org") == nil)
        await home.discard()
    }

    @Test func certificatesAreForNamesServedHere() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        func status(_ name: String) async throws -> Int {
            try await home.get("/tls-check", [("domain", name)]).status
        }
        for (name, expected) in [
            ("localhost", 200), ("alice.test", 200), ("ALICE.test", 200), ("bobby.test", 404), ("test", 404),
            ("a.alice.test", 404), ("", 404), ("far.example.org", 404), ("*.test", 404), ("127.0.0.1", 404),
        ] {
            #expect(try await status(name) == expected, "\(name)")
        }
        #expect(try await home.get("/tls-check").status == 404)
        try await home.put(did, into: .suspended)
        #expect(try await status("alice.test") == 200)
        try await home.accounts.delete(did, by: .operator)
        #expect(try await status("alice.test") == 404)
        #expect(home.world.asked.isEmpty)
        await home.discard()
    }

    @Test func namesThatAreNotAskedFor() async throws {
        let home = try await Home()
        for name in ["nobody.test", "x.localhost", "x.onion", "x.invalid", "printer.local", "x.internal", "x.arpa"] {
            #expect(try await home.identities.resolve(try Handle(parsing: name)) == nil)
        }
        #expect(home.world.asked.isEmpty)
        await home.discard()
    }

    @Test func answersAreRemembered() async throws {
        let home = try await Home()
        let handle = try Handle(parsing: "dns.example.org")
        home.world.records(of: "_atproto.dns.example.org", ["did=\(Self.far)"])
        for _ in 0..<5 { #expect(try await home.identities.resolve(handle)?.string == Self.far) }
        #expect(home.world.asked.count == 1)
        home.clock.advance(by: HandleResolution.ageMax)
        _ = try await home.identities.resolve(handle)
        #expect(home.world.asked.count == 2)
        let missing = try Handle(parsing: "missing.example.org")
        for _ in 0..<5 { #expect(try await home.identities.resolve(missing) == nil) }
        #expect(home.world.asked.count == 4)
        home.clock.advance(by: HandleResolution.missAgeMax)
        _ = try await home.identities.resolve(missing)
        #expect(home.world.asked.count == 6)
        await home.discard()
    }

    @Test func documentsOfTheNetwork() async throws {
        let home = try await Home()
        let url = "https://plc.directory/\(Self.far)"
        let did = try DID(parsing: Self.far)
        home.world.page(url, document(Self.far, handle: "dns.example.org"))
        for _ in 0..<5 { #expect(try await home.identities.document(of: did).did == did) }
        #expect(home.world.asked == [url])
        // Unreachable later: the old one serves for a day.
        home.world.page(url, status: 503, "")
        home.clock.advance(by: .seconds(7200))
        #expect(try await home.identities.document(of: did).did == did)
        home.clock.advance(by: .seconds(86_400))
        await #expect(throws: DirectoryError.unreachable) { try await home.identities.document(of: did) }
        home.world.page(url, status: 410, "")
        await #expect(throws: DirectoryError.didDeactivated) { try await home.identities.document(of: did) }
        home.world.page(url, status: 404, "")
        let answer = try await home.get("com.atproto.identity.resolveDid", [("did", Self.far)])
        #expect(answer.status == 400 && answer.error == "DidNotFound")
        await home.discard()
    }

    @Test func documentsOfHosts() async throws {
        let home = try await Home()
        let did = try DID(parsing: "did:web:far.example.org")
        let url = "https://far.example.org/.well-known/did.json"
        home.world.page(url, document(did.string, handle: "dns.example.org"))
        #expect(try await home.identities.document(of: did).did == did)
        home.world.page(url, document("did:web:other.example.org", handle: "dns.example.org"))
        await #expect(throws: DirectoryError.didNotFound) {
            try await home.identities.document(of: did, freshness: .fresh)
        }
        for odd in [
            "did:web:far.example.org:path", "did:key:zQ3shhYCwXSxhVzjN2KAGZ9uYwTpJ1gPPwC6rgQnZoYWDdPhA", "did:x:y",
        ] {
            await #expect(throws: DirectoryError.didNotFound) {
                try await home.identities.document(of: try DID(parsing: odd))
            }
        }
        let own = try await home.identities.document(of: home.foundation.configuration.serviceDID)
        #expect(own.pdsEndpoint == ServiceOrigin("http://localhost:8080") && own.signingKey != nil)
        await home.discard()
    }

    @Test func identitiesAreCheckedBothWays() async throws {
        let home = try await Home()
        home.world.page("https://plc.directory/\(Self.far)", document(Self.far, handle: "dns.example.org"))
        let resolve = "com.atproto.identity.resolveIdentity"
        let alone = try await home.get(resolve, [("identifier", Self.far)])
        #expect(alone.json["handle"] == "handle.invalid", "\(alone.text)")
        home.world.records(of: "_atproto.dns.example.org", ["did=\(Self.far)"])
        let grant = try #require(try await home.account("alice").grant)
        let fresh = try await home.post(
            "com.atproto.identity.refreshIdentity", ["identifier": .string(Self.far)], token: grant.accessToken)
        #expect(fresh.json["handle"] == "dns.example.org", "\(fresh.text)")
        #expect(try await home.get(resolve, [("identifier", "dns.example.org")]).json["did"]?.stringValue == Self.far)
        let local = try await home.get(resolve, [("identifier", "alice.test")])
        #expect(local.json["handle"] == "alice.test" && local.json["didDoc"]?["id"] == local.json["did"])
        let nobody = try await home.get(resolve, [("identifier", "nobody.test")])
        #expect(nobody.status == 400 && nobody.error == "HandleNotFound")
        await home.discard()
    }

    @Test func wellKnownAddresses() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did.string
        let known = try await home.get("/.well-known/atproto-did", headers: [("host", "Alice.TEST:8080")])
        #expect(known.status == 200 && known.text == did)
        #expect(known.response.header("content-type")?.hasPrefix("text/plain") == true)
        for host in ["nobody.test", "localhost", "", "a b", "[::1]:80"] {
            let answer = try await home.get("/.well-known/atproto-did", headers: [("host", host)])
            #expect(answer.status == 404, "\(host)")
        }
        let document = try await home.get("/.well-known/did.json")
        #expect(document.json["id"] == "did:web:localhost%3A8080")
        #expect(document.json["service"]?.arrayValue?.first?["id"] == "#atproto_pds")
        await home.discard()
    }

    @Test func recommendedCredentials() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        let answer = try await home.get("com.atproto.identity.getRecommendedDidCredentials", token: token)
        let state = try #require(try await home.identities.embedded.log(of: made.account.did).state)
        #expect(answer.json["rotationKeys"] == .array(state.rotationKeys.map { .string($0) }))
        #expect(answer.json["alsoKnownAs"] == ["at://alice.test"])
        #expect(answer.json["services"]?["atproto_pds"]?["endpoint"] == "http://localhost:8080")
        #expect(answer.json["verificationMethods"]?["atproto"]?.stringValue == state.verificationMethods[.atproto])
        await home.discard()
    }
}
