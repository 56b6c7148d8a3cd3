import ATProtocol
import Base
import Contracts
import Logging
import Storage
import Testing

@testable import Identity

/// Accounts whose identities are registered with somebody else's directory: nothing is ever half made.
struct ExternalDirectoryTests {
    private func home(
        existing: Home? = nil, failing: TestRepositories.Failure? = nil,
        invites: IdentityConfiguration.Requirement = .waived
    ) async throws -> Home {
        try await Home(existing: existing, failing: failing) {
            $0.plcDirectory = ServiceOrigin(World.directory)
            $0.invites = invites
        }
    }

    private func counts(_ home: Home) async throws -> [Int64?] {
        try await home.database.read { scope in
            try ["account", "account_intent", "plc_operation"].map { table in
                try scope.first("SELECT COUNT(*) FROM \(table)")?.integer(0)
            }
        }
    }

    @Test func theOrdinaryWay() async throws {
        let home = try await home()
        let made = try await home.account("alice")
        #expect(made.grant != nil)
        #expect(home.world.operations(of: made.account.did).count == 1)
        #expect(try await counts(home) == [1, 0, 0])
        #expect(try await home.events().map(\.kind) == [.identity, .account, .commit, .sync])
        #expect(try await home.identities.document(of: made.account.did).handle?.string == "alice.test")
        let caller = AccountCaller(
            did: made.account.did, status: .approved, roles: [.user], scope: .full, sessionID: "")
        try await home.accounts.updateHandle(try Handle(parsing: "alicia.test"), of: caller)
        #expect(home.world.operations(of: made.account.did).count == 2)
        #expect(try await home.identities.document(of: made.account.did).handle?.string == "alicia.test")
        // Repeating it makes no operation.
        try await home.accounts.updateHandle(try Handle(parsing: "alicia.test"), of: caller)
        #expect(home.world.operations(of: made.account.did).count == 2)
        try await home.accounts.deactivate(caller, deleteAfter: nil)
        try await home.accounts.activate(caller)
        await home.discard()
    }

    @Test func aRefusalLeavesNothing() async throws {
        let home = try await home(invites: .required)
        let invite = try await home.accounts.createInvite(.init(), by: .operator, owner: nil)
        home.world.directory(is: .refusing)
        var new = AccountService.NewAccount(handle: "alice", email: "alice@mail.test", password: Home.password)
        new.inviteCode = invite.code
        await #expect(throws: AccountError.identityNotRegistered) { try await home.accounts.register(new) }
        #expect(try await counts(home) == [0, 0, 0])
        home.world.directory(is: .willing)
        _ = try await home.accounts.register(new)
        #expect(try await counts(home) == [1, 0, 0])
        await home.discard()
    }

    @Test func aLostAnswerIsSettledLater() async throws {
        let home = try await home()
        home.world.directory(is: .silent)
        // The directory took it, as asking it tells at once.
        let made = try await home.account("alice")
        #expect(made.account.status == .approved)
        await home.discard()
    }

    @Test func aDeadDirectoryIsAskedAgain() async throws {
        let home = try await home(invites: .required)
        let invite = try await home.accounts.createInvite(.init(), by: .operator, owner: nil)
        home.world.directory(is: .dead)
        var new = AccountService.NewAccount(handle: "alice", email: "alice@mail.test", password: Home.password)
        new.inviteCode = invite.code
        let application = new
        await #expect(throws: AccountError.identityNotRegistered) { try await home.accounts.register(application) }
        #expect(try await counts(home) == [0, 1, 0])
        await #expect(throws: AccountError.handleTaken) { try await home.accounts.register(application) }
        home.clock.advance(by: .seconds(300))
        #expect(try await home.accounts.settleIntents() == 1, "still dead")
        home.world.directory(is: .willing)
        #expect(try await home.accounts.settleIntents() == 0)
        #expect(try await counts(home) == [0, 0, 0], "it was never registered: nothing stays")
        _ = try await home.accounts.register(application)
        await home.discard()
    }

    @Test func aCrashAfterTheRegistrationIsMadeGood() async throws {
        let broken = try await home(failing: .onCreate)
        await #expect(throws: TestRepositories.Failure.self) { try await broken.account("alice") }
        #expect(try await counts(broken) == [0, 1, 0])
        await broken.close()
        let home = try await home(existing: broken)
        home.clock.advance(by: .seconds(300))
        try await IdentityUpkeep(home.module, logger: Logger(label: "test")).round()
        #expect(try await counts(home) == [1, 0, 0])
        let grant = try await home.sessions.signIn(.init(identifier: "alice", password: Home.password), origin: "")
        #expect(home.world.operations(of: grant.standing.did).count == 1)
        let signer = try await home.foundation.keys.signer(for: grant.standing.did)
        #expect(try await home.identities.document(of: grant.standing.did).signingKey == signer.publicKey)
        #expect(try await home.events().map(\.kind) == [.identity, .account, .commit, .sync])
        await home.discard()
    }
}
