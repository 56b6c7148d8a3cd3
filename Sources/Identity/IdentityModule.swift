import ATProtocol
package import Base
package import Contracts
package import Storage
package import Web

/// What the other rooms need of Identity, and what Identity needs no other room for: accounts' standings, signing keys,
/// identities and sessions.
package struct IdentityFoundation: Sendable {
    package let configuration: IdentityConfiguration
    /// `Contracts.Accounts`.
    package let accounts: AccountStandings
    /// `Contracts.SigningKeys`.
    package let keys: KeyCustody
    /// `Contracts.IdentityDirectory`.
    package let directory: DirectoryService
    package let sessions: SessionService
    package let services: ServiceTokens
    /// Finds out who makes a request; for the router's `authenticate`.
    package let authenticator: Authenticator
    /// The buckets of rate limits; nil when they are switched off.
    package let limiter: RateLimiter?

    /// Opens the rooms on a migrated database, making the server's own keys at the first start.
    ///
    /// - Parameters:
    ///   - lookup: the guarded client and the resolver.
    ///   - limiter: the buckets of wrong guesses at the operator's password; nil to count none.
    ///   - sleeper: measures the pause before a failed sign-in is told.
    package static func open(
        _ configuration: IdentityConfiguration, database: any Database, vault: KeyVault, lookup: any RemoteLookup,
        clock: any WallClock, randomness: any Randomness, limiter: RateLimiter? = nil,
        sleeper: any Clock<Duration> = ContinuousClock()
    ) async throws -> IdentityFoundation {
        let accounts = AccountStandings(database: database, limits: configuration.limits)
        let keys = try await KeyCustody.open(
            database: database, vault: vault, clock: clock, randomness: randomness, limits: configuration.limits)
        let directory = DirectoryService(
            configuration: configuration, database: database, standings: accounts, custody: keys, lookup: lookup,
            clock: clock)
        let sessions = try await SessionService.open(
            configuration: configuration, database: database, standings: accounts, vault: vault, clock: clock,
            randomness: randomness, sleeper: sleeper)
        let services = ServiceTokens(directory: directory, randomness: randomness)
        return IdentityFoundation(
            configuration: configuration, accounts: accounts, keys: keys, directory: directory, sessions: sessions,
            services: services, authenticator: Authenticator(sessions: sessions, services: services, limiter: limiter),
            limiter: limiter)
    }
}

/// The Identity wing: Accounts, Sessions, Directory and Audit.
package struct IdentityModule: Sendable {
    package let foundation: IdentityFoundation
    package let accounts: AccountService
    package let audit: AuditService
    package let partners: PartnerService
    package let profiles: ProfileService
    package let externalKeys: ExternalKeyService
    /// Nil where there is no way to send letters.
    package let mail: AccountMail?

    /// - Parameters:
    ///   - log: the instance's log, for `#identity` and `#account`.
    ///   - repositories: where an account's repository is made in the same transaction.
    ///   - records: the door to people's own records.
    ///   - outbound: the guarded client, for proofs of partners.
    ///   - mail: what sends letters; nil when nothing does.
    package init(
        _ foundation: IdentityFoundation, log: EventLog, repositories: any Repositories,
        records: any PersonalRecords, vault: KeyVault, randomness: any Randomness, outbound: any OutboundHTTP,
        mail: (any MailTransport)? = nil
    ) {
        self.foundation = foundation
        let database = foundation.directory.database
        audit = AuditService(database: database, standings: foundation.accounts)
        let letters = mail.map {
            AccountMail(
                $0, database: database, vault: vault, clock: foundation.directory.clock, randomness: randomness)
        }
        self.mail = letters
        accounts = AccountService(
            configuration: foundation.configuration, log: log, directory: foundation.directory,
            sessions: foundation.sessions, repositories: repositories, vault: vault, randomness: randomness,
            mail: letters, limiter: foundation.limiter)
        partners = PartnerService(accounts: accounts, outbound: outbound)
        profiles = ProfileService(accounts: accounts, records: records)
        externalKeys = ExternalKeyService(accounts: accounts, records: records)
    }

    /// The wing's part of the schema, in the order in which it is applied.
    package static let migrations =
        AuditSchema.migrations + DirectorySchema.migrations + AccountSchema.migrations + SessionSchema.migrations
        + PartnerSchema.migrations + ExternalKeySchema.migrations

    /// Adds every route of the wing.
    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        AccountRoutes(accounts: accounts, services: foundation.services).add(to: &routes)
        AdministrationRoutes(accounts: accounts).add(to: &routes)
        FederationAccountRoutes(accounts: accounts).add(to: &routes)
        OwnAccountRoutes(accounts: accounts).add(to: &routes)
        InviteRoutes(accounts: accounts).add(to: &routes)
        ProfileRoutes(profiles: profiles).add(to: &routes)
        ExternalKeyRoutes(keys: externalKeys).add(to: &routes)
        AuditRoutes(audit: audit).add(to: &routes)
        PartnerRoutes(partners: partners).add(to: &routes)
        SessionRoutes(
            sessions: foundation.sessions, services: foundation.services, directory: foundation.directory
        ).add(to: &routes)
        DirectoryRoutes(directory: foundation.directory, accounts: accounts).add(to: &routes)
        PLCRoutes(directory: foundation.directory.embedded, accounts: accounts).add(to: &routes)
    }
}
