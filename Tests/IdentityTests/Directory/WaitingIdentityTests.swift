import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Who waits for approval, or was turned away, cannot be found; who is let in is found by everybody, late as it is.
struct WaitingIdentityTests {
    private static let paths = ["", "/data", "/log", "/log/last", "/log/audit"]

    private func expectUnknown(_ did: DID, _ handle: String, _ home: Home) async throws {
        for path in Self.paths {
            #expect(try await home.get("/plc/\(did.string)\(path)").status == 404, "\(path)")
        }
        let identity = "com.atproto.identity."
        let resolved = try await home.get(identity + "resolveHandle", [("handle", handle)])
        #expect(resolved.status == 400 && resolved.error == "HandleNotFound")
        let document = try await home.get(identity + "resolveDid", [("did", did.string)])
        #expect(document.status == 400 && document.error == "DidNotFound", "\(document.text)")
        #expect(
            try await home.get(identity + "resolveIdentity", [("identifier", did.string)]).error == "DidNotFound")
        #expect(try await home.get(identity + "resolveIdentity", [("identifier", handle)]).error == "HandleNotFound")
        #expect(try await home.get("/.well-known/atproto-did", headers: [("host", handle)]).status == 404)
        let export = try await home.get("/plc/export", [("count", "1000")])
        #expect(!export.text.contains(did.string))
        #expect(try await home.events().allSatisfy { $0.did != did })
        let signIn = try await home.post(
            "com.atproto.server.createSession",
            ["identifier": .string(handle), "password": .string(Home.password)])
        #expect(signIn.status == 403 && signIn.error == "AccountNotApproved")
    }

    @Test func whoWaitsIsNotFound() async throws {
        let home = try await Home { $0.approval = .required }
        let did = try await home.account("alice").account.did
        try await expectUnknown(did, "alice.test", home)
        let names = AccountService.ReviewNames(did: did.string, handle: nil, email: nil)
        _ = try await home.accounts.review(names, .reject, by: .operator)
        try await expectUnknown(did, "alice.test", home)
        try await home.accounts.change(did, .approve, by: .operator)
        for path in Self.paths { #expect(try await home.get("/plc/\(did.string)\(path)").status == 200, "\(path)") }
        let found = try await home.get("com.atproto.identity.resolveIdentity", [("identifier", "alice.test")])
        #expect(found.json["did"]?.stringValue == did.string && found.json["handle"] == "alice.test")
        await home.discard()
    }

    @Test func nothingIsLeftOfWhoIsDeletedMeanwhile() async throws {
        let home = try await Home { $0.approval = .required }
        let did = try await home.account("alice").account.did
        try await home.accounts.delete(did, by: .operator)
        let count = try await home.database.read { try $0.first("SELECT COUNT(*) FROM plc_waiting")?.integer(0) }
        #expect(count == 0)
        #expect(try await home.get("/plc/\(did.string)").status == 404)
        await home.discard()
    }

    /// Followers of the export see whoever is let in behind what they have read, whichever cursor they keep.
    @Test func followersOfTheExportMissNobody() async throws {
        let home = try await Home { $0.approval = .required }
        var followed: [String: (cursor: String, seen: [String])] = ["seq": ("0", []), "createdAt": ("", [])]
        func follow() async throws {
            for (field, state) in followed {
                var (cursor, seen) = state
                let page = try await home.get("/plc/export", (cursor.isEmpty ? [] : [("after", cursor)]))
                for line in page.text.split(separator: "\n") {
                    let entry = try DataValue(json: Array(line.utf8))
                    seen.append(try #require(entry["did"]?.stringValue))
                    cursor = try #require(entry[field]?.stringValue ?? entry[field]?.integerValue.map { "\($0)" })
                }
                followed[field] = (cursor, seen)
            }
        }
        let alice = try await home.account("alice").account.did
        home.clock.advance(by: .seconds(10))
        let bob = try await home.account("bob", maker: .operator(roles: [])).account.did
        try await follow()
        let carol = try await home.account("carol").account.did
        home.clock.advance(by: .seconds(3600))
        try await home.accounts.change(carol, .approve, by: .operator)
        try await home.accounts.change(alice, .approve, by: .operator)
        try await follow()
        for (field, state) in followed { #expect(state.seen == [bob, carol, alice].map(\.string), "\(field)") }
        let entries = try await home.identities.embedded.log(of: alice).entries
        #expect(
            entries.allSatisfy { $0.receivedAt >= home.clock.now() }, "the time of the approval, not of the application"
        )
        await home.discard()
    }

    @Test func elsewhereThisServerKeepsSilent() async throws {
        let home = try await Home {
            $0.approval = .required
            $0.plcDirectory = ServiceOrigin(World.directory)
        }
        let did = try await home.account("alice").account.did
        let asked = home.world.asked.count
        let answer = try await home.get("com.atproto.identity.resolveDid", [("did", did.string)])
        #expect(answer.error == "DidNotFound")
        #expect(home.world.asked.count == asked)
        try await home.accounts.change(did, .approve, by: .operator)
        #expect(try await home.get("com.atproto.identity.resolveDid", [("did", did.string)]).status == 200)
        await home.discard()
    }
}
