import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// Service tokens that accounts here ask for, and what they open here.
struct ServiceTokenTests {
    private static let serviceAuth = "com.atproto.server.getServiceAuth"
    private static let upload = "com.atproto.repo.uploadBlob"

    @Test func aTokenIsSignedByTheAccountsKey() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        let answer = try await home.get(
            Self.serviceAuth, [("aud", "did:web:elsewhere.example.org#bsky_appview"), ("lxm", Self.upload)],
            token: token)
        let text = try #require(answer.json["token"]?.stringValue)
        let parts = text.split(separator: ".").map { String($0) }
        let claims = try DataValue(json: try #require(Base64URL.decode(parts[1])))
        #expect(claims["iss"]?.stringValue == made.account.did.string && claims["lxm"]?.stringValue == Self.upload)
        #expect(claims["aud"] == "did:web:elsewhere.example.org#bsky_appview")
        let now = home.clock.now().seconds
        #expect(claims["exp"]?.integerValue == now + 60 && claims["iat"]?.integerValue == now)
        let key = try #require(try await home.identities.document(of: made.account.did).signingKey)
        let signature = try #require(Base64URL.decode(parts[2]))
        #expect(key.isValid(signature: signature, for: Array("\(parts[0]).\(parts[1])".utf8)))
        await home.discard()
    }

    @Test func limitsOfWhatIsGiven() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        let now = home.clock.now().seconds
        let aud = ("aud", "did:web:elsewhere.example.org")
        for (parameters, error) in [
            ([("aud", "nobody")], "InvalidRequest"), ([("aud", "did:web:x.example.org#")], "InvalidRequest"),
            ([aud, ("exp", "1")], "BadExpiration"), ([aud, ("exp", "\(now)")], "BadExpiration"),
            ([aud, ("exp", "\(now + 61)")], "BadExpiration"),
            ([aud, ("exp", "\(now + 3601)"), ("lxm", Self.upload)], "BadExpiration"),
            ([aud, ("exp", "99999999999999999")], "BadExpiration"),
            ([aud, ("lxm", "com.atproto.identity.updateHandle")], "InvalidRequest"),
        ] as [([(String, String)], String)] {
            let answer = try await home.get(Self.serviceAuth, parameters, token: token)
            #expect(answer.status == 400 && answer.error == error, "\(parameters): \(answer.text)")
        }
        for parameters in [
            [aud], [aud, ("exp", "\(now + 60)")], [aud, ("exp", "\(now + 3600)"), ("lxm", Self.upload)],
        ] {
            #expect(try await home.get(Self.serviceAuth, parameters, token: token).status == 200, "\(parameters)")
        }
        await home.discard()
    }

    @Test func appPasswordsGetLess() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let caller = AccountCaller(did: did, status: .approved, roles: [], scope: .full, sessionID: "")
        let aud = ("aud", "did:web:elsewhere.example.org")
        for (privilege, status) in [(AppPassword.Privilege.ordinary, 400), (.privileged, 200)] {
            let password = try await home.sessions.createAppPassword("\(privilege)", privilege: privilege, of: caller)
            let grant = try await home.sessions.signIn(
                .init(identifier: "alice", password: password.secret), origin: "")
            for method in ["chat.bsky.convo.listConvos", "com.atproto.server.createAccount"] {
                let answer = try await home.get(Self.serviceAuth, [aud, ("lxm", method)], token: grant.accessToken)
                #expect(answer.status == status, "\(privilege) \(method)")
            }
            let other = try await home.get(Self.serviceAuth, [aud, ("lxm", Self.upload)], token: grant.accessToken)
            #expect(other.status == 200)
        }
        await home.discard()
    }

    @Test func aTokenOpensOneMethodOfItsOwnAccount() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let did = made.account.did
        let (services, door) = (home.foundation.services, home.foundation.authenticator)
        let soon = home.clock.now().advanced(by: .seconds(60))
        let own = home.foundation.configuration.serviceDID.string
        let token = try await services.make(
            did: did, audience: own, method: try NSID(parsing: Self.upload), expiresAt: soon)
        func head(_ nsid: String) -> RequestHead {
            RequestHead(method: "POST", target: "/xrpc/" + nsid, headers: [("authorization", "Bearer " + token)])
        }
        let rule = AccessRule(.sessionOrService)
        #expect(try await door.caller(for: rule, head(Self.upload)).did == did)
        #expect(try await door.caller(for: .optional, head(Self.upload)).did == did)
        await #expect(throws: SessionError.service(.wrongMethod)) {
            try await door.caller(for: rule, head("com.atproto.repo.createRecord"))
        }
        await #expect(throws: SessionError.invalidToken(reason: .badScope)) {
            try await door.caller(for: .session, head(Self.upload))
        }
        try await home.accounts.change(did, .suspend, by: .operator)
        await #expect(throws: SessionError.standing(.suspended)) { try await door.caller(for: rule, head(Self.upload)) }
        await home.discard()
    }
}
