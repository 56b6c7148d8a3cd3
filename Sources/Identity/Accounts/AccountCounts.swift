import ATProtocol
package import Contracts
import Storage

/// How many accounts there are, kept with every change: asking costs a few rows, however many people live here.
package struct AccountCounts: Sendable, Hashable {
    private struct Class: Sendable, Hashable {
        var kind: AccountKind
        var status: AccountStatus
    }

    private var byClass: [Class: Int64] = [:]

    /// Those of one status; nil is all.
    package func count(of status: AccountStatus?, kind: AccountKind = .person) -> Int64 {
        byClass.reduce(0) { sum, entry in
            let isMeant = entry.key.kind == kind && (status == nil || entry.key.status == status)
            return isMeant ? sum + entry.value : sum
        }
    }

    // MARK: The SQL

    static func counts(in scope: any ReadScope) throws(StorageError) -> AccountCounts {
        var counts = AccountCounts()
        for row in try scope.query("SELECT kind, status, amount FROM account_count") {
            // An account of a kind or status that isn't known here is one that nobody may use.
            let known = Class(
                kind: AccountKind(rawValue: try row.text(0)) ?? .community,
                status: AccountStatus(rawValue: try row.text(1)) ?? .disabled)
            counts.byClass[known, default: 0] += try row.integer(2)
        }
        return counts
    }

    static func add(_ account: AccountRow, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO account_count (kind, status, amount) VALUES ($1, $2, 1)
            ON CONFLICT (kind, status) DO UPDATE SET amount = account_count.amount + 1
            """, [.text(account.kind.rawValue), .text(account.status.rawValue)])
    }

    /// Takes the account off the kind and status it has.
    static func subtract(_ did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            UPDATE account_count SET amount = amount - 1
            WHERE (kind, status) = (SELECT kind, status FROM account WHERE did = $1)
            """, [.text(did.string)])
    }
}

extension AccountService {
    /// How many accounts there are. Nothing is counted for it.
    package func counts() async throws -> AccountCounts {
        try await database.read { try AccountCounts.counts(in: $0) }
    }
}
