import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Sessions as their owner sees and ends them.
struct SessionListTests {
    private static let list = "net.openfederation.account.listSessions"
    private static let revoke = "net.openfederation.account.revokeSession"
    private static let signIn = "com.atproto.server.createSession"

    private func signIn(_ home: Home, agent: String, password: String = Home.password) async throws -> Answer {
        try await home.post(
            Self.signIn, ["identifier": "alice", "password": .string(password)], headers: [("user-agent", agent)])
    }

    @Test func devicesAreShownAndIdentifiersOpenNothing() async throws {
        let home = try await Home()
        try await home.account("alice")
        home.clock.advance(by: .seconds(5))
        let phone = try await signIn(home, agent: "Phone/1")
        let token = try #require(phone.json["accessJwt"]?.stringValue)
        let answer = try await home.get(Self.list, token: token)
        let sessions = try #require(answer.json["sessions"]?.arrayValue)
        #expect(sessions.count == 2)
        #expect(sessions.map { $0["isCurrent"] } == [true, false])
        #expect(sessions[0]["client"] == "Phone/1" && sessions[0]["address"] == "127.0.0.1")
        #expect(sessions[0]["lastUsedAt"]?.stringValue != sessions[1]["lastUsedAt"]?.stringValue)
        for session in sessions {
            let id = try #require(session["id"]?.stringValue)
            #expect(id.count == 8)
            for jwt in ["accessJwt", "refreshJwt"] {
                let text = try #require(phone.json[jwt]?.stringValue)
                #expect(!text.contains(id))
            }
        }
        await home.discard()
    }

    @Test func refreshingTellsFromWhere() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let next = try await home.sessions.refresh(grant.refreshToken, origin: "192.0.2.7", agent: "Desk/2")
        let listed = try await home.sessions.list(of: grant.standing.did, present: nil)
        #expect(listed.map(\.device) == [SessionDevice(address: "192.0.2.7", agent: "Desk/2")])
        #expect(!next.accessToken.isEmpty)
        await home.discard()
    }

    @Test func endingOneEndsItsTokens() async throws {
        let home = try await Home()
        let first = try #require(try await home.account("alice").grant)
        home.clock.advance(by: .seconds(1))
        let phone = try await signIn(home, agent: "Phone/1")
        let token = try #require(phone.json["accessJwt"]?.stringValue)
        let sessions = try await home.get(Self.list, token: token).json["sessions"]?.arrayValue ?? []
        let id = try #require(sessions.last?["id"]?.stringValue)
        for bad in ["", "abc", "zzzzzzzz"] {
            let answer = try await home.post(Self.revoke, ["sessionId": .string(bad)], token: token)
            #expect(answer.status == 400 || answer.json["revokedCount"] == 0, "\(bad): \(answer.text)")
        }
        #expect(try await home.post(Self.revoke, [:], token: token).status == 400)
        #expect(
            try await home.post(Self.revoke, ["sessionId": .string(id), "revokeAll": true], token: token).status == 400)
        #expect(
            try await home.post(Self.revoke, ["sessionId": .string(id)], token: token).json == ["revokedCount": 1])
        #expect(try await home.get(Self.list, token: first.accessToken).error == "ExpiredToken")
        await #expect(throws: SessionError.revokedToken) {
            try await home.sessions.refresh(first.refreshToken, origin: "")
        }
        #expect(try await home.post(Self.revoke, ["revokeAll": true], token: token).json == ["revokedCount": 1])
        #expect(try await home.get(Self.list, token: token).error == "ExpiredToken")
        #expect(try await home.audit(.sessionRevoke).count == 2)
        await home.discard()
    }

    @Test func onlyAdministratorsSeeOthers() async throws {
        let home = try await Home()
        let alice = try await home.account("alice").account.did
        let modesty = try #require(try await home.account("modesty", maker: .operator(roles: [.moderator])).grant)
        let adele = try #require(try await home.account("adele", maker: .operator(roles: [.admin])).grant)
        let of = [("did", alice.string)]
        #expect(try await home.get(Self.list, of, token: modesty.accessToken).status == 403)
        #expect(try await home.get(Self.list, of, token: adele.accessToken).status == 200)
        #expect(try await home.get(Self.list, of, headers: Home.basic).status == 200)
        #expect(try await home.get(Self.list, headers: Home.basic).status == 400)
        let input: DataValue = ["did": .string(alice.string), "revokeAll": true]
        #expect(try await home.post(Self.revoke, input, token: modesty.accessToken).status == 403)
        #expect(try await home.post(Self.revoke, input, token: adele.accessToken).json == ["revokedCount": 1])
        let nobody = [("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")]
        #expect(try await home.get(Self.list, nobody, token: adele.accessToken).error == "NotFound")
        await home.discard()
    }

    @Test func appPasswordsDoNotSeeSessions() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let made = try await home.post(
            "com.atproto.server.createAppPassword", ["name": "phone"], token: grant.accessToken)
        let secret = try #require(made.json["password"]?.stringValue)
        let phone = try await signIn(home, agent: "x", password: secret)
        let token = try #require(phone.json["accessJwt"]?.stringValue)
        #expect(try await home.get(Self.list, token: token).status == 403)
        #expect(try await home.post(Self.revoke, ["revokeAll": true], token: token).status == 403)
        let listed = try await home.sessions.list(of: grant.standing.did, present: nil)
        #expect(listed.compactMap(\.appPassword) == ["phone"])
        await home.discard()
    }

    /// OpenFederation's callers send the refresh token in the body.
    @Test func refreshTokensInTheBody() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let refreshed = try await home.post(
            "com.atproto.server.refreshSession", ["refreshJwt": .string(grant.refreshToken)])
        #expect(refreshed.status == 200, "\(refreshed.text)")
        let next = try #require(refreshed.json["refreshJwt"])
        #expect(try await home.post("com.atproto.server.deleteSession", ["refreshJwt": next]).status == 200)
        #expect(try await home.post("com.atproto.server.refreshSession", ["refreshJwt": next]).error == "ExpiredToken")
        #expect(try await home.post("com.atproto.server.deleteSession", [:]).error == "AuthMissing")
        #expect(try await home.post("com.atproto.server.deleteSession").error == "AuthMissing")
        #expect(
            try await home.post("com.atproto.server.deleteSession", ["refreshJwt": .string(grant.accessToken)]).error
                == "InvalidToken")
        await home.discard()
    }

    /// What a body may leave out altogether may itself be left out.
    @Test func deactivatingWithoutABody() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let token = grant.accessToken
        #expect(try await home.post("com.atproto.server.deactivateAccount", token: token).status == 200)
        #expect(try await home.post("com.atproto.server.activateAccount", token: token).status == 200)
        #expect(try await home.post(Self.signIn).status == 400)
        await home.discard()
    }
}
