package import ATProtocol
package import Base

/// Something somebody did to an account or a session that must be traceable afterwards.
package struct AuditEntry: Sendable, Hashable {
    /// What was done, as the outside knows it: `account.approve`, `session.loginFailed`.
    package struct Action: Sendable, Hashable, RawRepresentable {
        package let rawValue: String

        package init(rawValue: String) {
            self.rawValue = rawValue
        }
    }

    /// Who did it.
    package enum Actor: Sendable, Hashable {
        case account(DID)
        /// The operator: HTTP Basic, the command line, or the configuration.
        case `operator`
        /// The server itself, on a schedule.
        case server
        /// Somebody who did not prove who they are.
        case anonymous
    }

    package var action: Action
    package var actor: Actor
    /// Whom it concerns: a DID, an invite code's first characters, or nil.
    package var target: String?
    /// Particulars: an address, a reason, the state before. Never a secret.
    package var meta: DataMap
    package var time: Timestamp

    package init(_ action: Action, by actor: Actor, target: String?, meta: DataMap = [:], time: Timestamp) {
        self.action = action
        self.actor = actor
        self.target = target
        self.meta = meta
        self.time = time
    }
}

extension AuditEntry.Action {
    package static let accountRegister = Self(rawValue: "account.register")
    package static let accountApprove = Self(rawValue: "account.approve")
    package static let accountReject = Self(rawValue: "account.reject")
    package static let accountDisable = Self(rawValue: "account.disable")
    package static let accountSuspend = Self(rawValue: "account.suspend")
    package static let accountUnsuspend = Self(rawValue: "account.unsuspend")
    package static let accountTakedown = Self(rawValue: "account.takedown")
    package static let accountRestore = Self(rawValue: "account.restore")
    package static let accountDeactivate = Self(rawValue: "account.deactivate")
    package static let accountActivate = Self(rawValue: "account.activate")
    package static let accountDelete = Self(rawValue: "account.delete")
    package static let accountHandleUpdate = Self(rawValue: "account.handle.update")
    package static let accountPasswordChange = Self(rawValue: "account.password.change")
    package static let accountPasswordResetRequest = Self(rawValue: "account.password.reset.request")
    package static let accountPasswordResetConfirm = Self(rawValue: "account.password.reset.confirm")
    package static let accountExport = Self(rawValue: "account.export")
    package static let accountRolesUpdate = Self(rawValue: "account.roles.update")
    package static let sessionLoginFailed = Self(rawValue: "session.loginFailed")
    package static let sessionRefresh = Self(rawValue: "session.refresh")
    package static let sessionReuse = Self(rawValue: "session.reuse")
    package static let sessionDelete = Self(rawValue: "session.delete")
    package static let sessionRevoke = Self(rawValue: "session.revoke")
    package static let appPasswordCreate = Self(rawValue: "appPassword.create")
    package static let appPasswordRevoke = Self(rawValue: "appPassword.revoke")
    package static let inviteCreate = Self(rawValue: "invite.create")
    package static let partnerRegister = Self(rawValue: "partner.register")
    package static let partnerKeyCreate = Self(rawValue: "partner.key.create")
    package static let partnerKeyRevoke = Self(rawValue: "partner.key.revoke")
    package static let partnerKeyVerified = Self(rawValue: "partner.key.verified")
    package static let partnerKeyVerifyFailed = Self(rawValue: "partner.key.verifyFailed")
    package static let identitySetExternalKey = Self(rawValue: "identity.setExternalKey")
    package static let identityDeleteExternalKey = Self(rawValue: "identity.deleteExternalKey")
}

extension AuditEntry.Actor {
    /// The text kept in the table: a DID, or one of three words; nil for nobody.
    var stored: String? {
        switch self {
        case .account(let did): did.string
        case .operator: "operator"
        case .server: "server"
        case .anonymous: nil
        }
    }

    init(stored: String?) {
        switch stored {
        case nil: self = .anonymous
        case "operator"?: self = .operator
        case "server"?: self = .server
        case let text?: self = (try? DID(parsing: text)).map(Self.account) ?? .anonymous
        }
    }
}
