package import Base
package import Contracts

/// Why a request is not let in, or nobody can be signed in.
package enum SessionError: Error, Sendable, Hashable {
    /// No credentials where some are needed.
    case authMissing
    /// Unknown name or wrong password: never says which.
    case badCredentials
    /// Not a token of this server, or not one for this use; the reason as a clause.
    case invalidToken(reason: TokenFault)
    /// The token's time is over.
    case expiredToken
    /// The token's session was ended.
    case revokedToken
    /// The caller is known, but this is not for them.
    case forbidden
    /// The account does not live here any more.
    case accountNotFound
    /// The account's state does not allow this.
    case standing(AccountStatus)
    /// A service token does not hold.
    case service(ServiceTokenFault)
    /// An app password of that name exists.
    case appPasswordExists
    /// A field is not what it should be; the sentence names it.
    case invalidInput(String)
    /// The life asked of a service token is too long, or over.
    case badExpiration(String)
    /// Too many sign-ins wait already.
    case overloaded

    /// What is wrong with a token.
    package enum TokenFault: String, Sendable, Hashable {
        case malformed = "Token could not be verified"
        case badScope = "Bad token scope"
        case wrongAudience = "Token is for another server"
        case unknownScheme = "Unexpected authorization type"
    }

    /// What is wrong with a service token; the raw value is the name of the error.
    package enum ServiceTokenFault: String, Sendable, Hashable {
        case malformed = "BadJwt"
        case badType = "BadJwtType"
        case expired = "JwtExpired"
        case wrongAudience = "BadJwtAudience"
        case wrongMethod = "BadJwtLexiconMethod"
        case badIssuer = "BadJwtIss"
        case untrustedIssuer = "UntrustedIss"
        case badSignature = "BadJwtSignature"
    }
}

extension SessionError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .authMissing: Self.unauthorized("AuthMissing", "Authentication Required")
        case .badCredentials: Self.unauthorized("AuthenticationRequired", "Invalid identifier or password")
        case .invalidToken(let reason): Self.bad("InvalidToken", reason.rawValue)
        case .expiredToken: Self.bad("ExpiredToken", "Token has expired")
        case .revokedToken: Self.bad("ExpiredToken", "Token has been revoked")
        case .forbidden: WireFailure(status: 403, error: "Forbidden", message: "The caller may not do this")
        case .accountNotFound: WireFailure(status: 403, error: "AccountNotFound", message: "Account not found")
        case .standing(let status): Self.standing(status)
        case .service(let fault): Self.unauthorized(fault.rawValue, fault.message)
        case .appPasswordExists: Self.bad("InvalidRequest", "name: there is an app password of that name")
        case .invalidInput(let message): Self.bad("InvalidRequest", message)
        case .badExpiration(let message): Self.bad("BadExpiration", message)
        case .overloaded:
            WireFailure(
                status: 503, error: "NotEnoughResources", message: "Too many people sign in. Please try again shortly.",
                headers: [.init(name: "retry-after", value: "2")])
        }
    }

    private static func standing(_ status: AccountStatus) -> WireFailure {
        switch status {
        case .takendown: unauthorized("AccountTakedown", "Account has been taken down")
        case .suspended: unauthorized("AccountSuspended", "Account is suspended")
        case .deactivated: unauthorized("AccountDeactivated", "Account is deactivated")
        case .pending:
            WireFailure(status: 403, error: "AccountNotApproved", message: "The account waits for approval")
        case .rejected, .disabled, .approved, .confined:
            WireFailure(status: 403, error: "AccountNotApproved", message: "The account was not approved")
        }
    }

    private static func bad(_ error: String, _ message: String) -> WireFailure {
        WireFailure(status: 400, error: error, message: message)
    }

    private static func unauthorized(_ error: String, _ message: String) -> WireFailure {
        WireFailure(status: 401, error: error, message: message)
    }
}

extension SessionError.ServiceTokenFault {
    fileprivate var message: String {
        switch self {
        case .malformed: "poorly formatted jwt"
        case .badType: "jwt of a type that is no service token"
        case .expired: "jwt expired"
        case .wrongAudience: "jwt audience does not match service did"
        case .wrongMethod: "bad jwt lexicon method (\"lxm\")"
        case .badIssuer: "could not resolve the jwt's issuer"
        case .untrustedIssuer: "untrusted issuer"
        case .badSignature: "jwt signature does not match jwt issuer"
        }
    }
}
