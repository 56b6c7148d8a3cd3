import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Another handle: identity, account and event change together.
struct HandleChangeTests {
    private static let update = "com.atproto.identity.updateHandle"

    @Test func everythingChangesTogether() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let (did, token) = (made.account.did, try #require(made.grant).accessToken)
        let events = try await home.events().count
        #expect(try await home.post(Self.update, ["handle": "Alicia.test"], token: token).status == 200)
        let log = try await home.identities.embedded.log(of: did)
        #expect(log.entries.count == 2 && log.state?.alsoKnownAs == ["at://alicia.test"])
        #expect(try await home.identities.document(of: did).handle?.string == "alicia.test")
        let resolve = "com.atproto.identity.resolveHandle"
        #expect(try await home.get(resolve, [("handle", "alicia.test")]).json["did"]?.stringValue == did.string)
        #expect(try await home.get(resolve, [("handle", "alice.test")]).error == "HandleNotFound")
        #expect(try await home.get("com.atproto.server.getSession", token: token).json["handle"] == "alicia.test")
        let new = try await home.events().dropFirst(events)
        #expect(new.map(\.kind) == [.identity])
        let frame = try FirehoseFrame(bytes: try #require(new.first).frame)
        guard case .event(_, .identity(let identity)) = frame else { throw TestRepositories.Failure.onCreate }
        #expect(identity.handle?.string == "alicia.test")

        // Again: no operation, but the network is told once more.
        #expect(try await home.post(Self.update, ["handle": "alicia.test"], token: token).status == 200)
        #expect(try await home.identities.embedded.log(of: did).entries.count == 2)
        #expect(try await home.events().count == events + 2)

        // The old name is free, and whoever takes it is found under it.
        let bobby = try await home.accounts.register(
            .init(handle: "alice", email: "bobby@mail.test", password: Home.password)
        ).account.did
        #expect(try await home.get(resolve, [("handle", "alice.test")]).json["did"]?.stringValue == bobby.string)
        #expect(try await home.audit(.accountHandleUpdate).count == 2)
        await home.discard()
    }

    @Test func refusals() async throws {
        let home = try await Home()
        let token = try #require(try await home.account("alice").grant).accessToken
        try await home.account("bobby")
        for (handle, error) in [
            ("bobby.test", "HandleNotAvailable"), ("BOBBY.test", "HandleNotAvailable"),
            ("admin.test", "HandleNotAvailable"), ("ab.test", "InvalidHandle"), ("a.b.test", "InvalidHandle"),
            ("nowhere.example.org", "InvalidHandle"), ("x", "InvalidRequest"), ("", "InvalidRequest"),
        ] {
            let answer = try await home.post(Self.update, ["handle": .string(handle)], token: token)
            #expect(answer.status == 400 && answer.error == error, "\(handle): \(answer.text)")
        }
        await home.discard()
    }

    @Test func oneOfOnesOwn() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        home.world.records(of: "_atproto.alice.example.org", ["did=\(made.account.did.string)"])
        let answer = try await home.post(Self.update, ["handle": "alice.example.org"], token: token)
        #expect(answer.status == 200, "\(answer.text)")
        let resolved = try await home.get("com.atproto.identity.resolveHandle", [("handle", "alice.example.org")])
        #expect(resolved.json["did"]?.stringValue == made.account.did.string)
        _ = try await home.sessions.signIn(
            .init(identifier: "alice.example.org", password: Home.password), origin: "")
        await home.discard()
    }

    @Test func twoWhoWantTheSame() async throws {
        let home = try await Home()
        var tokens: [String] = []
        for number in 0..<8 { tokens.append(try #require(try await home.account("user\(number)").grant).accessToken) }
        let took = try await withThrowingTaskGroup(of: Int.self) { group in
            for token in tokens {
                group.addTask { try await home.post(Self.update, ["handle": "prize.test"], token: token).status }
            }
            return try await group.reduce(into: 0) { $0 += $1 == 200 ? 1 : 0 }
        }
        #expect(took == 1)
        let holders = try await home.accounts.list(AccountFilter(text: "prize"), limit: 10, offset: 0)
        #expect(holders.total == 1)
        await home.discard()
    }

    @Test func anIdentityThatIsTheOwnersToChange() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        // The owner replaces the server's rotation key by theirs, with the server's own.
        let mine = PrivateKey.generate(.k256, using: SeededRandomness(seed: 5))
        let log = try await home.identities.embedded.log(of: made.account.did)
        var state = try #require(log.state)
        state.rotationKeys = [mine.publicKey.didKey]
        let operation = try PLCChange.update(state, prev: log.head?.operation.cid)
            .signed(by: home.foundation.keys.rotationKey)
        _ = try await home.post("/plc/\(made.account.did.string)", operation.value)
        #expect(try await home.events().last?.kind == .identity, "the network hears of what others change, too")
        #expect(try await home.events().count == 5)
        let answer = try await home.post(Self.update, ["handle": "alicia.test"], token: token)
        #expect(answer.status == 400, "\(answer.text)")
        #expect(try await home.accounts.account("alice").did == made.account.did, "nothing changed")
        await home.discard()
    }
}
