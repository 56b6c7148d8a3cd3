package import ATProtocol
package import Base
import Storage

/// An invite code and what became of it.
package struct Invite: Sendable, Hashable {
    package var code: String
    package var usesMax: Int
    package var uses: Int
    package var createdAt: Timestamp
    /// Nil for codes of the operator.
    package var createdBy: DID?
    package var expiresAt: Timestamp?
    /// The only address that may use it, in lower case.
    package var boundTo: String?
    package var note: String?
    package var disabledAt: Timestamp?

    /// What an invite is good for.
    package enum Status: String, Sendable, Hashable, CaseIterable {
        case active
        case expired
        case exhausted
        case disabled
    }

    /// What it is good for at `now`.
    package func status(now: Timestamp) -> Status {
        if disabledAt != nil { return .disabled }
        if uses >= usesMax { return .exhausted }
        if let expiresAt, expiresAt <= now { return .expired }
        return .active
    }
}

/// The SQL of the invites.
enum InviteStore {
    private static let columns =
        "code, uses_max, uses, created_at, created_by, expires_at, bound_to, note, disabled_at"

    static func insert(_ invite: Invite, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "INSERT INTO invite (\(columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                .text(invite.code), .integer(invite.usesMax), .integer(invite.uses),
                .integer(invite.createdAt.microseconds), .text(optional: invite.createdBy?.string),
                .integer(optional: invite.expiresAt?.microseconds), .text(optional: invite.boundTo),
                .text(optional: invite.note), .integer(optional: invite.disabledAt?.microseconds),
            ])
    }

    static func invite(_ code: String, in scope: any ReadScope) throws -> Invite? {
        try scope.first("SELECT \(columns) FROM invite WHERE code = $1", [.text(code)]).map { try invite($0) }
    }

    /// Counts one more use; false when none was left.
    static func use(_ code: String, by did: DID, now: Timestamp, in scope: any WriteScope) throws(StorageError) -> Bool
    {
        let changed = try scope.execute(
            "UPDATE invite SET uses = uses + 1 WHERE code = $1 AND uses < uses_max", [.text(code)])
        guard changed == 1 else { return false }
        try scope.execute(
            "INSERT INTO invite_use (code, did, used_at) VALUES ($1, $2, $3)",
            [.text(code), .text(did.string), .integer(now.microseconds)])
        return true
    }

    /// Takes a use back: the account it was for was not made.
    static func giveBack(_ code: String, of did: DID, in scope: any WriteScope) throws(StorageError) {
        let removed = try scope.execute(
            "DELETE FROM invite_use WHERE code = $1 AND did = $2", [.text(code), .text(did.string)])
        guard removed == 1 else { return }
        try scope.execute("UPDATE invite SET uses = uses - 1 WHERE code = $1", [.text(code)])
    }

    /// A page of invites, the newest first, and how many there are in all.
    static func list(
        _ status: Invite.Status?, now: Timestamp, limit: Int, offset: Int, in scope: any ReadScope
    ) throws -> (invites: [Invite], total: Int) {
        let condition =
            switch status {
            case nil: "WHERE created_at <> $1"
            case .active?:
                "WHERE disabled_at IS NULL AND uses < uses_max AND (expires_at IS NULL OR expires_at > $1)"
            case .expired?: "WHERE disabled_at IS NULL AND uses < uses_max AND expires_at <= $1"
            case .exhausted?: "WHERE disabled_at IS NULL AND uses >= uses_max AND created_at <> $1"
            case .disabled?: "WHERE disabled_at IS NOT NULL AND created_at <> $1"
            }
        // Every form names $1, so that the parameters are the same: no invite is made at the end of time.
        let needsNow = status == .active || status == .expired
        let moment: SQLValue = .integer(needsNow ? now.microseconds : .max)
        let total = try scope.first("SELECT COUNT(*) FROM invite \(condition)", [moment])?.integer(0) ?? 0
        let rows = try scope.query(
            "SELECT \(columns) FROM invite \(condition) ORDER BY created_at DESC, code LIMIT $2 OFFSET $3",
            [moment, .integer(limit), .integer(offset)])
        return (try rows.map { try invite($0) }, Int(total))
    }

    private static func invite(_ row: Row) throws -> Invite {
        Invite(
            code: try row.text(0), usesMax: Int(try row.integer(1)), uses: Int(try row.integer(2)),
            createdAt: Timestamp(microseconds: try row.integer(3)),
            createdBy: try row.optionalText(4).map { try DID(parsing: $0) },
            expiresAt: try row.optionalInteger(5).map { Timestamp(microseconds: $0) },
            boundTo: try row.optionalText(6), note: try row.optionalText(7),
            disabledAt: try row.optionalInteger(8).map { Timestamp(microseconds: $0) })
    }
}
