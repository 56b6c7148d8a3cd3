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

    /// Puts an account into another state, ends its sessions where the state calls for it, and tells the network.
    ///
    /// ```
    /// pending → approved, rejected           staff
    /// approved ⇄ deactivated                 its owner, administrators
    /// any but takendown → suspended          staff; suspended → approved: staff
    /// any → takendown; takendown → approved, suspended  administrators
    /// any → disabled; disabled, rejected → approved  administrators
    /// ```
    /// An administrator's account cannot be suspended, taken down, disabled or rejected. A state an account is in
    /// already is no change and no error.
    /// - Parameter deleteAfter: with `.deactivated`: when the account is to be deleted.
    /// - Throws: `AccountError.notFound`, `.wrongState`, `.notAllowed`, `.administratorProtected`; storage errors.
    @discardableResult
    package func setStatus(
        _ did: DID, to status: AccountStatus, by authority: Authority, deleteAfter: Timestamp? = nil
    ) async throws -> AccountDetails {
        let now = clock.now()
        return try await database.write { [self] write in
            guard let account = try AccountStore.account(did, in: write) else { throw AccountError.notFound }
            return try change(account, to: status, by: authority, deleteAfter: deleteAfter, now: now, in: write)
        }
    }

    /// Lets a waiting account in, or turns it away.
    ///
    /// - Parameter names: what the request says of it; at least one must be given, and all given must agree.
    /// - Throws: `AccountError.notFound` when no such account waits; storage errors.
    package func review(_ names: ReviewNames, to status: AccountStatus, by authority: Authority) async throws
        -> AccountDetails
    {
        let now = clock.now()
        let domains = configuration.handleDomains
        return try await database.write { [self] write in
            guard let account = try names.account(domains, in: write), account.status == .pending else {
                throw AccountError.notFound
            }
            return try change(account, to: status, by: authority, deleteAfter: nil, now: now, in: write)
        }
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

        package init() {}
    }

    /// Puts restrictions on an account or lifts them; a takedown counts for more than a suspension.
    ///
    /// - Throws: as `setStatus`.
    package func restrict(
        _ did: DID, _ restriction: Restriction, by authority: Authority
    ) async throws -> AccountDetails {
        let now = clock.now()
        return try await database.write { [self] write in
            guard let account = try AccountStore.account(did, in: write) else { throw AccountError.notFound }
            let status: AccountStatus =
                switch (account.status, restriction.takedown, restriction.suspension) {
                case (_, .applied?, _): .takendown
                case (.takendown, .lifted?, let suspension): suspension == .applied ? .suspended : .approved
                case (.takendown, nil, _): .takendown
                case (_, _, .applied?): .suspended
                case (.suspended, _, .lifted?), (.deactivated, _, .lifted?): .approved
                case (let present, _, _): present
                }
            return try change(account, to: status, by: authority, deleteAfter: nil, now: now, in: write)
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
        try await setStatus(
            caller.did, to: .deactivated, by: Authority(.account(caller)),
            deleteAfter: deleteAfter.map { max($0, earliest) })
    }

    /// Makes one's deactivated account active again, once its identity names this server.
    ///
    /// - Throws: `AccountError.incompatibleDocument`; as `setStatus`.
    package func activate(_ caller: AccountCaller) async throws {
        try await directory.checkPointsHere(caller.did)
        try await setStatus(caller.did, to: .approved, by: Authority(.account(caller)))
    }

    // MARK: The rules

    private func change(
        _ before: AccountRow, to status: AccountStatus, by authority: Authority, deleteAfter: Timestamp?,
        now: Timestamp, in write: any WriteScope
    ) throws -> AccountDetails {
        guard before.status != status else { return AccountDetails(before) }
        try Self.check(before, to: status, by: authority)
        var after = before
        after.status = status
        after.statusAt = now
        after.deleteAfter = status == .deactivated ? deleteAfter : nil
        if status == .approved {
            after.approvedAt = before.approvedAt ?? now
            after.isAnnounced = true
        }
        try AccountStore.setStatus(after, in: write)
        try tell(before, after, now: now, in: write)
        if Self.endsSessions(status) { try sessions.endAll(of: before.did, in: write) }
        standings.forget(before.standing, after: write)
        try AuditStore.append(
            AuditEntry(
                Self.action(from: before.status, to: status), by: authority.actor, target: before.did.string,
                meta: ["from": .string(before.status.rawValue)], time: now), in: write)
        return AccountDetails(after)
    }

    /// The events of a change: `#account`, and for an account that is active again also `#identity` and `#sync`, so
    /// that those who turned away from it find their way back.
    private func tell(_ before: AccountRow, _ after: AccountRow, now: Timestamp, in write: any WriteScope) throws {
        let (did, hosting) = (after.did, after.status.hosting)
        guard after.isAnnounced, hosting != before.status.hosting || !before.isAnnounced else { return }
        _ = try log.append(AccountEvents.account(did, hosting: hosting, now: now), in: write)
        guard hosting.isActive else { return }
        _ = try log.append(AccountEvents.identity(did, handle: after.handle, now: now), in: write)
        try repositories.announceHead(of: did, in: write)
    }

    /// What it takes to bring about a change.
    private enum Power: Sendable {
        case staff
        case administrator
        case ownerOrAdministrator
    }

    /// Nil when nobody can bring it about.
    private static func power(from: AccountStatus, to: AccountStatus) -> Power? {
        switch (from, to) {
        case (.takendown, .approved), (.takendown, .suspended), (.disabled, .approved), (.rejected, .approved):
            .administrator
        case (.takendown, _): nil
        case (_, .takendown), (_, .disabled): .administrator
        case (.pending, .approved), (.pending, .rejected), (.suspended, .approved), (_, .suspended): .staff
        case (.approved, .deactivated), (.deactivated, .approved): .ownerOrAdministrator
        default: nil
        }
    }

    private static func check(
        _ account: AccountRow, to status: AccountStatus, by authority: Authority
    ) throws(AccountError) {
        guard let power = power(from: account.status, to: status) else {
            throw .wrongState(from: account.status, to: status)
        }
        let isAllowed =
            switch power {
            case .staff: authority.isStaff
            case .administrator: authority.isAdministrator
            case .ownerOrAdministrator: authority.did == account.did || authority.isAdministrator
            }
        guard isAllowed else { throw .notAllowed }
        let restricts = [.suspended, .takendown, .disabled, .rejected].contains(status)
        guard !restricts || !account.roles.contains(.admin) else { throw .administratorProtected }
    }

    private static func endsSessions(_ status: AccountStatus) -> Bool {
        switch status {
        case .suspended, .takendown, .disabled, .rejected: true
        // Leaving takes a session, and so does coming back.
        case .deactivated, .approved, .pending: false
        }
    }

    private static func action(from: AccountStatus, to: AccountStatus) -> AuditEntry.Action {
        switch (from, to) {
        case (.pending, .approved): .accountApprove
        case (.suspended, .approved): .accountUnsuspend
        case (.deactivated, .approved): .accountActivate
        case (_, .approved): .accountRestore
        case (_, .pending), (_, .rejected): .accountReject
        case (_, .disabled): .accountDisable
        case (_, .suspended): .accountSuspend
        case (_, .takendown): .accountTakedown
        case (_, .deactivated): .accountDeactivate
        }
    }
}
