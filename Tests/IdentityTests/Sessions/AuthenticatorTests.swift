import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// The door: which caller each rule lets in, and that it needs no database once it knows them.
struct AuthenticatorTests {
    private func head(_ authorization: String?, nsid: String = "com.atproto.repo.createRecord") -> RequestHead {
        RequestHead(
            method: "POST", target: "/xrpc/" + nsid, headers: authorization.map { [("authorization", $0)] } ?? [])
    }

    /// What the door says, in short: `account`, `operator`, `anonymous`, or the error's name.
    private func outcome(_ home: Home, _ rule: AccessRule, _ authorization: String?) async -> String {
        do {
            switch try await home.foundation.authenticator.caller(for: rule, head(authorization)) {
            case .anonymous: return "anonymous"
            case .operator: return "operator"
            case .account(let account): return "account " + account.scope.rawValue.dropFirst("com.atproto.".count)
            case .service: return "service"
            }
        } catch let error as any WireConvertible {
            return "\(error.wire.status) \(error.wire.error)"
        } catch {
            return "\(error)"
        }
    }

    private static let rules: [(String, AccessRule)] = [
        ("anyone", .anyone), ("optional", .optional), ("session", .session),
        ("privileged", AccessRule(.privilegedSession)), ("full", .fullSession), ("refresh", .refreshToken),
        ("moderator", .moderator), ("admin", .administrator), ("service", AccessRule(.sessionOrService)),
    ]

    @Test func everyRuleAndEveryCaller() async throws {
        let home = try await Home()
        let tokens = try await cast(home)
        let expected: [String: [String]] = [
            // anyone, optional, session, privileged, full, refresh, moderator, admin, service
            "nobody": ["anonymous", "anonymous"] + [String](repeating: "401 AuthMissing", count: 3) + ["anonymous"]
                + [String](repeating: "401 AuthMissing", count: 3),
            "full": [
                "anonymous", "account access", "account access", "account access", "account access",
                "anonymous", "403 Forbidden", "403 Forbidden", "account access",
            ],
            "app": [
                "anonymous", "account appPass", "account appPass", "400 InvalidToken", "400 InvalidToken",
                "anonymous", "403 Forbidden", "403 Forbidden", "account appPass",
            ],
            "privileged app": [
                "anonymous", "account appPassPrivileged", "account appPassPrivileged", "account appPassPrivileged",
                "400 InvalidToken", "anonymous", "403 Forbidden", "403 Forbidden", "account appPassPrivileged",
            ],
            "moderator": [
                "anonymous", "account access", "account access", "account access", "account access",
                "anonymous", "account access", "403 Forbidden", "account access",
            ],
            "admin": [
                "anonymous", "account access", "account access", "account access", "account access",
                "anonymous", "account access", "account access", "account access",
            ],
            "operator": [
                "anonymous", "operator", "401 AuthMissing", "401 AuthMissing", "401 AuthMissing", "anonymous",
                "operator", "operator", "401 AuthMissing",
            ],
            "refresh": ["anonymous"] + [String](repeating: "400 InvalidToken", count: 4) + ["anonymous"]
                + [String](repeating: "400 InvalidToken", count: 3),
            "scheme": ["anonymous"] + [String](repeating: "400 InvalidToken", count: 4) + ["anonymous"]
                + [String](repeating: "400 InvalidToken", count: 3),
        ]
        for (caller, answers) in expected {
            for ((name, rule), answer) in zip(Self.rules, answers) {
                let given = await outcome(home, rule, tokens[caller] ?? nil)
                #expect(given == answer, "\(caller) at \(name)")
            }
        }
        await home.discard()
    }

