import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// New passwords by whoever knows the old one, and by whoever reads the account's mail.
struct PasswordResetTests {
    private static let request = "net.openfederation.account.requestPasswordReset"
    private static let confirm = "net.openfederation.account.confirmPasswordReset"
    private static let change = "net.openfederation.account.changePassword"
    private static let new = "Eight-Loud-Oceans-8"

    /// The token of the newest letter that holds a link.
    private func token(_ home: Home) async throws -> String {
        try await home.module.mail?.sendDue()
        let mark = "/reset-password?token="
        let letter = try #require(home.letters.letters.last { $0.text.contains(mark) })
        let range = try #require(letter.text.firstRange(of: mark))
        return String(letter.text[range.upperBound...].prefix { !$0.isWhitespace })
    }

    private func canSignIn(_ home: Home, _ password: String) async throws -> Bool {
        let answer = try await home.post(
            "com.atproto.server.createSession", ["identifier": "alice", "password": .string(password)])
        return answer.status == 200
    }

    @Test func byMail() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        #expect(try await home.post(Self.request, ["identifier": "Alice.test"]).json == ["success": true])
        let token = try await token(home)
        #expect(home.letters.letters.last?.recipient == "alice@mail.test")
        let weak = try await home.post(Self.confirm, ["token": .string(token), "newPassword": "short"])
        #expect(weak.status == 400 && weak.error == "WeakPassword", "the link works on: \(weak.text)")
        let done = try await home.post(Self.confirm, ["token": .string(token), "newPassword": .string(Self.new)])
        #expect(done.json == ["success": true])
        #expect(try await canSignIn(home, Self.new))
        #expect(try await !canSignIn(home, Home.password))
        let old = try await home.get("com.atproto.server.getSession", token: grant.accessToken)
        #expect(old.error == "ExpiredToken", "all sessions ended")
        await #expect(throws: SessionError.revokedToken) {
            try await home.sessions.refresh(grant.refreshToken, origin: "")
        }
        let again = try await home.post(Self.confirm, ["token": .string(token), "newPassword": .string(Home.password)])
        #expect(again.status == 400 && again.error == "InvalidToken", "a link works once")
        #expect(try await home.audit(.accountPasswordResetConfirm).count == 1)
        try await home.module.mail?.sendDue()
        #expect(home.letters.letters.last?.subject.contains("was changed") == true)
        await home.discard()
    }

    @Test func onlyTheNewestLinkWorksAndForAnHour() async throws {
        let home = try await Home()
        try await home.account("alice")
        _ = try await home.post(Self.request, ["identifier": "alice"])
        let first = try await token(home)
        _ = try await home.post(Self.request, ["identifier": "alice@mail.test"])
        let second = try await token(home)
        #expect(first != second)
        #expect(try await !home.accounts.isResetToken(first))
        home.clock.advance(by: .seconds(3599))
        #expect(try await home.accounts.isResetToken(second))
        home.clock.advance(by: .seconds(1))
        let late = try await home.post(Self.confirm, ["token": .string(second), "newPassword": .string(Self.new)])
        #expect(late.error == "InvalidToken")
        #expect(try await canSignIn(home, Home.password))
        await home.discard()
    }

    @Test func nothingInTheDatabaseOpensAnAccount() async throws {
        let home = try await Home()
        try await home.account("alice")
        _ = try await home.post(Self.request, ["identifier": "alice"])
        let (digests, payloads) = try await home.database.read { scope in
            (
                try scope.query("SELECT digest FROM password_reset").map { try $0.blob(0) },
                try scope.query("SELECT payload FROM job WHERE kind = 'accounts.mail'").map { try $0.blob(0) }
            )
        }
        let token = try await token(home)
        #expect(digests.count == 1 && payloads.count == 1)
        for bytes in digests + payloads {
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(!text.contains(token) && !text.contains("alice"))
        }
        await home.discard()
    }

    /// Neither what is answered nor when tells whether somebody lives here.
    @Test func unknownAccountsLookAlike() async throws {
        let sleeper = NotedSleeper()
        let home = try await Home(sleeper: sleeper) {
            $0.signInFailureTimeMin = .milliseconds(350)
            $0.approval = .required
        }
        let waiting = try await home.account("waiting").account.did
        try await home.account("alice", maker: .operator(roles: []))
        var bodies: Set<String> = []
        let names = ["alice", "nobody", "nobody@mail.test", "@@", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "waiting"]
        for name in names {
            let answer = try await home.post(Self.request, ["identifier": .string(name)])
            #expect(answer.status == 200)
            bodies.insert(answer.text)
        }
        #expect(bodies.count == 1)
        #expect(sleeper.pauses == [Duration](repeating: .milliseconds(350), count: names.count))
        try await home.module.mail?.sendDue()
        #expect(
            home.letters.letters.map(\.recipient) == ["alice@mail.test"], "who waits can't sign in anyway: \(waiting)")
        #expect(try await home.audit(.accountPasswordResetRequest).count == names.count)
        await home.discard()
    }

    @Test func lettersAreCountedInSilence() async throws {
        let home = try await Home(limiter: RateLimiter(clock: ManualClock()))
        try await home.account("alice")
        var last = ""
        for _ in 0..<8 {
            let answer = try await home.post(Self.request, ["identifier": "alice"])
            #expect(answer.status == 200)
            last = try await token(home)
        }
        #expect(home.letters.letters.count == 5)
        #expect(try await home.accounts.isResetToken(last), "the link of the last letter works on")
        await home.discard()
    }

    @Test func oneUseUnderRaces() async throws {
        let home = try await Home()
        try await home.account("alice")
        _ = try await home.post(Self.request, ["identifier": "alice"])
        let token = try await token(home)
        let done = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<12 {
                group.addTask {
                    let password = "Eight-Loud-Oceans-\(number)"
                    return (try? await home.accounts.confirmPasswordReset(token, to: password, origin: "")) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(done == 1)
        await home.discard()
    }

    @Test func byTheOldOne() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        func change(_ current: String, _ new: String) async throws -> Answer {
            try await home.post(
                Self.change, ["currentPassword": .string(current), "newPassword": .string(new)],
                token: grant.accessToken)
        }
        #expect(try await change("wrong", Self.new).error == "InvalidPassword")
        #expect(try await change(Home.password, "short").error == "WeakPassword")
        #expect(try await change(Home.password, Self.new).json == ["success": true])
        #expect(try await canSignIn(home, Self.new))
        #expect(try await change(Self.new, Home.password).error == "ExpiredToken", "all sessions ended")
        #expect(try await home.audit(.accountPasswordChange).count == 1)
        await home.discard()
    }

    /// The token of a set-up link, of a session, or a made-up one with a prefix is no token of a letter.
    @Test func otherTokensDoNot() async throws {
        let home = try await Home()
        let setup = try #require(try await home.accounts.setupToken())
        let grant = try #require(try await home.account("alice").grant)
        for token in [setup, grant.accessToken, grant.refreshToken, "verify:" + setup, "", "x"]
        where token.utf8.count < 129 {
            #expect(try await !home.accounts.isResetToken(token))
        }
        await #expect(throws: AccountError.invalidToken) {
            try await home.accounts.confirmPasswordReset(grant.refreshToken, to: Self.new, origin: "")
        }
        await home.discard()
    }

    @Test func whoWasPutAwayMayStillLeave() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        try await home.put(did, into: .takendown)
        _ = try await home.post(Self.request, ["identifier": "alice"])
        let token = try await token(home)
        _ = try await home.post(Self.confirm, ["token": .string(token), "newPassword": .string(Self.new)])
        let answer = try await home.post(
            "com.atproto.server.createSession",
            ["identifier": "alice", "password": .string(Self.new), "allowTakendown": true])
        #expect(answer.status == 200 && answer.json["status"] == "takendown")
        await home.discard()
    }
}
