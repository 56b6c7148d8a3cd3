package import ATProtocol
package import Base
package import Contracts
import Storage

/// Changes of an account's state.
extension AccountService {
    /// Who asks for a change of state, and with which powers.
    package struct Authority: Sendable, Hashable {
        var actor: AuditEntry.Actor
        var roles: Set<ServerRole>
        var did: DID?

        /// The maker of a request.
        package init(_ caller: Caller) {
            actor = AuditEntry.Actor(caller)
            did = caller.did
            roles = Set(ServerRole.allCases.filter { caller.hasRole($0) })
        }

        /// The operator at the command line.
        package static let `operator` = Authority(.operator)

        var isAdministrator: Bool { roles.contains(.admin) }
        var isStaff: Bool { isAdministrator || roles.contains(.moderator) }
    }

    /// Changes an account's state (`AccountState`), ends its sessions where the new one calls for it, and tells the
    /// network. An administrator's account cannot be suspended, taken down, disabled or rejected. What holds already is
    /// no change and no error.
    ///
    /// - Parameter deleteAfter: with `.deactivate`: when the account is to be deleted.
    /// - Throws: `AccountError.notFound`, `.wrongState`, `.notAllowed`, `.administratorProtected`; storage errors.
    @discardableResult
    package func change(
        _ did: DID, _ change: AccountChange, by authority: Authority, deleteAfter: Timestamp? = nil
    ) async throws -> AccountDetails {
        try await apply([change], to: did, by: authority, deleteAfter: deleteAfter)
    }

    /// Lets a waiting account in, or turns it away.
    ///
    /// - Parameter names: what the request says of it; at least one must be given, and all given must agree.
    /// - Throws: `AccountError.notFound` when no such account waits; storage errors.
    package func review(_ names: ReviewNames, _ verdict: Verdict, by authority: Authority) async throws
        -> AccountDetails
    {
        let now = clock.now()
        let domains = configuration.handleDomains
        return try await database.write { [self] write in
            guard let account = try names.account(domains, in: write), account.status == .pending else {
                throw AccountError.notFound
            }
            let change: AccountChange = verdict == .approve ? .approve : .reject
            return try apply([change], to: account, by: authority, deleteAfter: nil, now: now, in: write)
        }
    }

    /// What a moderator makes of a waiting account.
    package enum Verdict: Sendable, Hashable {
        case approve
        case reject
    }

    /// How a request may name an account.
    package struct ReviewNames: Sendable, Hashable {
        package var did: String?
        package var handle: String?
        package var email: String?

        package init(did: String?, handle: String?, email: String?) {
            self.did = did
            self.handle = handle
            self.email = email
        }

        /// The account that the first of the names means, if the others mean it, too.
        fileprivate func account(_ domains: HandleDomains, in scope: any ReadScope) throws -> AccountRow? {
            let texts = [did, handle, email].compactMap { $0 }
            guard !texts.isEmpty else { throw AccountError.invalidInput("userId, handle or email is needed") }
            var found: AccountRow?
            for text in texts {
                guard let account = try SignInName(text, domains: domains).account(in: scope) else { return nil }
                guard found == nil || found == account else { return nil }
                found = account
            }
            return found
        }
    }

    // MARK: The staff's own

    /// What staff ask for, as `com.atproto.admin.updateSubjectStatus` says it. Nil leaves a part as it is.
    package struct Restriction: Sendable, Hashable {
        /// Put on or taken off.
        package enum Change: Sendable, Hashable {
            case applied
            case lifted
        }

        package var takedown: Change?
        /// The protocol calls it deactivated; since the account's owner cannot lift it, it is a suspension.
        package var suspension: Change?
        /// Why, for the staff to read again; at most `reasonLengthMax` bytes.
        package var takedownReason: String?
        package var suspensionReason: String?

        package init() {}

        fileprivate var reasons: [AccountState.Measure: String] {
            var reasons: [AccountState.Measure: String] = [:]
            reasons[.takedown] = takedown == .applied ? takedownReason : nil
            reasons[.suspension] = suspension == .applied ? suspensionReason : nil
            return reasons
        }
    }

    /// Longest reason, in bytes.
    package static let reasonLengthMax = 2000

