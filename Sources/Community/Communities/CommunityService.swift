package import ATProtocol
import Base
package import Contracts
package import Storage

/// What is done in communities: every act reads, is judged and writes in one transaction.
package struct CommunityService: Sendable {
    let database: any Database
    let vault: KeyVault
    let door: any RepositoryDoor
    let repositories: any Repositories
    let records: any PersonalRecords
    let archives: any RepositoryArchives
    let accounts: any CommunityAccounts
    let standings: any Accounts
    let policies: CommunityPolicies
    let audit: any AuditTrail
    let passwords: any PasswordCheck
    let clock: any WallClock

    package init(_ foundation: CommunityModule.Foundation, policies: CommunityPolicies) {
        database = foundation.database
        vault = foundation.vault
        door = foundation.door
        repositories = foundation.repositories
        records = foundation.records
        archives = foundation.archives
        accounts = foundation.accounts
        standings = foundation.standings
        audit = foundation.audit
        passwords = foundation.passwords
        clock = foundation.clock
        self.policies = policies
    }

    // MARK: Who may know, and who may do

    /// A community as somebody who may know of it sees it.
    package struct Seen: Sendable {
        package var standing: AccountStanding
        package var row: CommunityRow
        /// Nil for who is no member.
        package var permissions: CommunityPermissions?
    }

    /// The community, for questions that change nothing; from memory once it was asked for.
    ///
    /// - Throws: `CommunityError.notFound` also to those from whom a private one is kept; `.takenDown`.
    package func seen(_ did: DID, by caller: Caller) async throws -> Seen {
        guard let standing = try await standings.standing(of: did), standing.kind == .community,
            let row = try await policies.community(did)
        else { throw CommunityError.notFound }
        var permissions: CommunityPermissions?
        if let account = caller.account { permissions = try await policies.permissions(of: account.did, in: did) }
        let seen = Seen(standing: standing, row: row, permissions: permissions)
        try Self.admit(seen, caller)
        guard standing.status != .takendown || caller.isAdministrator else { throw CommunityError.takenDown }
        return seen
    }

    /// As `seen(_:by:)`, in a transaction; writes are refused while the community is suspended or taken down.
    ///
    /// - Throws: `CommunityError.notFound`, `.suspended`, `.takenDown`.
    func admit(_ caller: Caller, to did: DID, in scope: any ReadScope) throws -> Seen {
        let seen = try known(did, to: caller, in: scope)
        switch seen.standing.status {
        case .takendown: throw CommunityError.takenDown
        case .suspended, .disabled, .deactivated, .pending, .rejected: throw CommunityError.suspended
        case .approved, .confined: return seen
        }
    }

    /// As `admit(_:to:in:)`, in whatever state the community is.
    func known(_ did: DID, to caller: Caller, in scope: any ReadScope) throws -> Seen {
        guard let standing = try standings.standing(of: did, in: scope), standing.kind == .community,
            let row = try CommunityStore.community(did, in: scope)
        else { throw CommunityError.notFound }
        var permissions: CommunityPermissions?
        if let account = caller.account {
            permissions = try CommunityStore.permissions(of: account.did, in: did, scope)
        }
        let seen = Seen(standing: standing, row: row, permissions: permissions)
        try Self.admit(seen, caller)
        return seen
    }

    private static func admit(_ seen: Seen, _ caller: Caller) throws(CommunityError) {
        let isHidden = seen.row.visibility != .public || seen.standing.isConfined
        guard !isHidden || seen.permissions != nil || caller.isAdministrator else { throw .notFound }
    }

    /// Lets through who may do something; the guard judges again what is written.
    ///
    /// - Throws: `CommunityError.notMember`, `.forbidden`.
    func demand(_ permission: CommunityPermission, of caller: Caller, in seen: Seen) throws(CommunityError) {
        if caller.isAdministrator { return }
        guard let permissions = seen.permissions else { throw .notMember }
        guard permissions.contains(permission) else { throw .forbidden }
    }

    /// One act in a community that lives here.
    ///
    /// - Throws: `CommunityError.notFound` when it doesn't; what the body throws.
    func act<T: Sendable>(
        in did: DID, _ body: @escaping @Sendable (any RepositoryTransaction) throws -> T
    ) async throws -> T {
        guard let standing = try await standings.standing(of: did), standing.kind == .community else {
            throw CommunityError.notFound
        }
        return try await door.transact(on: [did], body)
    }

    func owner(_ did: DID, in scope: any ReadScope) throws -> CommunityRoleRow {
        try role(named: DefaultRole.owner.rawValue, of: did, in: scope)
    }

    func role(named name: String, of did: DID, in scope: any ReadScope) throws -> CommunityRoleRow {
        guard let role = try CommunityStore.roles(of: did, in: scope).first(where: { $0.role.name == name }) else {
            throw CommunityError.roleNotFound
        }
        return role
    }

    /// Brings the account's confinement and the list in line with what the community's settings say: after whatever
    /// wrote to them. Opening needs `CommunityAccounts.prepareOpening` before the transaction.
    package func settle(_ did: DID, in scope: any WriteScope) throws {
        guard let row = try CommunityStore.community(did, in: scope) else { return }
        _ = try accounts.change(did, row.visibility == .public ? .open : .confine, in: scope)
        try relist(did, in: scope)
    }

    func relist(_ did: DID, in scope: any WriteScope) throws {
        let status = try standings.standing(of: did, in: scope)?.status
        let visibility = try CommunityStore.community(did, in: scope)?.visibility
        try CommunityInstanceStore.setListed(status == .approved && visibility == .public, of: did, in: scope)
    }
}