    /// Authorization headers by caller.
    private func cast(_ home: Home) async throws -> [String: String?] {
        let alice = try await home.account("alice")
        let grant = try #require(alice.grant)
        let moderator = try #require(try await home.account("modesty", maker: .operator(roles: [.moderator])).grant)
        let admin = try #require(try await home.account("adele", maker: .operator(roles: [.admin])).grant)
        let caller = AccountCaller(
            did: alice.account.did, status: .approved, roles: [.user], scope: .full, sessionID: "")
        let app = try await home.sessions.createAppPassword("one", privilege: .ordinary, of: caller)
        let privileged = try await home.sessions.createAppPassword("two", privilege: .privileged, of: caller)
        func bearer(_ password: String) async throws -> String {
            "Bearer "
                + (try await home.sessions.signIn(.init(identifier: "alice", password: password), origin: ""))
                .accessToken
        }
        return [
            "nobody": nil, "full": "Bearer " + grant.accessToken, "app": try await bearer(app.secret),
            "privileged app": try await bearer(privileged.secret), "moderator": "Bearer " + moderator.accessToken,
            "admin": "bearer  " + admin.accessToken, "operator": Home.basic[0].1,
            "refresh": "Bearer " + grant.refreshToken, "scheme": "DPoP " + grant.accessToken,
        ]
    }

    @Test func everyStateAndEveryStanding() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let authorization = "Bearer " + (try #require(made.grant)).accessToken
        let rules: [AccessRule] = [.session, .session.allowing(.deactivatedToo), .session.allowing(.any)]
        let expected: [(AccountStatus, [String])] = [
            (.deactivated, ["401 AccountDeactivated", "account access", "account access"]),
            // From here on the session is over: who may come in at all hears that.
            (.suspended, ["401 AccountSuspended", "401 AccountSuspended", "400 ExpiredToken"]),
            (.takendown, ["401 AccountTakedown", "401 AccountTakedown", "400 ExpiredToken"]),
            (.approved, ["400 ExpiredToken", "400 ExpiredToken", "400 ExpiredToken"]),
            (.disabled, ["403 AccountNotApproved", "403 AccountNotApproved", "400 ExpiredToken"]),
        ]
        for rule in rules { #expect(await outcome(home, rule, authorization) == "account access") }
        for (status, answers) in expected {
            try await home.put(made.account.did, into: status)
            for (rule, answer) in zip(rules, answers) {
                #expect(await outcome(home, rule, authorization) == answer, "\(status) at \(rule)")
            }
        }
        try await home.accounts.delete(made.account.did, by: .operator)
        #expect(await outcome(home, .session, authorization) == "403 AccountNotFound")
        await home.discard()
    }

    @Test func whoeverIsKnownNeedsNoDatabase() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let authorization = "Bearer " + grant.accessToken
        #expect(await outcome(home, .session, authorization) == "account access")
        await home.close()
        for _ in 0..<100 { #expect(await outcome(home, .session, authorization) == "account access") }
        await home.discard()
    }

    @Test func signingOutEndsAccessAtOnce() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let authorization = "Bearer " + grant.accessToken
        #expect(await outcome(home, .session, authorization) == "account access")
        #expect(try await home.post("com.atproto.server.deleteSession", token: grant.refreshToken).status == 200)
        #expect(await outcome(home, .session, authorization) == "400 ExpiredToken")
        await home.discard()
    }

