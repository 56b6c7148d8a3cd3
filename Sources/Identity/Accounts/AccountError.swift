package import Base
package import Contracts

/// Why an account cannot be made or changed.
package enum AccountError: Error, Sendable, Hashable {
    /// Not a handle, or not one this server gives; the reason as a clause.
    case invalidHandle(reason: String)
    /// The name is kept for the operator.
    case reservedHandle
    /// The server gives no handles under that domain.
    case unsupportedDomain
    /// Somebody has the handle.
    case handleTaken
    /// The handle does not resolve to the account's DID.
    case handleNotProven
    /// Too weak or too long; the reason as a sentence.
    case invalidPassword(reason: String)
    /// The password shown is not the account's.
    case wrongPassword
    /// The link that sets a new password was used, is too old, or never was one.
    case invalidToken
    case invalidEmail
    /// Somebody has the address.
    case emailTaken
    /// The invite code does not admit this account.
    case invite(InviteFault)
    /// No such account, or none in the state asked for.
    case notFound
    /// The account was made and waits for a moderator: the handle.
    case waitsForApproval(handle: String)
    /// The account is in a state that does not admit the change.
    case wrongState(AccountStatus, AccountChange)
    /// The caller may not bring about that state.
    case notAllowed
    /// Administrators can be neither suspended nor taken down, and the last one stays one.
    case administratorProtected
    /// Nobody takes their own role of administrator away.
    case ownRole
    /// The DID lives here already.
    case accountExists
    /// A move needs a service token of the DID that moves.
    case moveNotProven
    /// The DID is of a kind that cannot move in.
    case unsupportedDID
    /// The DID document does not name this server, its key or its rotation key; which of them.
    case incompatibleDocument(reason: String)
    /// The directory of did:plc did not take the new identity.
    case identityNotRegistered
    /// The recovery key is no did:key.
    case invalidRecoveryKey
    /// The set-up link was used, or is an old one.
    case setupFinished
    /// A text is not what the field asks for.
    case invalidInput(String)

    /// What is wrong with an invite code.
    package enum InviteFault: Sendable, Hashable {
        case required
        case unknown
        case expired
        case usedUp
        /// It is bound to another address.
        case bound
    }
}

extension AccountError: WireConvertible {
    /// As `com.atproto.*` methods say it.
    package var wire: WireFailure {
        switch self {
        case .invalidHandle(let reason): Self.bad("InvalidHandle", "Invalid handle: \(reason)")
        case .reservedHandle: Self.bad("HandleNotAvailable", "Reserved handle")
        case .unsupportedDomain: Self.bad("UnsupportedDomain", "Not a supported handle domain")
        case .handleTaken: Self.bad("HandleNotAvailable", "Handle already taken")
        case .handleNotProven: Self.bad("InvalidHandle", "The handle does not resolve to the account's DID")
        case .invalidPassword(let reason): Self.bad("InvalidPassword", reason)
        case .wrongPassword: Self.bad("InvalidPassword", "The present password is not that one")
        case .invalidToken: Self.bad("InvalidToken", "The link was used or is too old")
        case .invalidEmail: Self.bad("InvalidRequest", "email is not an address this server accepts")
        case .emailTaken: Self.bad("InvalidRequest", "Email already taken")
        case .invite(.required): Self.bad("InvalidInviteCode", "No invite code provided")
        case .invite: Self.bad("InvalidInviteCode", "Provided invite code not available")
        case .notFound: WireFailure(status: 400, error: "NotFound", message: "Account not found")
        case .waitsForApproval(let handle):
            WireFailure(
                status: 403, error: "AccountNotApproved",
                message: "The account \(handle) was created and waits for approval. Sign in once it is approved.")
        case .wrongState(let status, let change):
            Self.bad("InvalidStatus", "\(change.rawValue) is not possible while the account is \(status.rawValue)")
        case .notAllowed: WireFailure(status: 403, error: "Forbidden", message: "The caller may not do this")
        case .administratorProtected:
            WireFailure(
                status: 403, error: "Forbidden",
                message: "An administrator's account cannot be restricted, and the last one stays")
        case .ownRole:
            WireFailure(
                status: 403, error: "Forbidden", message: "Nobody takes their own role of administrator away")
        case .accountExists: Self.bad("AlreadyExists", "The account lives on this server already")
        case .moveNotProven:
            WireFailure(
                status: 401, error: "AuthMissing",
                message: "Missing or foreign auth to create account with did: a service token of that DID is needed")
        case .unsupportedDID: Self.bad("UnresolvableDid", "Only did:plc and did:web accounts can move in")
        case .incompatibleDocument(let reason): Self.bad("IncompatibleDidDoc", reason)
        case .identityNotRegistered:
            WireFailure(
                status: 502, error: "UpstreamFailure", message: "The directory of identities could not be reached")
        case .invalidRecoveryKey: Self.bad("InvalidRequest", "recoveryKey is not a did:key of P-256 or K-256")
        case .setupFinished: WireFailure(status: 403, error: "Forbidden", message: "This set-up link is not valid")
        case .invalidInput(let message): Self.bad("InvalidRequest", message)
        }
    }

    private static func bad(_ error: String, _ message: String) -> WireFailure {
        WireFailure(status: 400, error: error, message: message)
    }
}

/// An account error as `net.openfederation.*` methods say it.
package struct FederationFailure: WireConvertible, Hashable {
    package let error: AccountError

    package init(_ error: AccountError) {
        self.error = error
    }

    package var wire: WireFailure {
        switch error {
        case .handleTaken:
            WireFailure(status: 409, error: "AccountExists", message: "That handle is taken")
        case .reservedHandle, .unsupportedDomain:
            WireFailure(status: 400, error: "InvalidHandle", message: error.wire.message)
        case .emailTaken:
            WireFailure(status: 409, error: "AccountExists", message: "There is an account with that address")
        case .invite(let fault): Self.invite(fault)
        case .notFound: WireFailure(status: 404, error: "NotFound", message: "No such account waits for approval")
        case .identityNotRegistered:
            WireFailure(
                status: 500, error: "IdentityCreationFailed", message: "The identity could not be registered")
        default: error.wire
        }
    }

    private static func invite(_ fault: AccountError.InviteFault) -> WireFailure {
        switch fault {
        case .required: WireFailure(status: 403, error: "InviteRequired", message: "An invite code is needed")
        case .unknown: WireFailure(status: 403, error: "InviteInvalid", message: "There is no such invite code")
        case .expired: WireFailure(status: 403, error: "InviteExpired", message: "The invite code has expired")
        case .usedUp: WireFailure(status: 403, error: "InviteUsed", message: "The invite code is used up")
        case .bound: WireFailure(status: 403, error: "InviteBound", message: "The invite code is for another address")
        }
    }
}
