import ATProtocol
import Base
import Contracts
import Storage

/// The SQL of the sessions.
enum SessionStore {
    private static let columns = "did, id, scope, app_password, generation, rotated_at, created_at, address, agent"

    static func insert(_ family: SessionFamily, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "INSERT INTO session (\(columns), expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                .text(family.did.string), .blob(family.id), .text(family.scope.rawValue),
                .text(optional: family.appPassword), .integer(family.generation),
                .integer(family.rotatedAt.microseconds), .integer(family.createdAt.microseconds),
                .text(optional: family.device?.address), .text(optional: family.device?.agent),
                .integer(family.expiresAt.microseconds),
            ])
    }

    static func family(_ did: DID, id: [UInt8], in scope: any ReadScope) throws -> SessionFamily? {
        try scope.first(
            "SELECT \(columns) FROM session WHERE did = $1 AND id = $2", [.text(did.string), .blob(id)]
        ).map { try family($0) }
    }

    /// Writes how far the rotation has come.
    static func rotate(_ family: SessionFamily, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            UPDATE session SET generation = $3, rotated_at = $4, expires_at = $5, address = $6, agent = $7
            WHERE did = $1 AND id = $2
            """,
            [
                .text(family.did.string), .blob(family.id), .integer(family.generation),
                .integer(family.rotatedAt.microseconds), .integer(family.expiresAt.microseconds),
                .text(optional: family.device?.address), .text(optional: family.device?.agent),
            ])
    }

    /// The sessions of an account, the one rotated longest ago first.
    static func families(of did: DID, in scope: any ReadScope) throws -> [SessionFamily] {
        try scope.query(
            "SELECT \(columns) FROM session WHERE did = $1 ORDER BY rotated_at, id", [.text(did.string)]
        ).map { try family($0) }
    }

    static func remove(_ did: DID, id: [UInt8], in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM session WHERE did = $1 AND id = $2", [.text(did.string), .blob(id)])
    }

    /// Removes up to `limit` sessions whose last token has expired.
    static func removeExpired(now: Timestamp, limit: Int, in scope: any WriteScope) throws(StorageError) -> Int {
        try scope.execute(
            """
            DELETE FROM session WHERE (did, id) IN (
                SELECT did, id FROM session WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
            )
            """, [.integer(now.microseconds), .integer(limit)])
    }

    private static func family(_ row: Row) throws -> SessionFamily {
        SessionFamily(
            id: try row.blob(1), did: try DID(parsing: row.text(0)),
            scope: SessionScope(rawValue: try row.text(2)) ?? .appPassword, appPassword: try row.optionalText(3),
            generation: try row.integer(4), rotatedAt: Timestamp(microseconds: try row.integer(5)),
            createdAt: Timestamp(microseconds: try row.integer(6)),
            device: try row.optionalText(7).map { SessionDevice(address: $0, agent: try row.optionalText(8)) })
    }

    // MARK: The secret of the tokens

    /// The sealed secret; `proposed` is kept when there was none.
    static func secret(proposing proposed: [UInt8], now: Timestamp, in scope: any WriteScope) throws -> [UInt8] {
        try scope.execute(
            "INSERT INTO session_secret (id, sealed, made_at) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING",
            [.blob(proposed), .integer(now.microseconds)])
        return try scope.first("SELECT sealed FROM session_secret WHERE id = 1")?.blob(0) ?? proposed
    }
}
