package import ATProtocol
package import Base
package import Contracts

extension ServiceTokens {
    /// Longest audience, in bytes.
    private static let audienceLengthMax = 2_048

    /// A token that its owner asks for, to be used by a program elsewhere.
    ///
    /// - Parameters:
    ///   - audience: a DID, or one with `#service`.
    ///   - expiresAt: nil for a minute from now; at most an hour ahead, and a minute when no method is named.
    /// - Throws: `SessionError`; `SigningKeyError`; storage errors.
    package func grant(
        to caller: AccountCaller, audience: String, method: NSID?, expiresAt: Timestamp?, now: Timestamp
    ) async throws -> String {
        try Self.checkAudience(audience)
        let expiry = expiresAt ?? now.advanced(by: Self.lifetimeDefault)
        let lifetime = expiry.since(now)
        guard lifetime > .zero else { throw SessionError.badExpiration("expiration is in past") }
        guard lifetime <= Self.lifetimeMax else {
            throw SessionError.badExpiration(
                "cannot request a token with an expiration more than an hour in the future")
        }
        guard method != nil || lifetime <= Self.lifetimeDefault else {
            throw SessionError.badExpiration(
                "cannot request a method-less token with an expiration more than a minute in the future")
        }
        if let method { try Self.check(method.string, caller) }
        if caller.scope == .takendown, method?.string != Self.createAccount {
            throw SessionError.invalidToken(reason: .badScope)
        }
        return try await make(did: caller.did, audience: audience, method: method, expiresAt: expiry)
    }

    private static let createAccount = "com.atproto.server.createAccount"

    private static func check(_ method: String, _ caller: AccountCaller) throws(SessionError) {
        guard !protectedMethods.contains(method) else {
            throw .invalidInput("lxm: cannot request a service auth token for the protected method \(method)")
        }
        if caller.scope == .appPassword, method == createAccount || method.hasPrefix("chat.bsky.") {
            throw .invalidInput("lxm: an app password cannot request a service auth token for \(method)")
        }
    }

    private static func checkAudience(_ text: String) throws(SessionError) {
        let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard text.utf8.count <= audienceLengthMax, DID.isValid(String(parts[0])),
            parts.count == 1 || (!parts[1].isEmpty && parts[1].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
        else { throw .invalidInput("aud must be a DID, or a DID with a service after \"#\"") }
    }
}
