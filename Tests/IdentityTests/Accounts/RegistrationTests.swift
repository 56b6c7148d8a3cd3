import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Opening accounts: what is asked, what is refused, and that an account is whole or not there.
struct RegistrationTests {
    private static let create = "com.atproto.server.createAccount"
    private static let register = "net.openfederation.account.register"

    @Test(arguments: [
        "ab", "-abc", "abc-", "a--b", "a_b", "admin", "root", "xrpc", "abc.elsewhere.example", "a b c", "", "日本",
        "a.b.c",
        "alice.test.", ".test", "alice..test", "handle.invalid", "1.2.3.4",
    ])
    func refusedNames(_ name: String) async throws {
        let home = try await Home()
        let answer = try await home.post(
            Self.register,
            ["handle": .string(name), "email": "x@mail.test", "password": .string(Home.password)])
        #expect(answer.status == 400 && answer.error == "InvalidHandle", "\(answer.text)")
        #expect(answer.json["message"]?.stringValue?.lowercased().contains("handle") == true)
        await home.discard()
    }

    @Test func lengthsOfNames() async throws {
        let home = try await Home()
        for (name, status) in [
            (String(repeating: "a", count: 30), 201), (String(repeating: "a", count: 31), 400), ("abc", 201),
        ] {
            let answer = try await home.post(
                Self.register,
                ["handle": .string(name), "email": .string("\(name)@mail.test"), "password": .string(Home.password)])
            #expect(answer.status == status, "\(name): \(answer.text)")
        }
        await home.discard()
    }

    @Test func errorsOfTheProtocolsOwnDoor() async throws {
        let home = try await Home()
        try await home.account("alice")
        for (input, error) in [
            (["handle": "alice.test"], "HandleNotAvailable"), (["handle": "ALICE.test"], "HandleNotAvailable"),
            (["handle": "admin.test"], "HandleNotAvailable"), (["handle": "alice.elsewhere.org"], "UnsupportedDomain"),
            (["handle": "a.b.test"], "InvalidHandle"), (["handle": "bob"], "InvalidRequest"),
            (["handle": "bobby.test", "password": "short"], "InvalidPassword"),
            (["handle": "bobby.test", "password": "alllowercase"], "InvalidPassword"),
            (["handle": "bobby.test", "email": "nobody"], "InvalidRequest"),
            (["handle": "bobby.test", "email": "ALICE@mail.test"], "InvalidRequest"),
            (["handle": "bobby.test", "recoveryKey": "did:key:zzz"], "InvalidRequest"),
            (["handle": "bobby.test", "plcOp": "x"], "InvalidRequest"),
            (["handle": "bobby.test", "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"], "AuthMissing"),
        ] as [([String: String], String)] {
            var body: DataMap = ["email": "bobby@mail.test", "password": .string(Home.password)]
            for (key, value) in input { body[key] = .string(value) }
            let answer = try await home.post(Self.create, .map(body))
            #expect(answer.error == error, "\(input): \(answer.text)")
        }
        await home.discard()
    }