    /// Why the staff hold something against an account, as far as they said.
    package func reasons(of did: DID) async throws -> [AccountState.Measure: String] {
        try await database.read { try ReasonStore.reasons(of: did, in: $0) }
    }

    /// Puts restrictions on an account or lifts them, each by itself; what its owner decided stays as it is.
    ///
    /// A takedown is told to the network again when it holds already: whoever asks for it twice has reason to think that
    /// somebody missed it.
    /// - Throws: `AccountError.invalidInput` for taking down and lifting a suspension at once; as `change`.
    package func restrict(
        _ did: DID, _ restriction: Restriction, by authority: Authority
    ) async throws -> AccountDetails {
        guard restriction.takedown != .applied || restriction.suspension != .lifted else {
            throw AccountError.invalidInput("an account can't be taken down and activated at once")
        }
        let reasons = restriction.reasons
        guard reasons.values.allSatisfy({ $0.utf8.count <= Self.reasonLengthMax && !$0.contains("\0") }) else {
            throw AccountError.invalidInput("ref: at most \(Self.reasonLengthMax) bytes without NUL are allowed")
        }
        let suspension = restriction.suspension.map { $0 == .applied ? AccountChange.suspend : .unsuspend }
        return switch restriction.takedown {
        case .applied?:
            try await apply(
                [.takedown, suspension].compactMap { $0 }, to: did, by: authority, reasons: reasons, telling: .always)
        case .lifted?:
            try await apply([suspension, .restore].compactMap { $0 }, to: did, by: authority, reasons: reasons)
        case nil: try await apply([suspension].compactMap { $0 }, to: did, by: authority, reasons: reasons)
        }
    }

    // MARK: The owner's own

    /// How long a deactivated account stays at least: deleting at once takes more proof than a session.
    static let deletionDelayMin = Duration.seconds(3 * 86_400)

    /// Hides one's account.
    ///
    /// - Parameter deleteAfter: when it is to be deleted unless it comes back; moved to three days from now at least.
    package func deactivate(_ caller: AccountCaller, deleteAfter: Timestamp?) async throws {
        let earliest = clock.now().advanced(by: Self.deletionDelayMin)
        try await change(
            caller.did, .deactivate, by: Authority(.account(caller)), deleteAfter: deleteAfter.map { max($0, earliest) }
        )
    }

    /// Makes one's deactivated account active again, once its identity names this server.
    ///
    /// - Throws: `AccountError.incompatibleDocument`; as `change`.
    package func activate(_ caller: AccountCaller) async throws {
        try await directory.checkPointsHere(caller.did)
        try await change(caller.did, .activate, by: Authority(.account(caller)))
    }

    // MARK: The rules

    /// When the network is told of an account's state.
    private enum Telling: Sendable, Hashable {
        case whenChanged
        case always
    }

    private func apply(
        _ changes: [AccountChange], to did: DID, by authority: Authority, deleteAfter: Timestamp? = nil,
        reasons: [AccountState.Measure: String] = [:], telling: Telling = .whenChanged
    ) async throws -> AccountDetails {
        let now = clock.now()
        return try await database.write { [self] write in
            // What befalls communities is the business of their room, which keeps its own tables in step.
            guard let account = try AccountStore.account(did, in: write), account.kind == .person else {
                throw AccountError.notFound
            }
            let after = try apply(
                changes, to: account, by: authority, deleteAfter: deleteAfter, reasons: reasons, now: now, in: write)
            if telling == .always, account.isAnnounced, after.status.hosting == account.status.hosting {
                _ = try log.append(AccountEvents.account(did, hosting: after.status.hosting, now: now), in: write)
            }
            return after
        }
    }

