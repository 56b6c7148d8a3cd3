package import Base

/// Why a partner's request, or one about a partner's key, is refused.
package enum PartnerError: Error, Sendable, Hashable {
    /// The request carries no key.
    case authRequired
    /// Not a key, or not one any more: never says which.
    case unknownKey
    /// The key may not be used from where the request comes; nil when it doesn't say from where.
    case forbiddenOrigin(String?)
    /// The key's registrations of this hour are used up.
    case limitReached(retryAfterSeconds: Int)
    /// No key of that id.
    case notFound
    case alreadyRevoked
    /// An origin does not show the proof; the reason as a sentence.
    case verificationFailed(String)
    /// A field is not what it should be; the sentence names it.
    case invalidInput(String)
}

extension PartnerError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .authRequired:
            WireFailure(status: 401, error: "AuthRequired", message: "The header X-Partner-Key is needed")
        case .unknownKey: WireFailure(status: 401, error: "Unauthorized", message: "The partner key is not valid")
        case .forbiddenOrigin(nil):
            WireFailure(
                status: 403, error: "Forbidden", message: "The header Origin is needed: the key is bound to origins")
        case .forbiddenOrigin:
            WireFailure(status: 403, error: "Forbidden", message: "The partner key may not be used from this origin")
        case .limitReached(let seconds):
            WireFailure(
                status: 429, error: "RateLimitExceeded", message: "The partner key's registrations are used up for now",
                headers: [.init(name: "retry-after", value: String(seconds))])
        case .notFound: WireFailure(status: 404, error: "NotFound", message: "There is no such partner key")
        case .alreadyRevoked:
            WireFailure(status: 400, error: "AlreadyRevoked", message: "The partner key was revoked already")
        case .verificationFailed(let reason): WireFailure(status: 400, error: "VerificationFailed", message: reason)
        case .invalidInput(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        }
    }
}
