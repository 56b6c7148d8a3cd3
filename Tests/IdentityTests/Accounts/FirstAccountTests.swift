import ATProtocol
import Base
import Contracts
import Identity
import Storage
import Testing

/// The whole way of a client: an account, a session, itself.
struct FirstAccountTests {
    @Test func aClientOpensAnAccountAndIsKnown() async throws {
        let home = try await Home()
        let made = try await home.post(
            "com.atproto.server.createAccount",
            ["handle": "alice.test", "email": "Alice@mail.test", "password": .string(Home.password)])
        #expect(made.status == 200, "\(made.text)")
        let did = try #require(made.json["did"]?.stringValue)
        #expect(did.hasPrefix("did:plc:"))
        #expect(made.json["handle"] == "alice.test")
        #expect(made.json["didDoc"]?["id"]?.stringValue == did)

        let signedIn = try await home.post(
            "com.atproto.server.createSession", ["identifier": "alice", "password": .string(Home.password)])
        #expect(signedIn.status == 200, "\(signedIn.text)")
        let token = try #require(signedIn.json["accessJwt"]?.stringValue)
        let session = try await home.get("com.atproto.server.getSession", token: token)
        #expect(session.status == 200, "\(session.text)")
        #expect(session.json["did"]?.stringValue == did)
        #expect(session.json["email"] == "alice@mail.test")
        #expect(session.json["active"] == true)

        let refresh = try #require(signedIn.json["refreshJwt"]?.stringValue)
        let refreshed = try await home.post("com.atproto.server.refreshSession", token: refresh)
        #expect(refreshed.status == 200, "\(refreshed.text)")

        let document = try await home.get("/plc/\(did)")
        #expect(document.json["alsoKnownAs"] == ["at://alice.test"])
        let resolved = try await home.get("com.atproto.identity.resolveHandle", [("handle", "ALICE.test")])
        #expect(resolved.json["did"]?.stringValue == did)

        #expect(try await home.events().map(\.kind) == [.identity, .account, .commit, .sync])
        await home.discard()
    }
}
