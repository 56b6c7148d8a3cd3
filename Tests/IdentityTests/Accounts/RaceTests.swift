import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Changes of one account that meet: whichever comes first, what is left makes sense.
struct RaceTests {
    private static let rounds = 12

    /// Runs both at once; what each of them led to, nil for a refusal.
    private func race<First: Sendable, Second: Sendable>(
        _ first: @escaping @Sendable () async throws -> First, _ second: @escaping @Sendable () async throws -> Second
    ) async -> (First?, Second?) {
        async let one = try? await first()
        async let two = try? await second()
        return await (one, two)
    }

    private func sessionCount(_ did: DID, _ home: Home) async throws -> Int {
        try await home.database.read { try SessionStore.families(of: did, in: $0).count }
    }

    private func status(_ did: DID, _ home: Home) async throws -> AccountStatus? {
        try await home.foundation.accounts.standing(of: did)?.status
    }

    private func signIn(_ name: String, _ home: Home) async throws -> SessionGrant {
        try await home.sessions.signIn(.init(identifier: name, password: Home.password), origin: "192.0.2.1")
    }

    @Test func anAccountIsApprovedOnce() async throws {
        let home = try await Home { $0.approval = .required }
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let before = try await home.events().count
            let did = try await home.account("alice\(round)").account.did
            let names = AccountService.ReviewNames(did: did.string, handle: nil, email: nil)
            let (one, two) = await race(
                { try await accounts.review(names, .approve, by: .operator) },
                { try await accounts.review(names, .approve, by: .operator) })
            #expect((one == nil) != (two == nil))
            #expect(try await status(did, home) == .approved)
            #expect(try await home.events().dropFirst(before).map(\.kind) == [.account, .identity, .sync])
            #expect(try await home.identities.embedded.log(of: did).entries.count == 1)
        }
        #expect(try await home.audit(.accountApprove).count == Self.rounds)
        await home.discard()
    }

    @Test func oneVerdictStands() async throws {
        let home = try await Home { $0.approval = .required }
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let did = try await home.account("alice\(round)").account.did
            let names = AccountService.ReviewNames(did: did.string, handle: nil, email: nil)
            let (approved, rejected) = await race(
                { try await accounts.review(names, .approve, by: .operator) },
                { try await accounts.review(names, .reject, by: .operator) })
            #expect((approved == nil) != (rejected == nil))
            #expect(try await status(did, home) == (approved == nil ? .rejected : .approved))
            #expect(try await home.get("/plc/\(did.string)").status == (approved == nil ? 404 : 200))
        }
        await home.discard()
    }

    @Test func nobodyIsSignedInToWhatIsGone() async throws {
        let home = try await Home()
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let did = try await home.account("alice\(round)").account.did
            let (grant, _) = await race(
                { try await signIn("alice\(round)", home) }, { try await accounts.delete(did, by: .operator) })
            #expect(try await sessionCount(did, home) == 0)
            #expect(try await status(did, home) == nil)
            guard let grant else { continue }
            #expect(try await home.get("com.atproto.server.getSession", token: grant.accessToken).status == 403)
            #expect(try await home.post("com.atproto.server.refreshSession", token: grant.refreshToken).status == 400)
        }
        await home.discard()
    }

    @Test func aNewPasswordEndsWhatTheOldOneBegan() async throws {
        let home = try await Home()
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let made = try await home.account("alice\(round)")
            let (did, first) = (made.account.did, try #require(made.grant))
            let (refreshed, _) = await race(
                { try await home.sessions.refresh(first.refreshToken, origin: "") },
                { try await accounts.setPassword("Another-Password-\(round)", of: did, by: .operator) })
            #expect(try await sessionCount(did, home) == 0)
            for grant in [first, refreshed].compactMap({ $0 }) {
                await #expect(throws: SessionError.revokedToken) {
                    try await home.sessions.refresh(grant.refreshToken, origin: "")
                }
                #expect(try await home.get("com.atproto.server.getSession", token: grant.accessToken).status == 400)
            }
            try await accounts.setPassword(Home.password, of: did, by: .operator)
            _ = await race(
                { try await signIn("alice\(round)", home) },
                { try await accounts.setPassword("Another-Password-\(round)", of: did, by: .operator) })
            #expect(try await sessionCount(did, home) == 0, "signed in with a password that is none any more")
        }
        await home.discard()
    }

    @Test func aSuspensionLeavesNobodySignedIn() async throws {
        let home = try await Home()
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let made = try await home.account("alice\(round)")
            let (did, first) = (made.account.did, try #require(made.grant))
            _ = await race(
                { try await signIn("alice\(round)", home) },
                { try await accounts.change(did, .suspend, by: .operator) })
            _ = try? await home.sessions.refresh(first.refreshToken, origin: "")
            #expect(try await sessionCount(did, home) == 0)
        }
        await home.discard()
    }

    @Test func whatStaffAndOwnerDoAtOnceIsBothDone() async throws {
        let home = try await Home()
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let did = try await home.account("alice\(round)").account.did
            let caller = AccountCaller(did: did, status: .approved, roles: [.user], scope: .full, sessionID: "")
            let (left, _) = await race(
                { try await accounts.change(did, .deactivate, by: .init(.account(caller))) },
                { try await accounts.change(did, .takedown, by: .operator) })
            #expect(try await status(did, home) == .takendown)
            let (back, _) = await race(
                { try await accounts.change(did, .activate, by: .init(.account(caller))) },
                { try await accounts.change(did, .restore, by: .operator) })
            let expected: AccountStatus = left != nil && back == nil ? .deactivated : .approved
            #expect(try await status(did, home) == expected)
        }
        await home.discard()
    }

    @Test func approvalAndDeletionDoNotMix() async throws {
        let home = try await Home { $0.approval = .required }
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let did = try await home.account("alice\(round)").account.did
            let (approved, _) = await race(
                { try await accounts.change(did, .approve, by: .operator) },
                { try await accounts.delete(did, by: .operator) })
            #expect(try await status(did, home) == nil)
            let counts = try await home.database.read { scope in
                try ["plc_waiting", "plc_operation"].map {
                    try scope.first("SELECT COUNT(*) FROM \($0) WHERE did = $1", [.text(did.string)])?.integer(0)
                }
            }
            #expect(counts == [0, approved == nil ? 0 : 1])
            #expect(try await home.events().filter { $0.did == did }.map(\.kind) == (approved == nil ? [] : [.account]))
        }
        await home.discard()
    }

    @Test func nothingIsMadeForAnAccountThatIsGone() async throws {
        let home = try await Home()
        let accounts = home.accounts
        for round in 0..<Self.rounds {
            let did = try await home.account("alice\(round)").account.did
            let caller = AccountCaller(did: did, status: .approved, roles: [.user], scope: .full, sessionID: "")
            _ = await race(
                { try await home.sessions.createAppPassword("phone", privilege: .ordinary, of: caller) },
                { try await accounts.delete(did, by: .operator) })
            #expect(try await home.sessions.appPasswords(of: did).isEmpty)
            // The request was let in before the account went.
            await #expect(throws: SessionError.accountNotFound) {
                try await home.sessions.createAppPassword("phone", privilege: .ordinary, of: caller)
            }
            #expect(try await home.sessions.appPasswords(of: did).isEmpty)
        }
        await home.discard()
    }
}
