import ATProtocol
import Base
import Contracts
import Storage
import Synchronization
import Testing
import Web

@testable import Identity

/// Signing in: by which names, with which passwords, in which states.
struct SignInTests {
    private static let signIn = "com.atproto.server.createSession"

    @Test(arguments: [
        "alice", "ALICE", "alice.test", "@alice.test", " Alice.test ", "alice@mail.test", "ALICE@Mail.Test",
    ])
    func byEachName(_ identifier: String) async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let answer = try await home.post(
            Self.signIn, ["identifier": .string(identifier), "password": .string(Home.password)])
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.json["did"]?.stringValue == made.account.did.string)
        let byDID = try await home.post(
            Self.signIn, ["identifier": .string(made.account.did.string), "password": .string(Home.password)])
        #expect(byDID.status == 200)
        await home.discard()
    }

    @Test func unknownNamesAndWrongPasswordsLookAlike() async throws {
        let home = try await Home()
        try await home.account("alice")
        var bodies: Set<String> = []
        for (name, password) in [
            ("alice", "wrong"), ("alice", ""), ("alice", String(repeating: "x", count: 5000)),
            ("alice", "aaaa-bbbb-cccc-dddd"),
            ("nobody", Home.password), ("nobody@mail.test", Home.password), ("", Home.password), ("@@", "x"),
            ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "x"), ("did:", "x"), (String(repeating: "a", count: 9000), "x"),
            ("a\u{0}b", "x\u{0}"),
        ] {
            let answer = try await home.post(
                Self.signIn, ["identifier": .string(name), "password": .string(password)])
            #expect(answer.status == 401 && answer.error == "AuthenticationRequired", "\(name): \(answer.text)")
            bodies.insert(answer.text)
        }
        #expect(bodies.count == 1)
        let failures = try await home.audit(.sessionLoginFailed)
        #expect(failures.count == 12)
        #expect(Set(failures.compactMap { $0.meta["reason"]?.stringValue }) == ["unknown", "password"])
        await home.discard()
    }

    @Test func everyFailureCostsOneHash() async throws {
        let home = try await Home()
        try await home.account("alice")
        for name in ["alice", "nobody", "nobody@mail.test", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "@@"] {
            for password in ["wrong", "", String(repeating: "x", count: 5000), "aaaa-bbbb-cccc-dddd"] {
                let before = home.sessions.passwords.hashCount
                _ = try? await home.sessions.signIn(.init(identifier: name, password: password), origin: "")
                #expect(home.sessions.passwords.hashCount == before + 1, "\(name) \(password.prefix(20))")
            }
        }
        await home.discard()
    }

    @Test func statesDecide() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        for (status, expected) in [
            (AccountStatus.suspended, "401 AccountSuspended"), (.takendown, "401 AccountTakedown"),
            (.disabled, "403 AccountNotApproved"),
        ] {
            try await home.put(did, into: status)
            let answer = try await home.post(
                Self.signIn, ["identifier": "alice", "password": .string(Home.password)])
            #expect("\(answer.status) \(answer.error ?? "")" == expected)
            let wrong = try await home.post(Self.signIn, ["identifier": "alice", "password": "wrong"])
            #expect(wrong.status == 401 && wrong.error == "AuthenticationRequired", "a state is told to nobody else")
            try await home.put(did, into: .approved)
        }
        try await home.accounts.change(did, .deactivate, by: .operator)
        let answer = try await home.post(Self.signIn, ["identifier": "alice", "password": .string(Home.password)])
        #expect(answer.status == 200)
        #expect(answer.json["active"] == false && answer.json["status"] == "deactivated")
        await home.discard()
    }

    @Test func aTakendownAccountMayLeaveAndNothingElse() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        try await home.accounts.change(did, .takedown, by: .operator)
        let answer = try await home.post(
            Self.signIn,
            ["identifier": "alice", "password": .string(Home.password), "allowTakendown": true])
        #expect(answer.status == 200, "\(answer.text)")
        #expect(answer.json["status"] == "takendown")
        let token = try #require(answer.json["accessJwt"]?.stringValue)
        let refresh = try #require(answer.json["refreshJwt"]?.stringValue)
        #expect(try await home.get("com.atproto.server.getSession", token: token).status == 200)
        #expect(try await home.post("com.atproto.server.activateAccount", token: token).status == 400)
        #expect(try await home.post("com.atproto.server.refreshSession", token: refresh).error == "AccountTakedown")
        let serviceAuth = "com.atproto.server.getServiceAuth"
        let leaving = try await home.get(
            serviceAuth, [("aud", "did:web:elsewhere.example"), ("lxm", "com.atproto.server.createAccount")],
            token: token)
        #expect(leaving.status == 200, "\(leaving.text)")
        let other = try await home.get(
            serviceAuth, [("aud", "did:web:elsewhere.example"), ("lxm", "com.atproto.repo.uploadBlob")], token: token)
        #expect(other.status == 400)
        try await home.put(did, into: .approved)
        #expect(try await home.post("com.atproto.server.refreshSession", token: refresh).error == "ExpiredToken")
        await home.discard()
    }

    @Test func appPasswords() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let create = "com.atproto.server.createAppPassword"
        let made = try await home.post(create, ["name": "phone"], token: grant.accessToken)
        let secret = try #require(made.json["password"]?.stringValue)
        #expect(AppPasswordText.isPlausible(secret), "\(secret)")
        #expect(try await home.post(create, ["name": "phone"], token: grant.accessToken).status == 400)
        #expect(try await home.post(create, ["name": " "], token: grant.accessToken).status == 400)
        let desk = try await home.post(create, ["name": "desk", "privileged": true], token: grant.accessToken)
        let listed = try await home.get("com.atproto.server.listAppPasswords", token: grant.accessToken)
        #expect(listed.json["passwords"]?.arrayValue?.map { $0["name"]?.stringValue } == ["desk", "phone"])
        #expect(listed.json["passwords"]?.arrayValue?.allSatisfy { $0["password"] == nil } == true)

        let phone = try await home.sessions.signIn(.init(identifier: "alice", password: secret), origin: "")
        let deskSecret = try #require(desk.json["password"]?.stringValue)
        let other = try await home.sessions.signIn(.init(identifier: "alice", password: deskSecret), origin: "")
        #expect(try home.sessions.tokens.readAccess(phone.accessToken, now: home.clock.now()).scope == .appPassword)
        #expect(
            try home.sessions.tokens.readAccess(other.accessToken, now: home.clock.now()).scope
                == .appPasswordPrivileged)
        #expect(try await home.post(create, ["name": "x"], token: phone.accessToken).error == "InvalidToken")

        let rotated = try await home.sessions.refresh(phone.refreshToken, origin: "")
        #expect(try home.sessions.tokens.readAccess(rotated.accessToken, now: home.clock.now()).scope == .appPassword)
        let revoke = "com.atproto.server.revokeAppPassword"
        #expect(try await home.post(revoke, ["name": "phone"], token: grant.accessToken).status == 200)
        #expect(try await home.post(revoke, ["name": "phone"], token: grant.accessToken).status == 200)
        #expect(try await home.get("com.atproto.server.getSession", token: rotated.accessToken).error == "ExpiredToken")
        await #expect(throws: SessionError.revokedToken) {
            try await home.sessions.refresh(rotated.refreshToken, origin: "")
        }
        await #expect(throws: SessionError.badCredentials) {
            try await home.sessions.signIn(.init(identifier: "alice", password: secret), origin: "")
        }
        #expect(try await home.get("com.atproto.server.getSession", token: other.accessToken).status == 200)
        await home.discard()
    }

    @Test func anAppPasswordOpensOnlyItsOwnAccount() async throws {
        let home = try await Home()
        let alice = try #require(try await home.account("alice").grant)
        try await home.account("bobby")
        let made = try await home.post(
            "com.atproto.server.createAppPassword", ["name": "phone"], token: alice.accessToken)
        let secret = try #require(made.json["password"]?.stringValue)
        await #expect(throws: SessionError.badCredentials) {
            try await home.sessions.signIn(.init(identifier: "bobby", password: secret), origin: "")
        }
        await home.discard()
    }

    @Test func sessionsOfOneAccountAreBounded() async throws {
        let home = try await Home { $0.limits.sessionsPerAccountMax = 3 }
        let first = try #require(try await home.account("alice").grant)
        for _ in 0..<3 {
            home.clock.advance(by: .seconds(1))
            _ = try await home.sessions.signIn(.init(identifier: "alice", password: Home.password), origin: "")
        }
        #expect(try await home.get("com.atproto.server.getSession", token: first.accessToken).error == "ExpiredToken")
        await home.discard()
    }

    @Test func aNewPasswordEndsEverySession() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let grant = try #require(made.grant)
        #expect(try await home.get("com.atproto.server.getSession", token: grant.accessToken).status == 200)
        try await home.accounts.setPassword("Eight-Loud-Oceans-8", of: made.account.did, by: .operator)
        #expect(try await home.get("com.atproto.server.getSession", token: grant.accessToken).error == "ExpiredToken")
        await #expect(throws: SessionError.badCredentials) {
            try await home.sessions.signIn(.init(identifier: "alice", password: Home.password), origin: "")
        }
        _ = try await home.sessions.signIn(.init(identifier: "alice", password: "Eight-Loud-Oceans-8"), origin: "")
        await home.discard()
    }

    @Test func signingInIsLimitedByNameAndAddress() async throws {
        let clock = ManualClock()
        let home = try await Home(limiter: RateLimiter(clock: clock))
        try await home.account("alice")
        var statuses: [Int] = []
        for _ in 0..<32 {
            statuses.append(try await home.post(Self.signIn, ["identifier": "alice", "password": "wrong"]).status)
        }
        #expect(statuses.prefix(30).allSatisfy { $0 == 401 } && statuses.suffix(2) == [429, 429])
        let other = try await home.post(Self.signIn, ["identifier": "nobody", "password": "wrong"])
        #expect(other.status == 401)
        await home.discard()
    }

    @Test func oneAccountHasOneBucketHoweverItIsSpelled() async throws {
        let clock = ManualClock()
        let home = try await Home(limiter: RateLimiter(clock: clock))
        let did = try await home.account("alice").account.did.string
        let spellings = ["alice", "@alice", "alice.test", "@Alice.test", " ALICE.TEST ", did, "Alice@mail.test"]
        var letIn = 0
        for number in 0..<70 {
            let name = spellings[number % spellings.count]
            let answer = try await home.post(Self.signIn, ["identifier": .string(name), "password": "wrong"])
            if answer.status == 401 { letIn += 1 }
        }
        #expect(letIn == 30)
        letIn = 0
        for number in 0..<70 {
            let name = ["nobody", "@nobody", "NoBody.test", " @nobody.test"][number % 4]
            let answer = try await home.post(Self.signIn, ["identifier": .string(name), "password": "wrong"])
            if answer.status == 401 { letIn += 1 }
        }
        #expect(letIn == 30)
        await home.discard()
    }

    @Test func failuresAreToldLateAndSuccessAtOnce() async throws {
        let sleeper = NotedSleeper()
        let home = try await Home(sleeper: sleeper) { $0.signInFailureTimeMin = .milliseconds(350) }
        let did = try await home.account("alice").account.did
        func tell(_ name: String, _ password: String) async {
            _ = try? await home.sessions.signIn(.init(identifier: name, password: password), origin: "")
        }
        await tell("alice", Home.password)
        #expect(sleeper.pauses.isEmpty)
        await tell("alice", "wrong")
        await tell("nobody", "wrong")
        await tell("", "")
        try await home.put(did, into: .suspended)
        await tell("alice", Home.password)
        #expect(sleeper.pauses == [Duration](repeating: .milliseconds(350), count: 4))
        await home.discard()
    }
}

/// A clock that stands still, passes over every pause and notes it.
final class NotedSleeper: Clock {
    private let state = Mutex<[Duration]>([])
    let now = ContinuousClock.now

    var pauses: [Duration] { state.withLock { $0 } }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: ContinuousClock.Instant, tolerance: Duration?) async throws {
        state.withLock { $0.append(now.duration(to: deadline)) }
    }
}
