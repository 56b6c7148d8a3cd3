import ATProtocol
import Base
import Storage

/// The SQL of keys in custody. Secrets go in and out sealed.
enum KeyStore {
    /// A key as its table holds it.
    struct SealedKey: Sendable, Hashable {
        var publicKey: PublicKey
        var sealed: [UInt8]
    }

    static func key(owner: String, purpose: KeyPurpose, in scope: any ReadScope) throws -> SealedKey? {
        try scope.first(
            "SELECT public_key, sealed FROM directory_key WHERE owner = $1 AND purpose = $2",
            [.text(owner), .text(purpose.name)]
        ).map { try key($0) }
    }

    /// Keeps a key; false when its owner has one for the purpose already.
    @discardableResult
    static func insert(
        _ key: SealedKey, owner: String, purpose: KeyPurpose, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) -> Bool {
        try scope.execute(
            """
            INSERT INTO directory_key (owner, purpose, public_key, sealed, made_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (owner, purpose) DO NOTHING
            """,
            [
                .text(owner), .text(purpose.name), .text(key.publicKey.didKey), .blob(key.sealed),
                .integer(now.microseconds),
            ]) == 1
    }

    static func remove(owner: String, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM directory_key WHERE owner = $1", [.text(owner)])
    }

    // MARK: Reserved keys

    static func reserve(
        _ key: SealedKey, did: DID?, expiresAt: Timestamp, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            "INSERT INTO directory_reserved_key (public_key, did, sealed, expires_at) VALUES ($1, $2, $3, $4)",
            [
                .text(key.publicKey.didKey), .text(optional: did?.string), .blob(key.sealed),
                .integer(expiresAt.microseconds),
            ])
    }

    /// The key reserved for `did` that has not expired.
    static func reserved(for did: DID, now: Timestamp, in scope: any ReadScope) throws -> SealedKey? {
        try scope.first(
            "SELECT public_key, sealed FROM directory_reserved_key WHERE did = $1 AND expires_at > $2",
            [.text(did.string), .integer(now.microseconds)]
        ).map { try key($0) }
    }

    /// The reserved key with this public key that has not expired.
    static func reserved(_ publicKey: PublicKey, now: Timestamp, in scope: any ReadScope) throws -> SealedKey? {
        try scope.first(
            "SELECT public_key, sealed FROM directory_reserved_key WHERE public_key = $1 AND expires_at > $2",
            [.text(publicKey.didKey), .integer(now.microseconds)]
        ).map { try key($0) }
    }

    static func removeReserved(_ publicKey: PublicKey, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM directory_reserved_key WHERE public_key = $1", [.text(publicKey.didKey)])
    }

    static func reservedCount(in scope: any ReadScope) throws(StorageError) -> Int {
        Int(try scope.first("SELECT COUNT(*) FROM directory_reserved_key")?.integer(0) ?? 0)
    }

    /// Forgets keys that nobody claimed in time.
    @discardableResult
    static func removeExpired(now: Timestamp, in scope: any WriteScope) throws(StorageError) -> Int {
        try scope.execute("DELETE FROM directory_reserved_key WHERE expires_at <= $1", [.integer(now.microseconds)])
    }

    private static func key(_ row: Row) throws -> SealedKey {
        SealedKey(publicKey: try PublicKey(didKey: row.text(0)), sealed: try row.blob(1))
    }
}
