package import Contracts

/// The state of an account: whether it was let in, what the staff hold against it, and whether its owner has hidden
/// it. Each part is changed by itself, so that what is lifted leads back to what was there before.
///
/// ```
/// pending → admitted, rejected    staff; rejected → admitted: administrators
///     admitted:
///         suspended                           put on and lifted by staff
///         takendown, disabled                 put on and lifted by administrators
///         deactivated                         by its owner and by administrators, while nothing is held against it
///         confined                            a private community, by its rules
/// ```
package struct AccountState: Sendable, Hashable {
    /// Whether the account was let in.
    package enum Admission: Sendable, Hashable {
        case pending
        case admitted
        case rejected
    }

    /// What the staff hold against an account.
    package enum Measure: String, Sendable, Hashable {
        case suspension
        case takedown
        case disablement
    }

    /// Whether the account shows itself.
    package enum Presence: Sendable, Hashable {
        case present
        /// Its owner has hidden it.
        case away
        /// A private community: there for its members.
        case confined
    }

    package var admission = Admission.admitted
    package var measures: Set<Measure> = []
    package var presence = Presence.present

    /// The one word for it: of all that holds, what counts most.
    package var status: AccountStatus {
        switch admission {
        case .pending: return .pending
        case .rejected: return .rejected
        case .admitted: break
        }
        if measures.contains(.takedown) { return .takendown }
        if measures.contains(.disablement) { return .disabled }
        if measures.contains(.suspension) { return .suspended }
        return switch presence {
        case .present: .approved
        case .away: .deactivated
        case .confined: .confined
        }
    }
}

/// A change of one part of an account's state.
package enum AccountChange: String, Sendable, Hashable, CaseIterable {
    /// Lets a waiting or rejected account in.
    case approve
    /// Turns a waiting account away.
    case reject
    case suspend
    case unsuspend
    /// Takes an account down.
    case takedown
    /// Undoes a takedown.
    case restore
    case disable
    case enable
    /// Hides an account, as its owner.
    case deactivate
    /// Shows a hidden account again, as its owner.
    case activate
}

extension AccountChange {
    /// What the change puts on or lifts, if it is one of the staff's.
    var measure: AccountState.Measure? {
        switch self {
        case .suspend, .unsuspend: .suspension
        case .takedown, .restore: .takedown
        case .disable, .enable: .disablement
        case .approve, .reject, .deactivate, .activate: nil
        }
    }

    /// Whether the change puts something on.
    var puts: Bool { [.suspend, .takedown, .disable].contains(self) }
}

extension AccountState {
    /// The state after a change of a community's account; the same where it holds already.
    func changed(by change: CommunityAccountChange) -> AccountState {
        var after = self
        switch change {
        case .suspend: after.measures.insert(.suspension)
        case .unsuspend: after.measures.remove(.suspension)
        case .takedown: after.measures.insert(.takedown)
        case .restore: after.measures.remove(.takedown)
        case .confine: after.presence = .confined
        case .open: after.presence = .present
        }
        return after
    }
}

extension AccountState {
    /// What it takes to bring about a change.
    enum Power: Sendable, Hashable {
        case staff
        case administrator
        case ownerOrAdministrator
    }

    /// What it takes to bring about `change` on an account in this state.
    func power(for change: AccountChange) -> Power {
        switch change {
        case .approve: admission == .rejected ? .administrator : .staff
        case .reject, .suspend, .unsuspend: .staff
        case .takedown, .restore, .disable, .enable: .administrator
        case .deactivate, .activate: .ownerOrAdministrator
        }
    }

    /// The state after `change`; the same where it holds already. Nil when the state does not admit the change: an
    /// account that was not let in is approved or rejected and nothing else, and what its owner decides rests while
    /// the staff hold something against it.
    func changed(by change: AccountChange) -> AccountState? {
        var after = self
        switch change {
        case .approve: after.admission = .admitted
        case .reject:
            guard admission != .admitted else { return nil }
            after.admission = .rejected
        case .suspend:
            guard admission == .admitted, !measures.contains(.disablement) else { return nil }
            after.measures.insert(.suspension)
        case .takedown:
            guard admission == .admitted else { return nil }
            after.measures.insert(.takedown)
        case .disable:
            guard admission == .admitted else { return nil }
            after.measures.insert(.disablement)
        case .unsuspend: after.measures.remove(.suspension)
        case .restore: after.measures.remove(.takedown)
        case .enable: after.measures.remove(.disablement)
        case .deactivate, .activate:
            guard admission == .admitted, measures.isEmpty, presence != .confined else { return nil }
            after.presence = change == .deactivate ? .away : .present
        }
        return after
    }
}

// MARK: As it is stored

extension AccountState {
    /// The words of all that holds with a space between, those that count most first; empty for an active account.
    var stored: String {
        var words: [AccountStatus] = []
        switch admission {
        case .pending: words.append(.pending)
        case .rejected: words.append(.rejected)
        case .admitted: break
        }
        if measures.contains(.takedown) { words.append(.takendown) }
        if measures.contains(.disablement) { words.append(.disabled) }
        if measures.contains(.suspension) { words.append(.suspended) }
        switch presence {
        case .present: break
        case .away: words.append(.deactivated)
        case .confined: words.append(.confined)
        }
        return words.map(\.rawValue).joined(separator: " ")
    }

    /// The state of a stored text. A word of a newer version holds something against the account that isn't known here.
    init(stored: String) {
        self.init()
        for word in stored.split(separator: " ") {
            switch AccountStatus(rawValue: String(word)) {
            case .approved: break
            case .pending: admission = .pending
            case .rejected: admission = .rejected
            case .takendown: measures.insert(.takedown)
            case .suspended: measures.insert(.suspension)
            case .deactivated: presence = .away
            case .confined: presence = .confined
            case .disabled, nil: measures.insert(.disablement)
            }
        }
    }

    /// The state with nothing in it but `status`.
    init(_ status: AccountStatus) {
        self.init(stored: status.rawValue)
    }
}
