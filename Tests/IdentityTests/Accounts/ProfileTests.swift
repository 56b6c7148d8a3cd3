import ATProtocol
import Base
import Contracts
import Storage
import Synchronization
import Testing

@testable import Identity

/// Profiles, and taking along what is one's own.
struct ProfileTests {
    private static let get = "net.openfederation.account.getProfile"
    private static let update = "net.openfederation.account.updateProfile"
    private static let export = "net.openfederation.account.export"

    @Test func fieldsAreMerged() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let (did, token) = (made.account.did, try #require(made.grant).accessToken)
        try home.records.write(
            ["$type": "app.bsky.actor.profile", "avatar": "a"], at: "app.bsky.actor.profile/self", of: did)
        let answer = try await home.post(Self.update, ["displayName": "Alice"], token: token)
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.json["uri"]?.stringValue == "at://\(did)/app.bsky.actor.profile/self")
        // Somebody else changes the profile between reading and writing: nothing of theirs is lost.
        let records = home.records
        records.meanwhile.withLock { action in
            action = {
                try? records.write(
                    ["$type": "app.bsky.actor.profile", "displayName": "Alice", "banner": "b"],
                    at: "app.bsky.actor.profile/self", of: did)
            }
        }
        _ = try await home.post(Self.update, ["description": "Hello"], token: token)
        let shown = try await home.get(Self.get, [("did", did.string)])
        #expect(
            shown.json["profile"] == [
                "$type": "app.bsky.actor.profile", "displayName": "Alice", "banner": "b", "description": "Hello",
            ])
        #expect(shown.json["handle"] == "alice.test" && shown.json["customProfiles"] == nil)
        await home.discard()
    }

    @Test func otherApplicationsProfiles() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let (did, token) = (made.account.did, try #require(made.grant).accessToken)
        let input: DataValue = ["collection": "app.grvty.actor.profile", "record": ["mood": "fine"]]
        #expect(try await home.post(Self.update, input, token: token).status == 200)
        let shown = try await home.get(Self.get, [("did", did.string)])
        #expect(shown.json["profile"] == .null)
        #expect(
            shown.json["customProfiles"]
                == ["app.grvty.actor.profile": ["$type": "app.grvty.actor.profile", "mood": "fine"]])
        for (bad, error) in [
            ([:], "InvalidProfile"), (["collection": "app.grvty.actor.profile"], "InvalidProfile"),
            (["record": [:]], "InvalidProfile"),
            (["collection": "app.grvty.actor.profile", "record": 7], "InvalidRequest"),
            (["collection": "app.grvty.actor.profile", "record": ["$type": "app.other.thing"]], "InvalidProfile"),
            (["collection": "nonsense", "record": [:]], "InvalidRequest"),
            (["displayName": "x", "collection": "app.grvty.actor.profile", "record": [:]], "InvalidProfile"),
        ] as [(DataValue, String)] {
            let answer = try await home.post(Self.update, bad, token: token)
            #expect(answer.status == 400 && answer.error == error, "\(bad): \(answer.text)")
        }
        await home.discard()
    }

    @Test func onlyActiveAccountsAreShown() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        for status in [AccountStatus.suspended, .takendown, .deactivated, .disabled] {
            try await home.put(did, into: status)
            let answer = try await home.get(Self.get, [("did", did.string)])
            #expect(answer.status == 404 && answer.error == "ProfileNotFound", "\(status)")
        }
        #expect(try await home.get(Self.get, [("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")]).status == 404)
        await home.discard()
    }

    /// Whatever the staff did, an owner can take their data along; nobody else gets it.
    @Test func exportInEveryState() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let stranger = try #require(try await home.account("bobby").grant).accessToken
        let staff = try #require(try await home.account("modesty", maker: .operator(roles: [.moderator])).grant)
        let of = [("did", did.string)]
        for status in [AccountStatus.approved, .deactivated, .suspended, .takendown] {
            try await home.put(did, into: status)
            let session = try await home.post(
                "com.atproto.server.createSession",
                ["identifier": "alice", "password": .string(Home.password), "allowTakendown": true])
            let token = try #require(session.json["accessJwt"]?.stringValue, "\(status)")
            let answer = try await home.get(Self.export, of, token: token)
            #expect(answer.status == 200, "\(status): \(answer.text)")
            #expect(answer.json["account"]?["email"] == "alice@mail.test")
            #expect(answer.json["account"]?["status"]?.stringValue == status.rawValue)
            #expect(answer.json["collections"] == ["records": 0])
            #expect(answer.json["stats"]?["totalRecords"] == 3)
            #expect(try await home.get(Self.export, of, token: stranger).status == 403)
            #expect(try await home.get(Self.export, of, token: staff.accessToken).status == 403)
        }
        let admin = try await home.get(Self.export, of, headers: Home.basic)
        #expect(admin.status == 200 && admin.json["account"]?["email"] == nil && admin.json["exportedBy"] == "operator")
        #expect(try await home.get(Self.export, of).error == "AuthMissing")
        let nobody = [("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")]
        #expect(try await home.get(Self.export, nobody, headers: Home.basic).status == 404)
        #expect(try await home.audit(.accountExport).count == 5)
        await home.discard()
    }

    @Test func appPasswordsDoNotExport() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let app = try await home.post(
            "com.atproto.server.createAppPassword", ["name": "phone"], token: try #require(made.grant).accessToken)
        let secret = try #require(app.json["password"]?.stringValue)
        let phone = try await home.sessions.signIn(.init(identifier: "alice", password: secret), origin: "")
        let answer = try await home.get(Self.export, [("did", made.account.did.string)], token: phone.accessToken)
        #expect(answer.status == 403)
        await home.discard()
    }
}
