package import ATProtocol
import Base
package import Contracts
package import Storage

/// The accounts of this server as other rooms see them: read once, kept in memory, read again after every change, be
/// it another process that made it.
package final class AccountStandings: Accounts {
    /// Accounts changed: the DID and the handle they had, with a space between.
    private static let changed = AnnouncementTopic("accounts", payloads: .all)

    private let database: any Database
    private let byDID: BoundedCache<DID, AccountStanding>
    private let byHandle: BoundedCache<Handle, DID>

    package init(database: any Database, limits: IdentityLimits) {
        self.database = database
        byDID = BoundedCache(countMax: limits.standingsCachedMax)
        byHandle = BoundedCache(countMax: limits.standingsCachedMax)
        database.listen(to: Self.changed) { [byDID, byHandle] payload, _ in
            let parts = payload?.split(separator: " ") ?? []
            guard parts.count == 2, let did = try? DID(parsing: String(parts[0])),
                let handle = try? Handle(parsing: String(parts[1]))
            else {
                byDID.forgetAll()
                byHandle.forgetAll()
                return
            }
            byDID.forget(did)
            byHandle.forget(handle)
        }
    }

    /// The standing of `did` when it is in memory; nil says nothing. Never waits.
    func remembered(_ did: DID) -> AccountStanding? { byDID.value(for: did) }

    package func standing(of did: DID) async throws -> AccountStanding? {
        if let standing = byDID.value(for: did) { return standing }
        let ticket = byDID.ticket()
        guard let standing = try await database.read({ try AccountStore.account(did, in: $0)?.standing }) else {
            return nil
        }
        byDID.keep(standing, for: did, ticket: ticket)
        return standing
    }

    package func standing(of identifier: ATIdentifier) async throws -> AccountStanding? {
        switch identifier {
        case .did(let did): return try await standing(of: did)
        case .handle(let handle): return try await standing(ofHandle: handle)
        }
    }

    private func standing(ofHandle handle: Handle) async throws -> AccountStanding? {
        if let did = byHandle.value(for: handle), let standing = try await standing(of: did), standing.handle == handle
        {
            return standing
        }
        let tickets = (byHandle.ticket(), byDID.ticket())
        guard let standing = try await database.read({ try AccountStore.account(handle, in: $0)?.standing }) else {
            return nil
        }
        byHandle.keep(standing.did, for: handle, ticket: tickets.0)
        byDID.keep(standing, for: standing.did, ticket: tickets.1)
        return standing
    }

    package func standings(of dids: [DID]) async throws -> [AccountStanding] {
        let known = dids.compactMap { byDID.value(for: $0) }
        guard known.count < dids.count else { return known }
        let missing = Set(dids).subtracting(known.map(\.did))
        let ticket = byDID.ticket()
        let read = try await database.read { scope in
            try missing.compactMap { try AccountStore.account($0, in: scope)?.standing }
        }
        for standing in read { byDID.keep(standing, for: standing.did, ticket: ticket) }
        return known + read
    }

    package func standing(of did: DID, in scope: any ReadScope) throws -> AccountStanding? {
        try AccountStore.account(did, in: scope)?.standing
    }

    package func publicPeople(limit: Int) async throws -> [AccountStanding] {
        try await database.read { try AccountStore.newest(limit: limit, in: $0).map(\.standing) }
    }

    /// Has memory forget the account once the transaction of `scope` is on disk; that of other processes a moment later.
    func forget(_ account: AccountStanding, after scope: any WriteScope) {
        scope.announce(Self.changed, "\(account.did) \(account.handle)")
        scope.afterCommit { [self] in
            byDID.forget(account.did)
            byHandle.forget(account.handle)
        }
    }
}
