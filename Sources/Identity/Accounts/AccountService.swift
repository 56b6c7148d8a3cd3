package import ATProtocol
package import Base
package import Contracts
package import Storage
package import Web

/// The accounts of this server: how they come to be, what state they are in, and how they end.
///
/// Everything a change touches lands in one transaction with the events that tell the network of it.
package final class AccountService: Sendable {
    let configuration: IdentityConfiguration
    let database: any Database
    let log: EventLog
    let standings: AccountStandings
    let directory: DirectoryService
    let sessions: SessionService
    let repositories: any Repositories
    let vault: KeyVault
    let clock: any WallClock
    let randomness: any Randomness
    /// Nil where there is no way to send letters.
    let mail: AccountMail?
    /// Counts letters; nil to count none.
    let limiter: RateLimiter?

    package init(
        configuration: IdentityConfiguration, log: EventLog, directory: DirectoryService, sessions: SessionService,
        repositories: any Repositories, vault: KeyVault, randomness: any Randomness, mail: AccountMail? = nil,
        limiter: RateLimiter? = nil
    ) {
        self.mail = mail
        self.limiter = limiter
        self.configuration = configuration
        self.log = log
        self.directory = directory
        self.sessions = sessions
        self.repositories = repositories
        self.vault = vault
        self.randomness = randomness
        database = directory.database
        standings = directory.standings
        clock = directory.clock
    }

    // MARK: Reading

    /// The account that `identifier` (a DID, a handle or an address) names.
    ///
    /// - Throws: `AccountError.notFound`; storage errors.
    package func account(_ identifier: String) async throws -> AccountDetails {
        let name = SignInName(identifier, domains: configuration.handleDomains)
        guard let account = try await database.read({ try name.account(in: $0) }) else { throw AccountError.notFound }
        return AccountDetails(account)
    }

    /// A page of all accounts, the newest first.
    package func list(_ filter: AccountFilter, limit: Int, offset: Int) async throws -> Page<AccountDetails> {
        try await page(filter, order: .newestFirst, limit: limit, offset: offset)
    }

    /// A page of the accounts that wait for approval, the oldest first.
    package func listPending(limit: Int, offset: Int) async throws -> Page<AccountDetails> {
        try await page(AccountFilter(status: .pending), order: .oldestFirst, limit: limit, offset: offset)
    }

    private func page(
        _ filter: AccountFilter, order: ListOrder, limit: Int, offset: Int
    ) async throws -> Page<AccountDetails> {
        let (accounts, total) = try await database.read {
            try AccountStore.list(filter, order: order, limit: limit, offset: offset, in: $0)
        }
        return Page(items: accounts.map { AccountDetails($0) }, total: total)
    }

    // MARK: Ending

    /// Deletes an account: its rows, keys, sessions and repository go, and the network is told. The did:plc identity
    /// stays in its directory, if the account was ever let in. Deleting what is gone already succeeds.
    ///
    /// - Throws: `AccountError.administratorProtected`; storage errors.
    package func delete(_ did: DID, by actor: AuditEntry.Actor) async throws {
        let now = clock.now()
        let isGone = try await database.write { [self] write in
            guard let account = try AccountStore.account(did, in: write) else { return false }
            guard account.kind == .person else { throw AccountError.notFound }
            guard !account.roles.contains(.admin) else { throw AccountError.administratorProtected }
            try sessions.endAll(of: did, in: write)
            try AppPasswordStore.removeAll(of: did, in: write)
            try remove(account, now: now, in: write)
            try AuditStore.append(AuditEntry(.accountDelete, by: actor, target: did.string, time: now), in: write)
            return true
        }
        // What was told of the account before must not be told again to those who catch up.
        if isGone { try await log.purge(did) }
    }
}

extension AccountService {
    /// Removes what every kind of account has: its row, keys, waiting identity and repository, and tells the network.
    func remove(_ account: AccountRow, now: Timestamp, in write: any WriteScope) throws {
        let did = account.did
        try directory.custody.remove(did, in: write)
        try PLCStore.removeWaiting(did, in: write)
        try repositories.remove(did, in: write)
        try AccountStore.remove(did, in: write)
        if account.isAnnounced {
            _ = try log.append(AccountEvents.account(did, hosting: .deleted, now: now), in: write)
        }
        standings.forget(account.standing, after: write)
        directory.forget(did, after: write)
    }
}

extension AuditEntry.Actor {
    /// Whoever makes a request.
    package init(_ caller: Caller) {
        switch caller {
        case .anonymous: self = .anonymous
        case .account(let account): self = .account(account.did)
        case .operator: self = .operator
        case .service(let issuer, _): self = .account(issuer)
        }
    }
}