    @Test func theIdentityIsOfTheRightMake() async throws {
        let home = try await Home()
        let recovery = PrivateKey.generate(.p256, using: SeededRandomness(seed: 3)).publicKey
        let answer = try await home.post(
            Self.create,
            [
                "handle": "alice.test", "email": "alice@mail.test", "password": .string(Home.password),
                "recoveryKey": .string(recovery.didKey),
            ])
        let did = try DID(parsing: try #require(answer.json["did"]?.stringValue))
        let log = try await home.identities.embedded.log(of: did)
        let state = try #require(log.state)
        #expect(state.rotationKeys == [recovery.didKey, home.foundation.keys.rotationKey.publicKey.didKey])
        #expect(state.alsoKnownAs == ["at://alice.test"])
        #expect(state.services[.atprotoPDS]?.endpoint == "http://localhost:8080")
        let signer = try await home.foundation.keys.signer(for: did)
        #expect(signer.publicKey.algorithm == .k256)
        #expect(state.verificationMethods == [.atproto: signer.publicKey.didKey])
        #expect(log.entries.count == 1 && log.entries[0].operation.genesisDID == did)
        #expect(try await home.repositories.head(of: did) != nil)
        await home.discard()
    }

    @Test func oneHandleOneAccount() async throws {
        let home = try await Home()
        let made = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<16 {
                group.addTask {
                    let new = AccountService.NewAccount(
                        handle: "alice", email: "a\(number)@mail.test", password: Home.password)
                    return (try? await home.accounts.register(new)) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(made == 1)
        #expect(try await home.accounts.list(AccountFilter(), limit: 100, offset: 0).total == 1)
        #expect(try await home.events().count == 4)
        await home.discard()
    }

    @Test func oneAddressOneAccount() async throws {
        let home = try await Home()
        let made = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<16 {
                group.addTask {
                    let email = number % 2 == 0 ? "one@mail.test" : "ONE@mail.test"
                    let new = AccountService.NewAccount(handle: "al\(number)x", email: email, password: Home.password)
                    return (try? await home.accounts.register(new)) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(made == 1)
        await home.discard()
    }

    @Test func eventsOfOneAccountStandTogether() async throws {
        let home = try await Home()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<24 { group.addTask { try await home.account("user\(number)") } }
            try await group.waitForAll()
        }
        let events = try await home.events()
        #expect(events.count == 24 * 4)
        for start in stride(from: 0, to: events.count, by: 4) {
            let four = events[start..<(start + 4)]
            #expect(four.map(\.kind) == [.identity, .account, .commit, .sync])
            #expect(Set(four.map(\.did)).count == 1)
        }
        await home.discard()
    }

    @Test func aFailureLeavesNothing() async throws {
        let home = try await Home(failing: .onCreate) { $0.invites = .required }
        let invite = try await home.accounts.createInvite(.init(), by: .operator, owner: nil)
        var new = AccountService.NewAccount(handle: "alice", email: "alice@mail.test", password: Home.password)
        new.inviteCode = invite.code
        await #expect(throws: TestRepositories.Failure.self) { try await home.accounts.register(new) }
        let counts = try await home.database.read { scope in
            try ["account", "session", "plc_operation", "invite_use", "log_event"].map { table in
                try scope.first("SELECT COUNT(*) FROM \(table)")?.integer(0)
            }
        }
        #expect(counts == [0, 0, 0, 0, 0])
        #expect(try await home.accounts.invites(.active, limit: 10, offset: 0).total == 1)
        #expect(try await home.foundation.accounts.standing(of: .handle(Handle(parsing: "alice.test"))) == nil)
        await home.discard()
    }

    // MARK: Approval

    @Test func waitingForApproval() async throws {
        let home = try await Home { $0.approval = .required }
        let made = try await home.post(
            Self.register, ["handle": "alice", "email": "alice@mail.test", "password": .string(Home.password)])
        #expect(made.status == 201 && made.json["status"] == "pending", "\(made.text)")
        let did = try DID(parsing: try #require(made.json["did"]?.stringValue))
        #expect(try await home.events().isEmpty, "the network hears of nobody who waits")
        #expect(try await home.repositories.head(of: did) != nil)
        let refused = try await home.post(
            "com.atproto.server.createSession", ["identifier": "alice", "password": .string(Home.password)])
        #expect(refused.status == 403 && refused.error == "AccountNotApproved")
        #expect(try await home.get("com.atproto.identity.resolveHandle", [("handle", "alice.test")]).status == 400)

        let approve = "net.openfederation.account.approve"
        let other = try await home.post(
            approve, ["handle": "alice.test", "email": "someone@mail.test"], headers: Home.basic)
        #expect(other.status == 404, "names that disagree name nobody")
        #expect(try await home.post(approve, [:], headers: Home.basic).status == 400)
        let approved = try await home.post(approve, ["handle": "alice"], headers: Home.basic)
        #expect(approved.status == 200 && approved.json["status"] == "approved", "\(approved.text)")
        #expect(try await home.post(approve, ["handle": "alice"], headers: Home.basic).error == "NotFound")
        #expect(try await home.events().map(\.kind) == [.account, .identity, .sync])
        _ = try await home.sessions.signIn(.init(identifier: "alice", password: Home.password), origin: "")
        #expect(try await home.audit(.accountApprove).map(\.target) == [did.string])
        await home.discard()
    }

    @Test func theProtocolsOwnDoorSaysThatItWaits() async throws {
        let home = try await Home { $0.approval = .required }
        let body: DataValue = [
            "handle": "alice.test", "email": "alice@mail.test", "password": .string(Home.password),
        ]
        let made = try await home.post(Self.create, body)
        #expect(made.status == 403 && made.error == "AccountNotApproved")
        #expect(made.json["message"]?.stringValue?.contains("alice.test was created and waits") == true)
        #expect(try await home.accounts.account("alice").status == .pending)
        #expect(try await home.post(Self.create, body).error == "HandleNotAvailable")
        await home.discard()
    }

    @Test func rejecting() async throws {
        let home = try await Home { $0.approval = .required }
        try await home.account("alice")
        let answer = try await home.post(
            "net.openfederation.account.reject", ["email": "Alice@mail.test"], headers: Home.basic)
        #expect(answer.json["status"] == "rejected", "\(answer.text)")
        #expect(try await home.events().isEmpty)
        let refused = try await home.post(
            "com.atproto.server.createSession", ["identifier": "alice", "password": .string(Home.password)])
        #expect(refused.status == 403 && refused.error == "AccountNotApproved")
        await home.discard()
    }
}
