import ATProtocol
import Base
package import Storage

/// The rows of the audit. Entries are written in the transaction of what they tell, and never changed.
package enum AuditStore {
    static let ids = SequenceName("audit.entry")
    /// How long entries of sessions are kept; those of accounts stay.
    static let sessionEntriesAgeMax = Duration.seconds(90 * 86_400)
    /// Entries removed in one transaction.
    static let removalsMax = 500

    /// Adds an entry in the caller's transaction.
    package static func append(_ entry: AuditEntry, in scope: any WriteScope) throws(StorageError) {
        let id = try scope.advance(ids, by: 1)
        try scope.enqueue(
            "INSERT INTO audit_entry (id, time, action, actor, target, meta) VALUES ($1, $2, $3, $4, $5, $6)",
            [
                .integer(id), .integer(entry.time.microseconds), .text(entry.action.rawValue),
                .text(optional: entry.actor.stored), .text(optional: entry.target),
                .blob(DataValue.map(entry.meta).cbor()),
            ])
    }

    /// The newest entries, at most `limit`; of one kind or about one target if asked.
    package static func entries(
        action: AuditEntry.Action? = nil, target: String? = nil, limit: Int, offset: Int = 0, in scope: any ReadScope
    ) throws -> [AuditEntry] {
        var conditions: [String] = []
        var parameters: [SQLValue] = [.integer(limit), .integer(offset)]
        for (column, value) in [("action", action?.rawValue), ("target", target)] {
            guard let value else { continue }
            parameters.append(.text(value))
            conditions.append("\(column) = $\(parameters.count)")
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        return try scope.query(
            "SELECT action, actor, target, meta, time FROM audit_entry \(filter) ORDER BY id DESC LIMIT $1 OFFSET $2",
            parameters
        ).map(entry(_:))
    }

    /// Removes up to `removalsMax` entries of sessions that are past their age.
    /// - Returns: the number removed.
    static func removeExpired(now: Timestamp, in scope: any WriteScope) throws(StorageError) -> Int {
        let cutoff = now.advanced(by: .zero - sessionEntriesAgeMax)
        return try scope.execute(
            """
            DELETE FROM audit_entry WHERE id IN (
                SELECT id FROM audit_entry WHERE action >= 'session.' AND action < 'session/' AND time < $1 LIMIT $2
            )
            """, [.integer(cutoff.microseconds), .integer(removalsMax)])
    }

    private static func entry(_ row: Row) throws -> AuditEntry {
        let meta = try DataValue(cbor: row.blob(3)).mapValue ?? [:]
        return AuditEntry(
            AuditEntry.Action(rawValue: try row.text(0)), by: AuditEntry.Actor(stored: try row.optionalText(1)),
            target: try row.optionalText(2), meta: meta, time: Timestamp(microseconds: try row.integer(4)))
    }
}