    /// Several changes at once: the network and the sessions see only where they lead.
    private func apply(
        _ changes: [AccountChange], to before: AccountRow, by authority: Authority, deleteAfter: Timestamp?,
        reasons: [AccountState.Measure: String] = [:], now: Timestamp, in write: any WriteScope
    ) throws -> AccountDetails {
        var after = before
        for change in changes {
            let from = after.state
            after.state = try Self.changed(after, by: change, authority)
            guard after.state != from else { continue }
            if change == .deactivate { after.deleteAfter = deleteAfter }
            var meta: DataMap = ["from": .string(from.status.rawValue), "to": .string(after.status.rawValue)]
            if let measure = change.measure {
                try ReasonStore.remove(measure, of: before.did, in: write)
                if change.puts, let reason = reasons[measure] {
                    try ReasonStore.set(reason, for: measure, of: before.did, in: write)
                    meta["reason"] = .string(reason)
                }
            }
            try AuditStore.append(
                AuditEntry(
                    Self.action(change, from: from.admission), by: authority.actor, target: before.did.string,
                    meta: meta, time: now),
                in: write)
        }
        guard after.state != before.state else { return AccountDetails(before) }
        if after.status != before.status { after.statusAt = now }
        after.deleteAfter = Self.deleteAfter(after, before, now: now)
        if after.state.admission == .admitted { after.approvedAt = before.approvedAt ?? now }
        if after.status == .approved { after.isAnnounced = true }
        try AccountStore.setState(after, in: write)
        if before.state.admission != .admitted, after.state.admission == .admitted {
            try directory.publish(before.did, in: write)
        }
        try tell(before, after, now: now, in: write)
        if after.status != before.status, Self.endsSessions(after.status) {
            try sessions.endAll(of: before.did, in: write)
        }
        standings.forget(before.standing, after: write)
        return AccountDetails(after)
    }

    /// Who could not come back while the staff held something against the account has some days for it afterwards.
    private static func deleteAfter(_ after: AccountRow, _ before: AccountRow, now: Timestamp) -> Timestamp? {
        guard after.state.presence == .away else { return nil }
        guard after.status == .deactivated, !before.state.measures.isEmpty else { return after.deleteAfter }
        return after.deleteAfter.map { max($0, now.advanced(by: deletionDelayMin)) }
    }

    /// The events of a change: `#account`, and for an account that is active again also `#identity` and `#sync`, so
    /// that those who turned away from it find their way back.
    func tell(_ before: AccountRow, _ after: AccountRow, now: Timestamp, in write: any WriteScope) throws {
        let (did, hosting) = (after.did, after.status.hosting)
        guard after.isAnnounced, hosting != before.status.hosting || !before.isAnnounced else { return }
        // What becomes of a private community is told to nobody: the network knows that it went away, if it was ever there.
        guard after.state.presence != .confined || before.state.presence != .confined else { return }
        _ = try log.append(AccountEvents.account(did, hosting: hosting, now: now), in: write)
        guard hosting.isActive else { return }
        _ = try log.append(AccountEvents.identity(did, handle: after.handle, now: now), in: write)
        try repositories.announceHead(of: did, in: write)
    }

    private static func changed(
        _ account: AccountRow, by change: AccountChange, _ authority: Authority
    ) throws(AccountError) -> AccountState {
        guard let after = account.state.changed(by: change) else {
            throw .wrongState(account.status, change)
        }
        guard after != account.state else { return after }
        let isAllowed =
            switch account.state.power(for: change) {
            case .staff: authority.isStaff
            case .administrator: authority.isAdministrator
            case .ownerOrAdministrator: authority.did == account.did || authority.isAdministrator
            }
        guard isAllowed else { throw .notAllowed }
        let restricts = [.suspend, .takedown, .disable, .reject].contains(change)
        guard !restricts || !account.roles.contains(.admin) else { throw .administratorProtected }
        return after
    }

    private static func endsSessions(_ status: AccountStatus) -> Bool {
        switch status {
        case .suspended, .takendown, .disabled, .rejected: true
        // Leaving takes a session, and so does coming back.
        case .deactivated, .approved, .pending, .confined: false
        }
    }

    private static func action(
        _ change: AccountChange, from admission: AccountState.Admission
    ) -> AuditEntry.Action {
        switch change {
        case .approve: admission == .rejected ? .accountRestore : .accountApprove
        case .reject: .accountReject
        case .suspend: .accountSuspend
        case .unsuspend: .accountUnsuspend
        case .takedown: .accountTakedown
        case .restore, .enable: .accountRestore
        case .disable: .accountDisable
        case .deactivate: .accountDeactivate
        case .activate: .accountActivate
        }
    }
}
