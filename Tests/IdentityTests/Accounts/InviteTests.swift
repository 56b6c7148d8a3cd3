import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Invite codes: who they admit, how often, and that nobody slips through.
struct InviteTests {
    private static let register = "net.openfederation.account.register"

    private func register(_ home: Home, _ name: String, code: String?, email: String? = nil) async throws -> Answer {
        var body: DataMap = [
            "handle": .string(name), "email": .string(email ?? "\(name)@mail.test"), "password": .string(Home.password),
        ]
        body["inviteCode"] = code.map { .string($0) }
        return try await home.post(Self.register, .map(body))
    }

    @Test func theLastUseAdmitsExactlyOne() async throws {
        let home = try await Home { $0.invites = .required }
        for seed in 0..<6 {
            let usesMax = 1 + seed % 3
            let invite = try await home.accounts.createInvite(.init(usesMax: usesMax), by: .operator, owner: nil)
            let admitted = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        var new = AccountService.NewAccount(
                            handle: "u\(seed)x\(number)", email: "u\(seed)x\(number)@mail.test", password: Home.password
                        )
                        new.inviteCode = invite.code
                        return (try? await home.accounts.register(new)) != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(admitted == usesMax)
            let page = try await home.accounts.invites(.exhausted, limit: 100, offset: 0)
            #expect(page.items.first { $0.code == invite.code }?.uses == usesMax)
        }
        await home.discard()
    }

    @Test func faultsAreNamed() async throws {
        let home = try await Home { $0.invites = .required }
        #expect(try await register(home, "alice", code: nil).error == "InviteRequired")
        #expect(try await register(home, "alice", code: "").error == "InviteRequired")
        for code in ["no-such-code", "x' OR '1'='1", "\u{0}"] {
            #expect(try await register(home, "alice", code: code).error == "InviteInvalid", "\(code)")
        }
        let now = home.clock.now()
        let short = try await home.accounts.createInvite(
            .init(expiresAt: now.advanced(by: .seconds(60))), by: .operator, owner: nil)
        home.clock.advance(by: .seconds(60))
        #expect(try await register(home, "alice", code: short.code).error == "InviteExpired")
        let bound = try await home.accounts.createInvite(
            .init(boundTo: "Chosen@Mail.test"), by: .operator, owner: nil)
        #expect(try await register(home, "alice", code: bound.code).error == "InviteBound")
        #expect(try await register(home, "alice", code: bound.code, email: "CHOSEN@mail.test").status == 201)
        #expect(try await register(home, "bobby", code: bound.code, email: "x@mail.test").error == "InviteUsed")
        let withoutCode = try await home.post(
            "com.atproto.server.createAccount",
            ["handle": "carol.test", "email": "carol@mail.test", "password": .string(Home.password)])
        #expect(withoutCode.status == 400 && withoutCode.error == "InvalidInviteCode")
        await home.discard()
    }

    @Test func aFailedRegistrationKeepsTheCode() async throws {
        let home = try await Home { $0.invites = .required }
        let invite = try await home.accounts.createInvite(.init(), by: .operator, owner: nil)
        #expect(try await register(home, "ab", code: invite.code).status == 400)
        #expect(try await register(home, "alice", code: invite.code, email: "x").status == 400)
        #expect(try await register(home, "alice", code: invite.code).status == 201)
        await home.discard()
    }

    @Test func codesOfSomebodyPutAwayDoNotWork() async throws {
        let home = try await Home()
        let mod = try await home.account("modesty", maker: .operator(roles: [.moderator]))
        let token = try #require(mod.grant).accessToken
        let made = try await home.post("net.openfederation.invite.create", ["maxUses": 5], token: token)
        #expect(made.status == 201 && made.json["expiresAt"] == .null, "\(made.text)")
        let code = try #require(made.json["code"]?.stringValue)
        #expect(code.utf8.count == 16)
        #expect(try await register(home, "alice", code: code).status == 201)
        try await home.accounts.change(mod.account.did, .takedown, by: .operator)
        #expect(try await register(home, "bobby", code: code).error == "InviteInvalid")
        await home.discard()
    }

    @Test func lists() async throws {
        let home = try await Home()
        let mod = try await home.account("modesty", maker: .operator(roles: [.moderator]))
        let token = try #require(mod.grant).accessToken
        let create = "net.openfederation.invite.create"
        for uses in 1...3 {
            home.clock.advance(by: .seconds(1))
            let answer = try await home.post(
                create, ["maxUses": .integer(Int64(uses)), "note": .string("number \(uses)")], token: token)
            #expect(answer.status == 201)
        }
        for bad in [["maxUses": 0], ["maxUses": 100_001], ["expiresAt": "2001-01-01T00:00:00Z"], ["boundTo": "x"]]
            as [DataValue]
        {
            #expect(try await home.post(create, bad, token: token).status == 400, "\(bad)")
        }
        let page = try await home.get(
            "net.openfederation.invite.list", [("limit", "2"), ("offset", "0")], token: token)
        #expect(page.json["total"] == 3 && page.json["limit"] == 2)
        let invites = try #require(page.json["invites"]?.arrayValue)
        #expect(invites.map { $0["maxUses"]?.integerValue } == [3, 2])
        #expect(invites[0]["createdByHandle"] == "modesty.test" && invites[0]["status"] == "active")
        let active = try await home.get("net.openfederation.invite.list", [("status", "expired")], token: token)
        #expect(active.json["total"] == 0)
        #expect(try await home.audit(.inviteCreate).count == 3)
        await home.discard()
    }

    @Test func theReferencesOwnMethods() async throws {
        let home = try await Home { $0.invites = .required }
        let one = try await home.post(
            "com.atproto.server.createInviteCode", ["useCount": 2], headers: Home.basic)
        #expect(one.status == 200)
        #expect(try await register(home, "alice", code: one.json["code"]?.stringValue).status == 201)
        let did = try await home.accounts.account("alice").did
        let many = try await home.post(
            "com.atproto.server.createInviteCodes",
            ["codeCount": 3, "useCount": 1, "forAccounts": [.string(did.string)]], headers: Home.basic)
        let codes = many.json["codes"]?.arrayValue?.first
        #expect(codes?["account"]?.stringValue == did.string && codes?["codes"]?.arrayValue?.count == 3)
        let tooMany = try await home.post(
            "com.atproto.server.createInviteCodes", ["codeCount": 1000, "useCount": 1], headers: Home.basic)
        #expect(tooMany.status == 400)
        await home.discard()
    }
}
