import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// The states of an account over the wire against a small model: everything that up to five steps lead to, and from
/// each of those every step by everybody.
struct AccountModelTests {
    private enum Who: String, CaseIterable, Sendable {
        case owner, stranger, moderator, administrator, `operator`
    }

    private enum Step: String, CaseIterable, Sendable {
        case deactivate, activate, suspend, unsuspend, takedown, restore, approve, reject, disable, enable, delete
    }

    /// What the server should be like, said as plainly as possible.
    private struct Model: Hashable, Sendable {
        enum Entry: Sendable { case waiting, inside, turnedAway, gone }

        var entry: Entry
        var isAway = false
        var isSuspended = false
        var isTakenDown = false
        var isDisabled = false
        /// Whether the account's owner has the moderator's role.
        let ownerModerates: Bool

        var status: AccountStatus? {
            switch entry {
            case .waiting: .pending
            case .turnedAway: .rejected
            case .gone: nil
            case .inside:
                isTakenDown
                    ? .takendown
                    : isDisabled ? .disabled : isSuspended ? .suspended : isAway ? .deactivated : .approved
            }
        }

        private func isAdministrator(_ who: Who) -> Bool { who == .administrator || who == .operator }

        private func isStaff(_ who: Who) -> Bool {
            isAdministrator(who) || who == .moderator || (who == .owner && ownerModerates && status == .approved)
        }

        /// The model after the step; nil when it is refused.
        func after(_ step: Step, by who: Who) -> Model? {
            var next = self
            switch step {
            case .delete:
                guard isAdministrator(who) else { return nil }
                next = Model(entry: .gone, ownerModerates: ownerModerates)
            case _ where entry == .gone: return nil
            case .deactivate, .activate:
                guard who == .owner, status == .approved || status == .deactivated else { return nil }
                next.isAway = step == .deactivate
            case .approve, .reject:
                guard isStaff(who), entry == .waiting else { return nil }
                next.entry = step == .approve ? .inside : .turnedAway
            case .suspend:
                guard isStaff(who), entry == .inside, !isDisabled else { return nil }
                next.isSuspended = true
            case .unsuspend:
                guard isStaff(who) else { return nil }
                next.isSuspended = false
            case .takedown:
                // What holds already may be said again by whoever may use the method.
                guard isTakenDown ? isStaff(who) : isAdministrator(who), entry == .inside else { return nil }
                next.isTakenDown = true
            case .restore:
                guard isTakenDown ? isAdministrator(who) : isStaff(who) else { return nil }
                next.isTakenDown = false
            case .disable:
                guard isAdministrator(who), entry == .inside else { return nil }
                next.isDisabled = true
            case .enable:
                guard isAdministrator(who) else { return nil }
                next.isDisabled = false
            }
            return next
        }
    }

    /// A server with its staff, and an account that steps are tried on.
    private final class Stage {
        let home: Home
        private let roles: Set<ServerRole>
        private let tokens: [Who: String]
        private let administrator: DID
        private var count = 0
        private(set) var subject: DID

        init(_ home: Home, roles: Set<ServerRole>) async throws {
            self.home = home
            self.roles = roles
            let admin = try await home.account("adele", maker: .operator(roles: [.admin]))
            administrator = admin.account.did
            let moderator = try await home.account("mona", maker: .operator(roles: [.moderator])).grant
            let stranger = try await home.account("steve", maker: .operator(roles: [])).grant
            tokens = [
                .administrator: try #require(admin.grant).accessToken,
                .moderator: try #require(moderator).accessToken, .stranger: try #require(stranger).accessToken,
            ]
            subject = administrator
            try await renew()
        }

        /// Takes another account as the subject.
        func renew() async throws {
            count += 1
            subject = try await home.account("alice\(count)", maker: .operator(roles: roles)).account.did
        }

        /// Puts the subject into a state that was seen before.
        func put(_ state: AccountState) async throws {
            let (subject, standings) = (subject, home.foundation.accounts)
            try await home.database.write { write in
                guard var account = try AccountStore.account(subject, in: write) else { return }
                account.state = state
                try AccountStore.setState(account, in: write)
                standings.forget(account.standing, after: write)
            }
        }

        var state: AccountState? {
            get async throws {
                let subject = subject
                return try await home.database.read { try AccountStore.account(subject, in: $0)?.state }
            }
        }

        /// An access token of a session that lives, whatever the account's state: the most its owner could have kept.
        private func ownersToken() async throws -> String {
            let (subject, sessions, now) = (subject, home.sessions, home.clock.now())
            let family = try await home.database.write {
                try sessions.begin(subject, scope: .full, now: now, in: $0)
            }
            return sessions.tokens.access(family, now: now)
        }

