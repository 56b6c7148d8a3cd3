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

    /// The newest entries that a filter lets through.
    static func list(
        _ filter: AuditFilter, before: Int64?, limit: Int, offset: Int, in scope: any ReadScope
    ) throws -> [NumberedAuditEntry] {
        var (conditions, parameters) = conditions(filter)
        if let before {
            parameters.append(.integer(before))
            conditions.append("id < $\(parameters.count)")
        }
        return try scope.query(
            """
            SELECT action, actor, target, meta, time, id FROM audit_entry \(clause(conditions)) ORDER BY id DESC
            LIMIT $\(parameters.count + 1) OFFSET $\(parameters.count + 2)
            """, parameters + [.integer(limit), .integer(offset)]
        ).map { NumberedAuditEntry(id: try $0.integer(5), entry: try entry($0)) }
    }

    /// How many entries a filter lets through. Walks over their part of an index.
    static func count(_ filter: AuditFilter, in scope: any ReadScope) throws -> Int {
        let (conditions, parameters) = conditions(filter)
        let row = try scope.first("SELECT COUNT(*) FROM audit_entry \(clause(conditions))", parameters)
        return Int(try row?.integer(0) ?? 0)
    }

    private static func conditions(_ filter: AuditFilter) -> ([String], [SQLValue]) {
        var conditions: [String] = []
        var parameters: [SQLValue] = []
        func add(_ test: String, _ value: SQLValue?) {
            guard let value else { return }
            parameters.append(value)
            conditions.append("\(test) $\(parameters.count)")
        }
        if let action = filter.action?.rawValue, action.hasSuffix(".") {
            add("action >=", .text(action))
            // The slash is the character behind the full stop.
            add("action <", .text(action.dropLast() + "/"))
        } else {
            add("action =", filter.action.map { .text($0.rawValue) })
        }
        add("actor =", filter.actor.map { .text($0) })
        add("target =", filter.target.map { .text($0) })
        add("time >=", filter.since.map { .integer($0.microseconds) })
        add("time <", filter.until.map { .integer($0.microseconds) })
        return (conditions, parameters)
    }

    private static func clause(_ conditions: [String]) -> String {
        conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
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
