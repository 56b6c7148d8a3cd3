package import Contracts
package import Storage

/// What the wing holds repositories to; made before the rooms that write to them.
package struct CommunityRules: Sendable {
    package let policies: CommunityPolicies
    package let `guard`: any RepositoryGuard
    package let observers: [any RecordObserver]

    package init(database: any Database) {
        policies = CommunityPolicies(database: database)
        `guard` = CommunityGuard()
        observers = [CommunityObserver(policies: policies), AttestationObserver()]
    }
}

/// The Community wing.
package struct CommunityModule: Sendable {
    /// The wing's part of the schema, in the order in which it is applied.
    package static let migrations: [Migration] = CommunitySchema.migrations + AttestationSchema.migrations
}
