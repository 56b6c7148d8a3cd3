/// Who may call a route. Each route names one; the router enforces it before the handler runs, and a test
/// tries every route against every rule.
package struct AccessRule: Sendable, Hashable {
    /// Which credential is needed.
    package enum Credential: Sendable, Hashable {
        /// None; credentials are not looked at.
        case none
        /// None needed; when shown they must be valid (an owner sees more).
        case optional
        /// Any session: password or app password.
        case session
        /// Password, or an app password with the privileged flag.
        case privilegedSession
        /// Signed in with the account's own password.
        case fullSession
        /// A refresh token in the header or in the body, which the handler itself finds, checks and rotates.
        case refreshToken
        /// The operator, or a full session of an account that holds one of these roles.
        case anyRole(Set<ServerRole>)
        /// A session, or a service-auth token of the account for this method.
        case sessionOrService
    }

    /// Which states of the caller's account are let in.
    package enum Standing: Sendable, Hashable {
        /// Approved only.
        case active
        /// Deactivated accounts too: signing in, importing, coming back.
        case deactivatedToo
        /// Every state in which the account exists, suspended and taken down included: leaving with one's data.
        case any
    }

    package var credential: Credential
    package var standing: Standing

    package init(_ credential: Credential, standing: Standing = .active) {
        self.credential = credential
        self.standing = standing
    }

    package static let anyone = AccessRule(.none)
    /// Anonymous callers too; an owner's session, a deactivated account's included, sees more.
    package static let optional = AccessRule(.optional, standing: .deactivatedToo)
    /// As `optional`, and open to accounts that were taken down: taking one's data along.
    package static let optionalExport = AccessRule(.optional, standing: .any)
    package static let session = AccessRule(.session)
    package static let fullSession = AccessRule(.fullSession)
    package static let refreshToken = AccessRule(.refreshToken, standing: .any)
    /// The operator alone: what reaches beyond the instance, into the machine.
    package static let `operator` = AccessRule(.anyRole([]))
    package static let administrator = AccessRule(.anyRole([.admin]))
    package static let moderator = AccessRule(.anyRole([.admin, .moderator]))
    package static let auditor = AccessRule(.anyRole([.admin, .moderator, .auditor]))

    /// A full session, and the operator for others: routes for one's own things that staff may see to, too.
    package static let ownerOrOperator = AccessRule(.anyRole(Set(ServerRole.allCases)), standing: .deactivatedToo)
    package static let partnerManager = AccessRule(.anyRole([.admin, .partnerManager]))
    /// Who may see partner keys.
    package static let partnerReader = AccessRule(.anyRole([.admin, .partnerManager, .auditor]))
    /// Who may see what everybody did, and how the server is set up: no moderators.
    package static let inspector = AccessRule(.anyRole([.admin, .auditor]))

    /// The same credential with other states let in.
    package func allowing(_ standing: Standing) -> AccessRule { AccessRule(credential, standing: standing) }
}

extension AccessRule: CustomStringConvertible {
    /// One word for route listings, e.g. `session`, `role:admin|moderator`, with `+deactivated` or `+any`.
    package var description: String {
        let name =
            switch credential {
            case .none: "anyone"
            case .optional: "optional"
            case .session: "session"
            case .privilegedSession: "privileged-session"
            case .fullSession: "full-session"
            case .refreshToken: "refresh-token"
            case .anyRole(let roles) where roles.isEmpty: "operator"
            case .anyRole(let roles): "role:" + roles.map(\.rawValue).sorted().joined(separator: "|")
            case .sessionOrService: "session-or-service"
            }
        switch standing {
        case .active: return name
        case .deactivatedToo: return name + "+deactivated"
        case .any: return name + "+any"
        }
    }
}
