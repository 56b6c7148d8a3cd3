package import ATProtocol

/// Who makes a request, as far as their credentials prove it and their account's present state allows.
package enum Caller: Sendable, Hashable {
    /// Nobody in particular.
    case anonymous
    /// A person with a session of this server.
    case account(AccountCaller)
    /// The operator with HTTP Basic `admin:<bootstrap password>`.
    case `operator`
    /// Another service, by a service-auth token that the account `issuer` signed for this server.
    case service(issuer: DID, method: NSID?)

    /// The account behind the request, if one is.
    package var account: AccountCaller? {
        if case .account(let account) = self { account } else { nil }
    }

    /// The DID the request speaks for: the session's account or the service token's issuer.
    package var did: DID? {
        switch self {
        case .anonymous, .operator: nil
        case .account(let account): account.did
        case .service(let issuer, _): issuer
        }
    }

    /// True for the operator and for an administrator's full session.
    package var isAdministrator: Bool { hasRole(.admin) }

    /// True when the caller holds `role`; the operator holds all. An app password carries no roles.
    package func hasRole(_ role: ServerRole) -> Bool {
        switch self {
        case .operator: true
        case .account(let account): account.scope == .full && account.roles.contains(role)
        case .anonymous, .service: false
        }
    }
}

/// A signed-in account: state read at the door, at the time of the request.
package struct AccountCaller: Sendable, Hashable {
    package var did: DID
    package var status: AccountStatus
    package var roles: Set<ServerRole>
    /// What the session may do.
    package var scope: SessionScope
    /// The session family the token belongs to, for `deleteSession` and audits.
    package var sessionID: String

    package init(
        did: DID, status: AccountStatus, roles: Set<ServerRole>, scope: SessionScope, sessionID: String
    ) {
        self.did = did
        self.status = status
        self.roles = roles
        self.scope = scope
        self.sessionID = sessionID
    }
}

/// The scope of a session token; raw values are the wire's.
package enum SessionScope: String, Sendable, Hashable, CaseIterable {
    /// Signed in with the account's own password.
    case full = "com.atproto.access"
    /// An app password that may read and write private messages.
    case appPasswordPrivileged = "com.atproto.appPassPrivileged"
    /// An app password.
    case appPassword = "com.atproto.appPass"
    /// Only good for getting new tokens.
    case refresh = "com.atproto.refresh"
    /// A taken-down account: own export, appeal, leaving.
    case takendown = "com.atproto.takendown"
}