    @Test func refreshTokensMayStandInTheBody() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let refresh = "com.atproto.server.refreshSession"
        let answer = try await home.post(refresh, ["refreshJwt": .string(grant.refreshToken)])
        #expect(answer.status == 200, "\(answer.text)")
        let token = try #require(answer.json["refreshJwt"]?.stringValue)
        let access = try #require(answer.json["accessJwt"]?.stringValue)
        #expect(try await home.post(refresh, token: access).status == 400)
        #expect(try await home.post(refresh).status == 401)
        let end = "com.atproto.server.deleteSession"
        #expect(try await home.post(end, ["refreshJwt": "x"], token: token).status == 400)
        #expect(try await home.post(end, ["refreshJwt": .string(token)], token: access).status == 200)
        #expect(await outcome(home, .session, "Bearer " + access) == "400 ExpiredToken")
        await home.discard()
    }

    @Test func rolesAreJudgedAtTheDoor() async throws {
        let home = try await Home()
        let made = try await home.account("modesty", maker: .operator(roles: [.moderator]))
        let authorization = "Bearer " + (try #require(made.grant)).accessToken
        #expect(await outcome(home, .moderator, authorization) == "account access")
        try await home.accounts.setRoles([.user], of: made.account.did, by: .operator)
        #expect(await outcome(home, .moderator, authorization) == "403 Forbidden")
        await home.discard()
    }

    @Test func wrongAndMalformedHeaders() async throws {
        let home = try await Home()
        for value in [
            "", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic YWRtaW46d3Jvbmc=", "Digest x", "x", "Bearer a.b.c",
            "Basic " + String(repeating: "A", count: 100_000), "Bearer " + String(repeating: ".", count: 100_000),
            "Basic " + Base64.encode(Array("root:\(Home.operatorPassword)".utf8)),
            "Basic " + Base64.encode(Array("admin:\(Home.operatorPassword)x".utf8)), "Basic YWRtaW46",
        ] {
            for rule in [AccessRule.session, .administrator, .optional] {
                let answer = await outcome(home, rule, value)
                #expect(answer.hasPrefix("40"), "\(value.prefix(40)) at \(rule): \(answer)")
                #expect(answer != "400 ExpiredToken")
            }
            for method in ["refreshSession", "deleteSession"] {
                let answer = try await home.post(
                    "com.atproto.server.\(method)", headers: [("authorization", value)])
                #expect(answer.status == 400, "\(value.prefix(40)) at \(method): \(answer.text)")
            }
        }
        await home.discard()
    }

    @Test func wrongOperatorPasswordsAreCounted() async throws {
        let clock = ManualClock()
        let home = try await Home(limiter: RateLimiter(clock: clock))
        let wrong = "Basic " + Base64.encode(Array("admin:wrong".utf8))
        for _ in 0..<50 { #expect(await outcome(home, .administrator, Home.basic[0].1) == "operator") }
        var answers: [String] = []
        for number in 0..<12 {
            answers.append(await outcome(home, number % 2 == 0 ? .administrator : .optional, wrong))
        }
        #expect(answers.prefix(10).allSatisfy { $0 == "401 AuthenticationRequired" })
        #expect(answers.suffix(2) == ["429 RateLimitExceeded", "429 RateLimitExceeded"])
        // Who has guessed too often doesn't learn of a right guess.
        #expect(await outcome(home, .administrator, Home.basic[0].1) == "429 RateLimitExceeded")
        clock.advance(by: .seconds(90))
        #expect(await outcome(home, .administrator, Home.basic[0].1) == "operator")
        await home.discard()
    }

    @Test func wrongOperatorPasswordsAreCountedOverAllAddresses() async throws {
        let home = try await Home(limiter: RateLimiter(clock: ManualClock()))
        let wrong = "Basic " + Base64.encode(Array("admin:wrong".utf8))
        var refused = 0
        for number in 0..<1010 {
            let head = RequestHead(
                method: "GET", target: "/xrpc/com.atproto.admin.getSubjectStatus", headers: [("authorization", wrong)],
                remoteAddress: "198.51.\(number / 250).\(number % 250)")
            do { _ = try await home.foundation.authenticator.caller(for: .administrator, head) } catch {
                if error is RateLimitExceeded { refused += 1 }
            }
        }
        #expect(refused == 10)
        await home.discard()
    }

    @Test func aTakendownAccountsTokenOpensExportsOnly() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        try await home.put(did, into: .takendown)
        let grant = try await home.sessions.signIn(
            .init(identifier: "alice", password: Home.password, takendown: .allowed), origin: "")
        let token = "Bearer " + grant.accessToken
        #expect(await outcome(home, .optionalExport, token) == "account takendown")
        #expect(await outcome(home, .optional, token) == "400 InvalidToken")
        await home.discard()
    }

    @Test func withoutAPasswordNobodyIsTheOperator() async throws {
        let home = try await Home { $0.operatorPassword = nil }
        for text in ["admin:", "admin:nil", ":"] {
            let answer = await outcome(home, .administrator, "Basic " + Base64.encode(Array(text.utf8)))
            #expect(answer == "401 AuthenticationRequired")
        }
        await home.discard()
    }

    @Test func reading5000TokensASecondIsNoWork() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("alice").grant)
        let (authenticator, request) = (home.foundation.authenticator, head("Bearer " + grant.accessToken))
        _ = try await authenticator.caller(for: .session, request)
        let clock = ContinuousClock()
        let time = try await clock.measure {
            for _ in 0..<1000 { _ = try await authenticator.caller(for: .session, request) }
        }
        // Without optimisation and beside other tests; the release build takes a few microseconds each.
        #expect(time < .seconds(5), "1000 requests took \(time)")
        await home.discard()
    }
}