        /// Tries a step; whether the server took it.
        func perform(_ step: Step, by who: Who) async throws -> Bool {
            let token = who == .owner ? try await ownersToken() : tokens[who]
            let headers = who == .operator ? Home.basic : []
            func post(_ method: String, _ input: DataValue?) async throws -> Bool {
                try await home.post(method, input, token: token, headers: headers).status == 200
            }
            func restrict(_ part: String, _ isApplied: Bool) async throws -> Bool {
                try await post(
                    "com.atproto.admin.updateSubjectStatus",
                    [
                        "subject": ["$type": "com.atproto.admin.defs#repoRef", "did": .string(subject.string)],
                        part: ["applied": .boolean(isApplied)],
                    ])
            }
            switch step {
            case .deactivate: return try await post("com.atproto.server.deactivateAccount", [:])
            case .activate: return try await post("com.atproto.server.activateAccount", nil)
            case .suspend: return try await restrict("deactivated", true)
            case .unsuspend: return try await restrict("deactivated", false)
            case .takedown: return try await restrict("takedown", true)
            case .restore: return try await restrict("takedown", false)
            case .approve, .reject:
                return try await post("net.openfederation.account.\(step)", ["userId": .string(subject.string)])
            case .delete: return try await post("com.atproto.admin.deleteAccount", ["did": .string(subject.string)])
            case .disable, .enable:
                let change: AccountChange = step == .disable ? .disable : .enable
                return (try? await home.accounts.change(subject, change, by: .operator)) != nil
            }
        }
    }

    private static func steps(for who: Who) -> [Step] {
        switch who {
        case .owner: Step.allCases.filter { ![.disable, .enable].contains($0) }
        // Deactivating acts on whoever asks for it; disabling has no method in this wing.
        case .stranger, .moderator, .administrator:
            Step.allCases.filter { ![.disable, .enable, .deactivate, .activate].contains($0) }
        case .operator: Step.allCases.filter { ![.deactivate, .activate].contains($0) }
        }
    }

    @Test(arguments: [false, true])
    func everythingThatFiveStepsLeadTo(ownerModerates: Bool) async throws {
        let home = try await Home()
        let stage = try await Stage(home, roles: ownerModerates ? [.moderator] : [])
        var frontier: [Model: AccountState?] = [
            Model(entry: .inside, ownerModerates: ownerModerates): AccountState(),
            Model(entry: .waiting, ownerModerates: ownerModerates): AccountState(.pending),
        ]
        var seen = frontier
        for depth in 1...5 {
            var found: [Model: AccountState?] = [:]
            for (model, state) in frontier {
                for who in Who.allCases {
                    for step in Self.steps(for: who) {
                        guard let state else {
                            if try await stage.state != nil { _ = try await stage.perform(.delete, by: .operator) }
                            #expect(try await stage.perform(step, by: who) == (model.after(step, by: who) != nil))
                            continue
                        }
                        if try await stage.state == nil { try await stage.renew() }
                        try await stage.put(state)
                        let expected = model.after(step, by: who)
                        let line = "step \(depth): \(step) by \(who) on \(state.stored)"
                        #expect(try await stage.perform(step, by: who) == (expected != nil), "\(line)")
                        let after = try await stage.state
                        #expect(after?.status == (expected ?? model).status, "\(line)")
                        #expect(try await home.foundation.accounts.standing(of: stage.subject)?.status == after?.status)
                        let reached = expected ?? model
                        if let known = seen[reached] {
                            #expect(known == after, "\(line): two ways to one state")
                        } else {
                            seen[reached] = .some(after)
                            found[reached] = .some(after)
                        }
                    }
                }
            }
            frontier = found
        }
        // 16 states of an account that was let in, and those that wait, were turned away or are gone.
        #expect(seen.count == 19)
        await home.discard()
    }

    /// Whole sequences, so that nothing beside the state is forgotten on the way.
    @Test func sequences() async throws {
        let home = try await Home()
        let stage = try await Stage(home, roles: [])
        let seed = SystemRandomness().uint64()
        let random = SeededRandomness(seed: seed)
        for _ in 0..<30 {
            try await stage.renew()
            var model = Model(entry: .inside, ownerModerates: false)
            var line = "seed \(seed):"
            for _ in 0..<5 {
                let who = Who.allCases[Int(random.uint64() % 5)]
                let steps = Self.steps(for: who)
                let step = steps[Int(random.uint64() % UInt64(steps.count))]
                line += " \(step) by \(who)"
                let expected = model.after(step, by: who)
                #expect(try await stage.perform(step, by: who) == (expected != nil), "\(line)")
                model = expected ?? model
                #expect(try await stage.state?.status == model.status, "\(line)")
            }
        }
        await home.discard()
    }
}
