/// Where an account stands on this server.
///
/// `pending → approved | rejected` by a moderator. An account that was let in is `deactivated` by its owner, `suspended`
/// by a moderator, `takendown` or `disabled` by an administrator; each is lifted by itself and leads back to what was
/// there before. Of several that hold, the status is the one that counts most: `takendown`, `disabled`, `suspended`,
/// `deactivated`.
package enum AccountStatus: String, Sendable, Hashable, CaseIterable, Codable {
    case pending
    case approved
    case rejected
    case disabled
    case suspended
    case takendown
    case deactivated
    /// A private community: served to its members, and unknown to everybody else.
    case confined

    /// The state as the network sees it (https://atproto.com/specs/account).
    package var hosting: HostingStatus {
        switch self {
        case .approved: .active
        case .pending, .rejected, .disabled, .deactivated, .confined: .deactivated
        case .suspended: .suspended
        case .takendown: .takendown
        }
    }
}

extension AccountStatus {
    /// Whether others may learn that there is such an account: not before it was let in, nor once it was turned away,
    /// nor of a private community. What else holds of the account can hide it, too: see `AccountStanding.isKnownOutside`.
    package var isKnownOutside: Bool {
        switch self {
        case .pending, .rejected, .confined: false
        case .approved, .disabled, .suspended, .takendown, .deactivated: true
        }
    }
}

/// The hosting state of a repository in `#account` events and `getRepoStatus`.
package enum HostingStatus: String, Sendable, Hashable {
    case active
    case deactivated
    case suspended
    case takendown
    case deleted

    package var isActive: Bool { self == .active }

    /// The wire's `status` field: absent when active.
    package var wireName: String? { isActive ? nil : rawValue }
}

/// What a person may do on this server beyond using it. Roles add up; they are not ranked.
package enum ServerRole: String, Sendable, Hashable, CaseIterable, Codable {
    /// Everything.
    case admin
    /// Approve and reject, invites, account lists, suspensions.
    case moderator
    /// Partner keys.
    case partnerManager = "partner-manager"
    /// Reads audit, configuration, accounts and invites; changes nothing.
    case auditor
    /// The default.
    case user
}
