package import ATProtocol
package import Base
import Contracts
package import Storage

/// Which entries of the audit are asked for; nil leaves a part open.
package struct AuditFilter: Sendable, Hashable {
    /// One, or the beginning of several when it ends in a full stop: `account.`.
    package var action: AuditEntry.Action?
    /// A DID, or one of `operator` and `server`.
    package var actor: String?
    package var target: String?
    /// The oldest moment, included.
    package var since: Timestamp?
    /// The newest moment, not included.
    package var until: Timestamp?

    package init(
        action: AuditEntry.Action? = nil, actor: String? = nil, target: String? = nil, since: Timestamp? = nil,
        until: Timestamp? = nil
    ) {
        self.action = action
        self.actor = actor
        self.target = target
        self.since = since
        self.until = until
    }
}

/// An entry with its number, which grows with time.
package struct NumberedAuditEntry: Sendable, Hashable {
    package var id: Int64
    package var entry: AuditEntry
}

/// Reading what was done.
package struct AuditService: Sendable {
    private let database: any Database
    private let standings: AccountStandings

    package init(database: any Database, standings: AccountStandings) {
        self.database = database
        self.standings = standings
    }

    /// A page of the entries, the newest first.
    ///
    /// - Parameter before: goes on behind the entry of this number, however many have come since.
    /// - Returns: the page and the number of all that the filter lets through.
    package func list(
        _ filter: AuditFilter, before: Int64? = nil, limit: Int, offset: Int = 0
    ) async throws -> Page<NumberedAuditEntry> {
        try await database.read {
            Page(
                items: try AuditStore.list(filter, before: before, limit: limit, offset: offset, in: $0),
                total: try AuditStore.count(filter, in: $0))
        }
    }

    /// The handles of those who acted, as far as they live here.
    package func handles(of entries: [NumberedAuditEntry]) async throws -> [DID: Handle] {
        let actors = Set(entries.compactMap { if case .account(let did) = $0.entry.actor { did } else { nil } })
        let found = try await standings.standings(of: Array(actors))
        return Dictionary(found.map { ($0.did, $0.handle) }, uniquingKeysWith: { first, _ in first })
    }
}
