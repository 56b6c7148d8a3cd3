import ATProtocol
import Base
package import Contracts
import Crypto
package import Web

/// Stands at the door: finds out who makes a request, and whether the route's rule lets them in.
///
/// The account's state and its session are judged on every request, from memory: what an administrator or the owner
/// changes holds for the next request, not for the next token. A request whose account and session are in memory needs
/// no database and waits for nobody.
package struct Authenticator: Sendable {
    private let sessions: SessionService
    private let services: ServiceTokens
    private let limiter: RateLimiter?
    private let operatorDigest: SHA256Digest?

    /// - Parameters:
    ///   - sessions: with the configuration that names the operator's password.
    ///   - limiter: the buckets of wrong guesses at it; nil to count none.
    package init(sessions: SessionService, services: ServiceTokens, limiter: RateLimiter? = nil) {
        self.sessions = sessions
        self.services = services
        self.limiter = limiter
        operatorDigest = sessions.configuration.operatorPassword.map { Self.digest("admin:" + $0) }
    }

    /// What an `Authorization` header holds.
    private enum Presented {
        case bearer(String)
        case basic(String)
        case other
    }

    /// Who makes the request.
    ///
    /// - Throws: `SessionError` when the rule doesn't let them in; `RateLimitExceeded`; storage errors.
    package func caller(for rule: AccessRule, _ head: RequestHead) async throws -> Caller {
        // A refresh token may stand in the body, which the handler reads.
        if rule.credential == .none || rule.credential == .refreshToken { return .anonymous }
        guard let header = head.header("authorization") else {
            if rule.credential == .optional { return .anonymous }
            throw SessionError.authMissing
        }
        switch Self.presented(header) {
        case .bearer(let token): return try await caller(for: rule, token: token, head)
        case .basic(let credentials): return try operatorCaller(for: rule, credentials, head.addressKey)
        case .other: throw SessionError.invalidToken(reason: .unknownScheme)
        }
    }

    /// The token of a Bearer header, for methods that read it themselves.
    ///
    /// - Throws: `.authMissing`, `.invalidToken`.
    package static func bearerToken(_ head: RequestHead) throws(SessionError) -> String {
        guard let header = head.header("authorization") else { throw .authMissing }
        guard case .bearer(let token) = presented(header) else { throw .invalidToken(reason: .unknownScheme) }
        return token
    }

    private static func presented(_ header: String) -> Presented {
        guard let space = header.utf8.firstIndex(of: UInt8(ascii: " ")) else { return .other }
        let value = String(header[header.index(after: space)...].drop { $0 == " " })
        switch header[..<space].lowercased() {
        case "bearer": return .bearer(value)
        case "basic": return .basic(value)
        default: return .other
        }
    }

    // MARK: Tokens

    private func caller(for rule: AccessRule, token: String, _ head: RequestHead) async throws -> Caller {
        switch try SessionTokens.kind(of: token) {
        case .refresh: throw SessionError.invalidToken(reason: .badScope)
        case .service: return try await serviceCaller(for: rule, token: token, head)
        case .access: break
        }
        let claims = try sessions.tokens.readAccess(token, now: sessions.clock.now())
        try Self.check(claims.scope, rule)
        var standing = sessions.standings.remembered(claims.did)
        if standing == nil { standing = try await sessions.standings.standing(of: claims.did) }
        guard let standing else { throw SessionError.accountNotFound }
        try Self.check(standing.status, claims.scope, rule)
        if !sessions.live.isRemembered(claims.sessionID, of: claims.did) {
            guard try await sessions.live.isAlive(claims.sessionID, of: claims.did) else {
                throw SessionError.revokedToken
            }
        }
        if case .anyRole(let roles) = rule.credential, claims.scope != .full || standing.roles.isDisjoint(with: roles) {
            throw SessionError.forbidden
        }
        return .account(
            AccountCaller(
                did: claims.did, status: standing.status, roles: standing.roles, scope: claims.scope,
                sessionID: claims.sessionID))
    }

    /// Whether a session of this scope can satisfy the rule at all.
    private static func check(_ scope: SessionScope, _ rule: AccessRule) throws(SessionError) {
        if scope == .takendown {
            guard rule.standing == .any else { throw .invalidToken(reason: .badScope) }
            switch rule.credential {
            case .optional, .session, .sessionOrService: return
            default: throw .invalidToken(reason: .badScope)
            }
        }
        switch rule.credential {
        case .none, .refreshToken, .optional, .session, .sessionOrService: return
        case .privilegedSession:
            guard scope != .appPassword else { throw .invalidToken(reason: .badScope) }
        case .fullSession:
            guard scope == .full else { throw .invalidToken(reason: .badScope) }
        case .anyRole:
            guard scope == .full else { throw .forbidden }
        }
    }

    private static func check(
        _ status: AccountStatus, _ scope: SessionScope, _ rule: AccessRule
    ) throws(SessionError) {
        switch status {
        case .approved: return
        case .deactivated: if rule.standing == .active { throw .standing(status) }
        case .suspended, .takendown, .pending, .rejected, .disabled, .confined:
            if rule.standing != .any { throw .standing(status) }
        }
    }

    private func serviceCaller(for rule: AccessRule, token: String, _ head: RequestHead) async throws -> Caller {
        switch rule.credential {
        case .optional, .sessionOrService: break
        default: throw SessionError.invalidToken(reason: .badScope)
        }
        guard let method = head.nsid.flatMap({ try? NSID(parsing: $0) }) else {
            throw SessionError.service(.wrongMethod)
        }
        let issuer = try await services.verify(token, method: method)
        if rule.credential == .sessionOrService {
            guard issuer.service == nil, let standing = try await sessions.standings.standing(of: issuer.did) else {
                throw SessionError.service(.untrustedIssuer)
            }
            try Self.check(standing.status, .appPassword, rule)
        }
        return .service(issuer: issuer.did, method: issuer.method)
    }

    // MARK: The operator

    private func operatorCaller(for rule: AccessRule, _ credentials: String, _ address: String) throws -> Caller {
        switch rule.credential {
        case .optional, .anyRole: break
        default: throw SessionError.authMissing
        }
        let isOperator = isOperator(credentials)
        // Only wrong guesses are charged; but who has used them up isn't told of a right one either.
        try charge(isOperator ? 0 : 1, address)
        guard isOperator else { throw SessionError.badCredentials }
        return .operator
    }

    private func isOperator(_ credentials: String) -> Bool {
        guard credentials.utf8.count <= Self.basicLengthMax, let operatorDigest,
            let bytes = Base64.decode(credentials, padding: .optional)
        else { return false }
        // Digests are compared in a time that tells nothing of how far they agree.
        return SHA256.hash(data: bytes) == operatorDigest
    }

    private func charge(_ guesses: Int, _ address: String) throws(RateLimitExceeded) {
        guard let limiter else { return }
        for (limit, key) in [(RateLimit.operatorGuesses, address), (.operatorGuessesOfAll, "")] {
            let isEmpty = try limiter.charge(limit, key: key, points: 0).remaining == 0
            // A bucket that holds nothing refuses by being charged.
            try limiter.charge(limit, key: key, points: isEmpty ? 1 : guesses)
        }
    }

    /// Longest value of HTTP Basic, in bytes.
    private static let basicLengthMax = 4_096

    private static func digest(_ text: String) -> SHA256Digest {
        SHA256.hash(data: Array(text.utf8))
    }
}
