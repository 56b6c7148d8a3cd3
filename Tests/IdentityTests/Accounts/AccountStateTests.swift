import ATProtocol
import Base
import Contracts
import Logging
import Storage
import Testing

@testable import Identity

/// The states of an account: who may change them, what ends, and what the network is told.
struct AccountStateTests {
    /// Puts the account into a state past all rules.
    private func force(_ status: AccountStatus, on did: DID, _ home: Home) async throws {
        let (name, standings) = (status.rawValue, home.foundation.accounts)
        try await home.database.write { write in
            guard let account = try AccountStore.account(did, in: write) else { return }
            try write.execute(
                "UPDATE account SET status = $2, state = $2 WHERE did = $1", [.text(did.string), .text(name)])
            standings.forget(account.standing, after: write)
        }
    }

    /// Memory is told only once a change is on disk; whoever stands behind it in line must see it before.
    @Test func aTransactionSeesTheStatusAsItWillBe() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let standings = home.foundation.accounts
        let seen = try await home.database.write { write in
            guard var account = try AccountStore.account(did, in: write) else { return AccountStatus?.none }
            account.state.measures.insert(.takedown)
            try AccountStore.setState(account, in: write)
            return try standings.standing(of: did, in: write)?.status
        }
        #expect(seen == .takendown)
        let other = try DID(parsing: "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb")
        #expect(try await home.database.read { try standings.standing(of: other, in: $0) } == nil)
        await home.discard()
    }

    @Test func administratorsCannotBePutAway() async throws {
        let home = try await Home()
        let admin = try await home.account("adele", maker: .operator(roles: [.admin])).account.did
        for status in [AccountStatus.suspended, .takendown, .disabled] {
            await #expect(throws: AccountError.administratorProtected) {
                try await home.put(admin, into: status)
            }
        }
        await #expect(throws: AccountError.administratorProtected) {
            try await home.accounts.delete(admin, by: .operator)
        }
        await #expect(throws: AccountError.administratorProtected) {
            try await home.accounts.setRoles([.user], of: admin, by: .operator)
        }
        try await home.account("other", maker: .operator(roles: [.admin]))
        try await home.accounts.setRoles([.user], of: admin, by: .operator)
        try await home.accounts.change(admin, .suspend, by: .operator)
        await home.discard()
    }

    @Test func theNetworkHearsOfWhatItCanSee() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        var seen = try await home.events().count
        let active: [LogEventKind] = [.account, .identity, .sync]
        let changes: [(AccountChange, AccountStatus, [LogEventKind])] = [
            (.deactivate, .deactivated, [.account]), (.suspend, .suspended, [.account]),
            (.takedown, .takendown, [.account]), (.unsuspend, .takendown, []), (.restore, .deactivated, [.account]),
            // Disabled and deactivated look the same from outside: nothing new to tell.
            (.disable, .disabled, []), (.enable, .deactivated, []), (.activate, .approved, active),
            (.disable, .disabled, [.account]), (.enable, .approved, active), (.suspend, .suspended, [.account]),
            (.suspend, .suspended, []), (.unsuspend, .approved, active),
        ]
        for (change, status, expected) in changes {
            #expect(try await home.accounts.change(did, change, by: .operator).status == status)
            let events = try await home.events()
            #expect(events.dropFirst(seen).map(\.kind) == expected, "\(change)")
            if let event = events.dropFirst(seen).first {
                let frame = try FirehoseFrame(bytes: event.frame)
                guard case .event(_, .account(let account)) = frame else {
                    Issue.record("\(frame)")
                    continue
                }
                #expect(account.isActive == (status == .approved))
                #expect(account.status?.name == status.hosting.wireName)
            }
            seen = events.count
        }
        await home.discard()
    }

    @Test func aTakedownSaidAgainIsToldAgain() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let seen = try await home.events().count
        var takedown = AccountService.Restriction()
        takedown.takedown = .applied
        for _ in 0..<3 { _ = try await home.accounts.restrict(did, takedown, by: .operator) }
        let told = try await home.events().dropFirst(seen)
        #expect(told.map(\.kind) == [.account, .account, .account])
        for event in told {
            guard case .event(_, .account(let account)) = try FirehoseFrame(bytes: event.frame) else {
                Issue.record("no #account")
                continue
            }
            #expect(!account.isActive && account.status == .takendown)
        }
        #expect(try await home.audit(.accountTakedown).count == 1)
        await home.discard()
    }

    @Test func theStatusNamesItsReason() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        for status in [AccountStatus.approved, .suspended, .deactivated, .disabled, .takendown] {
            try await home.put(did, into: status)
            let told = try await home.get(
                "com.atproto.admin.getSubjectStatus", [("did", did.string)], headers: Home.basic)
            let isHidden = status != .approved && status != .takendown
            #expect(told.json["takedown"]?["applied"]?.booleanValue == (status == .takendown))
            #expect(told.json["deactivated"]?["applied"]?.booleanValue == isHidden)
            #expect(told.json["deactivated"]?["ref"]?.stringValue == (isHidden ? status.rawValue : nil))
        }
        await home.discard()
    }

    @Test func sessionsEndWhereTheStateCallsForIt() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        for (status, ends) in [
            (AccountStatus.deactivated, false), (.suspended, true), (.takendown, true), (.disabled, true),
        ] {
            try await force(.approved, on: did, home)
            let grant = try await home.sessions.signIn(.init(identifier: "alice", password: Home.password), origin: "")
            try await home.put(did, into: status)
            try await force(.approved, on: did, home)
            let answer = try await home.get("com.atproto.server.getSession", token: grant.accessToken)
            #expect(answer.status == (ends ? 400 : 200), "\(status): \(answer.text)")
        }
        await home.discard()
    }

    @Test func whatIsLiftedLeadsBack() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let caller = AccountCaller(did: did, status: .approved, roles: [.user], scope: .full, sessionID: "")
        try await home.accounts.deactivate(caller, deleteAfter: home.clock.now().advanced(by: .seconds(3600)))
        let update = "com.atproto.admin.updateSubjectStatus"
        // OpenFederation's documents leave out `$type`.
        let subject: DataValue = ["did": .string(did.string)]
        for (part, isApplied, takedown, deactivated) in [
            ("deactivated", true, false, true), ("takedown", true, true, true), ("takedown", false, false, true),
            ("deactivated", false, false, true), ("deactivated", false, false, true),
        ] {
            let answer = try await home.post(
                update, ["subject": subject, part: ["applied": .boolean(isApplied)]], headers: Home.basic)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.json["takedown"]?["applied"]?.booleanValue == takedown)
            #expect(answer.json["deactivated"]?["applied"]?.booleanValue == deactivated)
        }
        // The owner could not come back meanwhile, and has three days for it now.
        let account = try await home.accounts.account(did.string)
        #expect(account.status == .deactivated)
        #expect(account.deleteAfter == home.clock.now().advanced(by: AccountService.deletionDelayMin))
        try await home.accounts.activate(caller)
        #expect(try await home.accounts.account(did.string).status == .approved)
        await home.discard()
    }

    @Test func whoWaitsIsLetInOrTurnedAwayAndNothingElse() async throws {
        let home = try await Home { $0.approval = .required }
        let did = try await home.account("alice").account.did
        for change in [AccountChange.suspend, .takedown, .disable, .deactivate, .activate] {
            await #expect(throws: AccountError.wrongState(.pending, change)) {
                try await home.accounts.change(did, change, by: .operator)
            }
        }
        for change in [AccountChange.unsuspend, .restore, .enable] {
            #expect(try await home.accounts.change(did, change, by: .operator).status == .pending)
        }
        try await home.accounts.change(did, .reject, by: .operator)
        let moderator = AccountService.Authority(
            .account(AccountCaller(did: did, status: .approved, roles: [.moderator], scope: .full, sessionID: "")))
        await #expect(throws: AccountError.notAllowed) {
            try await home.accounts.change(did, .approve, by: moderator)
        }
        #expect(try await home.accounts.change(did, .approve, by: .operator).status == .approved)
        await home.discard()
    }

    @Test func leavingAndComingBack() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let token = try #require(made.grant).accessToken
        let deactivate = "com.atproto.server.deactivateAccount"
        #expect(try await home.post(deactivate, [:], token: token).status == 200)
        #expect(try await home.post(deactivate, [:], token: token).status == 200)
        #expect(try await home.get("com.atproto.server.getSession", token: token).json["status"] == "deactivated")
        #expect(try await home.get("com.atproto.identity.resolveHandle", [("handle", "alice.test")]).status == 400)
        let known = try await home.get("/.well-known/atproto-did", headers: [("host", "alice.test")])
        #expect(known.status == 404)
        #expect(try await home.post("com.atproto.server.activateAccount", token: token).status == 200)
        #expect(try await home.get("com.atproto.identity.resolveHandle", [("handle", "alice.test")]).status == 200)
        #expect(try await home.audit(.accountDeactivate).count == 1)
        #expect(try await home.audit(.accountActivate).map(\.actor) == [.account(made.account.did)])
        await home.discard()
    }

    @Test func deletionLeavesNothingButTheTombstoneOfTheLog() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let did = made.account.did
        try await home.accounts.delete(did, by: .operator)
        try await home.accounts.delete(did, by: .operator)
        let events = try await home.events()
        #expect(events.map(\.kind) == [.account])
        let frame = try FirehoseFrame(bytes: try #require(events.last).frame)
        guard case .event(_, .account(let account)) = frame else { throw TestRepositories.Failure.onCreate }
        #expect(!account.isActive && account.status == .deleted)
        #expect(try await home.repositories.head(of: did) == nil)
        await #expect(throws: SigningKeyError.notInCustody) { try await home.foundation.keys.signer(for: did) }
        let tables = ["account", "session", "app_password", "directory_key"]
        let counts = try await home.database.read { scope in
            try tables.map { try scope.first("SELECT COUNT(*) FROM \($0)")?.integer(0) }
        }
        #expect(counts == [0, 0, 0, 2], "only the server's own keys are left")
        try await home.account("alice")
        await home.discard()
    }

    @Test func nobodyIsShownAnOldState() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let accounts = home.foundation.accounts
        for turn in 0..<150 {
            let status: AccountStatus = turn % 2 == 0 ? .suspended : .approved
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask { for _ in 0..<5 { _ = try await accounts.standing(of: did) } }
                }
                try await home.put(did, into: status)
                let seen = try await accounts.standing(of: did)?.status
                #expect(seen == status, "turn \(turn)")
                try await group.waitForAll()
            }
            #expect(try await accounts.standing(of: did)?.status == status, "turn \(turn), after all")
        }
        await home.discard()
    }

    @Test func expiredAccountsAreDeletedByTheUpkeep() async throws {
        let home = try await Home()
        let made = try await home.account("alice")
        let admin = try await home.account("adele", maker: .operator(roles: [.admin])).account
        let inAnHour = home.clock.now().advanced(by: .seconds(3600))
        for account in [made.account, admin] {
            let caller = AccountCaller(
                did: account.did, status: .approved, roles: account.roles, scope: .full, sessionID: "")
            try await home.accounts.deactivate(caller, deleteAfter: inAnHour)
        }
        let upkeep = IdentityUpkeep(home.module, logger: .init(label: "test"))
        try await upkeep.round()
        #expect(try await home.accounts.list(AccountFilter(), limit: 10, offset: 0).total == 2)
        home.clock.advance(by: .seconds(3601))
        try await upkeep.round()
        #expect(try await home.accounts.list(AccountFilter(), limit: 10, offset: 0).total == 2, "not so fast")
        home.clock.advance(by: AccountService.deletionDelayMin)
        try await upkeep.round()
        try await upkeep.round()
        #expect(try await home.accounts.list(AccountFilter(), limit: 10, offset: 0).items.map(\.did) == [admin.did])
        await home.discard()
    }
}
