package import ATProtocol
package import Base
package import Contracts
package import Storage

/// What signing in or refreshing gives.
package struct SessionGrant: Sendable, Hashable {
    package var standing: AccountStanding
    package var email: EmailAddress?
    package var emailConfirmedAt: Timestamp?
    /// Bearer token for requests, good for two hours.
    package var accessToken: String
    /// Bearer token for the next pair, good for ninety days.
    package var refreshToken: String
}

/// Signing in and out, and keeping sessions alive.
///
/// - Spec: https://atproto.com/specs/xrpc#authentication (legacy sessions)
package final class SessionService: Sendable {
    let configuration: IdentityConfiguration
    let database: any Database
    let standings: AccountStandings
    let clock: any WallClock
    let randomness: any Randomness
    let live: LiveSessions
    let tokens: SessionTokens
    let passwords: PasswordHasher
    /// Measures the pause before a failure is told.
    let sleeper: any Clock<Duration>

    private static let secretPurpose = KeyPurpose("session.tokens")

    /// Opens the sessions, making the secret of their tokens at the first start.
    package static func open(
        configuration: IdentityConfiguration, database: any Database, standings: AccountStandings, vault: KeyVault,
        clock: any WallClock, randomness: any Randomness, sleeper: any Clock<Duration> = ContinuousClock()
    ) async throws -> SessionService {
        let owner = "server"
        let proposed = try vault.seal(randomness.bytes(32), purpose: secretPurpose, owner: owner)
        let now = clock.now()
        let sealed = try await database.write { try SessionStore.secret(proposing: proposed, now: now, in: $0) }
        let secret = try vault.open(sealed, purpose: secretPurpose, owner: owner)
        let passwords = try PasswordHasher(
            cost: configuration.passwordCost, limits: configuration.limits, randomness: randomness)
        return SessionService(
            configuration: configuration, database: database, standings: standings, clock: clock,
            randomness: randomness, tokens: SessionTokens(secret: secret, audience: configuration.serviceDID),
            passwords: passwords, sleeper: sleeper)
    }

    private init(
        configuration: IdentityConfiguration, database: any Database, standings: AccountStandings,
        clock: any WallClock, randomness: any Randomness, tokens: SessionTokens, passwords: PasswordHasher,
        sleeper: any Clock<Duration>
    ) {
        self.configuration = configuration
        self.database = database
        self.standings = standings
        self.clock = clock
        self.randomness = randomness
        self.tokens = tokens
        self.passwords = passwords
        self.sleeper = sleeper
        live = LiveSessions(database: database, limits: configuration.limits)
    }

    // MARK: Beginning and ending

    /// Begins a session in the caller's transaction. When the account has too many, the one unused for longest ends.
    func begin(
        _ did: DID, scope: SessionScope, appPassword: String? = nil, device: SessionDevice? = nil, now: Timestamp,
        in write: any WriteScope
    ) throws -> SessionFamily {
        let families = try SessionStore.families(of: did, in: write)
        let surplus = families.count + 1 - configuration.limits.sessionsPerAccountMax
        if surplus > 0 { try end(Array(families.prefix(surplus)), in: write) }
        let family = SessionFamily(
            id: randomness.bytes(16), did: did, scope: scope, appPassword: appPassword, generation: 0, rotatedAt: now,
            createdAt: now, device: device)
        try SessionStore.insert(family, in: write)
        return family
    }

    /// Ends sessions in the caller's transaction: their tokens of both kinds are worth nothing from then on.
    func end(_ families: [SessionFamily], in write: any WriteScope) throws(StorageError) {
        for family in families { try SessionStore.remove(family.did, id: family.id, in: write) }
        live.forget(families.map(\.sessionID), after: write)
    }

    /// Ends all sessions of an account in the caller's transaction.
    func endAll(of did: DID, in write: any WriteScope) throws {
        try end(SessionStore.families(of: did, in: write), in: write)
    }

    /// The tokens of a session that was begun or rotated.
    func grant(_ family: SessionFamily, _ account: AccountRow, now: Timestamp) -> SessionGrant {
        SessionGrant(
            standing: account.standing, email: account.email, emailConfirmedAt: account.emailConfirmedAt,
            accessToken: tokens.access(family, now: now), refreshToken: tokens.refresh(family))
    }

    // MARK: Refreshing

    private enum Refreshed: Sendable {
        case grant(SessionFamily, AccountRow)
        case refused(SessionError)
    }

    /// Trades a refresh token for the next pair.
    ///
    /// A token shown again before its successor was used leads to that same successor, for two hours; shown later than
    /// that, or after its successor was used, it ends the session.
    /// - Parameters:
    ///   - origin: the caller's address, for the audit and for the owner's list of sessions.
    ///   - agent: what the caller's program calls itself.
    /// - Throws: `SessionError`; storage errors.
    package func refresh(_ token: String, origin: String, agent: String? = nil) async throws -> SessionGrant {
        let now = clock.now()
        let claims = try tokens.readRefresh(token, now: now)
        guard let id = Base64URL.decode(claims.sessionID) else { throw SessionError.invalidToken(reason: .malformed) }
        let refreshed: Refreshed = try await database.write { [self] write in
            guard let family = try SessionStore.family(claims.did, id: id, in: write) else {
                return .refused(.revokedToken)
            }
            guard let account = try AccountStore.account(claims.did, in: write) else {
                return .refused(.accountNotFound)
            }
            guard account.status == .approved || account.status == .deactivated else {
                return .refused(.standing(account.status))
            }
            guard family.scope != .takendown else {
                try end([family], in: write)
                return .refused(.revokedToken)
            }
            let audit: AuditEntry.Action
            let result: Refreshed
            switch family.showing(claims.generation, now: now) {
            case .repeated(let family): return .grant(family, account)
            case .rotated(var next):
                next.device = SessionDevice(address: origin, agent: agent)
                try SessionStore.rotate(next, in: write)
                (audit, result) = (.sessionRefresh, .grant(next, account))
            case .ended:
                try end([family], in: write)
                (audit, result) = (.sessionReuse, .refused(.revokedToken))
            }
            try AuditStore.append(
                AuditEntry(
                    audit, by: .account(claims.did), target: claims.did.string, meta: ["ip": .string(origin)],
                    time: now), in: write)
            return result
        }
        switch refreshed {
        case .grant(let family, let account): return grant(family, account, now: now)
        case .refused(let error): throw error
        }
    }

    /// Ends the session that a refresh token belongs to; an expired token will do, and one of an ended session, too.
    ///
    /// - Throws: `SessionError`; storage errors.
    package func delete(_ token: String) async throws {
        let now = clock.now()
        let claims = try tokens.readRefresh(token, now: now, expiry: .ignored)
        guard let id = Base64URL.decode(claims.sessionID) else { throw SessionError.invalidToken(reason: .malformed) }
        try await database.write { [self] write in
            guard let family = try SessionStore.family(claims.did, id: id, in: write) else { return }
            try end([family], in: write)
            try AuditStore.append(
                AuditEntry(.sessionDelete, by: .account(claims.did), target: claims.did.string, time: now), in: write)
        }
    }

    /// The account of a signed-in caller with what only its owner sees.
    ///
    /// - Throws: `SessionError.accountNotFound`.
    package func details(of did: DID) async throws -> AccountDetails {
        guard let account = try await database.read({ try AccountStore.account(did, in: $0) }) else {
            throw SessionError.accountNotFound
        }
        return AccountDetails(account)
    }

    /// Removes up to 500 sessions whose tokens have all expired. Returns the number removed.
    func removeExpired() async throws -> Int {
        let now = clock.now()
        return try await database.write { try SessionStore.removeExpired(now: now, limit: 500, in: $0) }
    }
}
