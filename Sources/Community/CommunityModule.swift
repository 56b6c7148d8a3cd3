package import Base
package import Contracts
package import Storage
package import Web

/// What the wing holds repositories to; made before the rooms that write to them.
package struct CommunityRules: Sendable {
    package let policies: CommunityPolicies
    package let `guard`: any RepositoryGuard
    package let observers: [any RecordObserver]

    package init(database: any Database) {
        policies = CommunityPolicies(database: database)
        `guard` = CommunityGuard()
        observers = [CommunityObserver(policies: policies), AttestationObserver(), GovernanceObserver()]
    }
}

/// The Community wing.
package struct CommunityModule: Sendable {
    package let communities: CommunityService
    private let vault: KeyVault

    /// What the wing is built on.
    package struct Foundation: Sendable {
        package var database: any Database
        package var vault: KeyVault
        package var door: any RepositoryDoor
        package var repositories: any Repositories
        package var records: any PersonalRecords
        package var archives: any RepositoryArchives
        package var accounts: any CommunityAccounts
        package var standings: any Accounts
        package var audit: any AuditTrail
        package var passwords: any PasswordCheck
        package var clock: any WallClock

        package init(
            database: any Database, vault: KeyVault, door: any RepositoryDoor, repositories: any Repositories,
            records: any PersonalRecords, archives: any RepositoryArchives, accounts: any CommunityAccounts,
            standings: any Accounts, audit: any AuditTrail, passwords: any PasswordCheck, clock: any WallClock
        ) {
            self.database = database
            self.vault = vault
            self.door = door
            self.repositories = repositories
            self.records = records
            self.archives = archives
            self.accounts = accounts
            self.standings = standings
            self.audit = audit
            self.passwords = passwords
            self.clock = clock
        }
    }

    package init(_ foundation: Foundation, rules: CommunityRules) {
        vault = foundation.vault
        communities = CommunityService(foundation, policies: rules.policies)
    }

    /// The wing's part of the schema, in the order in which it is applied.
    package static let migrations: [Migration] =
        CommunitySchema.migrations + AttestationSchema.migrations + GovernanceSchema.migrations

    /// Adds every route of the wing.
    package func addRoutes(to routes: inout XRPCRouter<Caller, AccessRule>) {
        CommunityRoutes(communities: communities, vault: vault).add(to: &routes)
        CommunityRoleRoutes(communities: communities).add(to: &routes)
        CommunityModerationRoutes(communities: communities).add(to: &routes)
    }
}
