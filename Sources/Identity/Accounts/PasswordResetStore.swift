import ATProtocol
import Base
import Storage

/// The SQL of the links that set a new password: one for each account at most, known by their digest alone.
enum PasswordResetStore {
    /// Keeps a link; the one before is worth nothing from now on.
    static func replace(
        _ digest: [UInt8], of did: DID, now: Timestamp, expiresAt: Timestamp, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO password_reset (did, digest, made_at, expires_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (did) DO UPDATE SET
                digest = excluded.digest, made_at = excluded.made_at, expires_at = excluded.expires_at
            """,
            [.text(did.string), .blob(digest), .integer(now.microseconds), .integer(expiresAt.microseconds)])
    }

    /// Whose link it is, if it works at `now`.
    static func owner(of digest: [UInt8], now: Timestamp, in scope: any ReadScope) throws -> DID? {
        try scope.first(
            "SELECT did FROM password_reset WHERE digest = $1 AND expires_at > $2",
            [.blob(digest), .integer(now.microseconds)]
        ).map { try DID(parsing: $0.text(0)) }
    }

    static func remove(_ did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM password_reset WHERE did = $1", [.text(did.string)])
    }

    static func removeAll(in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM password_reset")
    }

    static func removeExpired(now: Timestamp, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM password_reset WHERE expires_at <= $1", [.integer(now.microseconds)])
    }
}
