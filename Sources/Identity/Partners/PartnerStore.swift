import ATProtocol
import Base
import Crypto
import Storage

/// The SQL of partner keys and of what was registered with them.
enum PartnerStore {
    private static let columns = """
        id, prefix, name, partner_name, origins, hourly_max, created_at, created_by, revoked_at, last_used_at, \
        registrations, verified_at
        """

    static func insert(
        _ key: PartnerKey, digest: SHA256Digest, proofDigest: SHA256Digest, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO partner_key (\(columns), digest, proof_digest)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, NULL, 0, NULL, $9, $10)
            """,
            [
                .text(key.id), .text(key.prefix), .text(key.name), .text(key.partnerName),
                .text(key.origins.joined(separator: " ")), .integer(key.hourlyMax),
                .integer(key.createdAt.microseconds), .text(optional: key.createdBy?.string), .blob(Array(digest)),
                .blob(Array(proofDigest)),
            ])
    }

    static func key(_ id: String, in scope: any ReadScope) throws -> PartnerKey? {
        try scope.first("SELECT \(columns) FROM partner_key WHERE id = $1", [.text(id)]).map { try key($0) }
    }

    /// The keys that begin so, each with what is kept of it. Nearly always one or none.
    static func keys(prefix: String, in scope: any ReadScope) throws -> [(key: PartnerKey, digest: [UInt8])] {
        try scope.query("SELECT \(columns), digest FROM partner_key WHERE prefix = $1", [.text(prefix)])
            .map { (try key($0), try $0.blob(12)) }
    }

    static func proofDigest(_ id: String, in scope: any ReadScope) throws(StorageError) -> [UInt8]? {
        try scope.first("SELECT proof_digest FROM partner_key WHERE id = $1", [.text(id)])?.blob(0)
    }

    /// Keys behind `id`, the newest first.
    static func list(after id: String?, limit: Int, in scope: any ReadScope) throws -> [PartnerKey] {
        let condition =
            id == nil
            ? ""
            : "WHERE (created_at, id) < (SELECT created_at, id FROM partner_key WHERE id = $2)"
        let parameters: [SQLValue] = [.integer(limit)] + (id.map { [.text($0)] } ?? [])
        return try scope.query(
            "SELECT \(columns) FROM partner_key \(condition) ORDER BY created_at DESC, id DESC LIMIT $1", parameters
        ).map { try key($0) }
    }

    static func revoke(_ id: String, now: Timestamp, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "UPDATE partner_key SET revoked_at = $2 WHERE id = $1", [.text(id), .integer(now.microseconds)])
    }

    static func setVerified(_ id: String, now: Timestamp, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "UPDATE partner_key SET verified_at = $2 WHERE id = $1", [.text(id), .integer(now.microseconds)])
    }

    // MARK: Registrations

    static func addRegistration(
        _ did: DID, with id: String, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            "INSERT INTO partner_registration (key_id, did, time) VALUES ($1, $2, $3)",
            [.text(id), .text(did.string), .integer(now.microseconds)])
        try scope.execute(
            "UPDATE partner_key SET registrations = registrations + 1, last_used_at = $2 WHERE id = $1",
            [.text(id), .integer(now.microseconds)])
    }

    /// The moment of the registration that is the `count`th newest, if it is not before `since`: as long as there is one, a
    /// limit of `count` is used up.
    static func registration(
        _ count: Int, of id: String, since: Timestamp, in scope: any ReadScope
    ) throws(StorageError) -> Timestamp? {
        guard
            let row = try scope.first(
                """
                SELECT time FROM partner_registration WHERE key_id = $1 AND time > $2
                ORDER BY time DESC LIMIT 1 OFFSET $3
                """, [.text(id), .integer(since.microseconds), .integer(count - 1)])
        else { return nil }
        return Timestamp(microseconds: try row.integer(0))
    }

    private static func key(_ row: Row) throws -> PartnerKey {
        PartnerKey(
            id: try row.text(0), name: try row.text(2), partnerName: try row.text(3), prefix: try row.text(1),
            origins: try row.text(4).split(separator: " ").map(String.init), hourlyMax: Int(try row.integer(5)),
            createdAt: Timestamp(microseconds: try row.integer(6)),
            createdBy: try row.optionalText(7).map { try DID(parsing: $0) },
            revokedAt: try row.optionalInteger(8).map { Timestamp(microseconds: $0) },
            lastUsedAt: try row.optionalInteger(9).map { Timestamp(microseconds: $0) },
            registrationCount: try row.integer(10),
            verifiedAt: try row.optionalInteger(11).map { Timestamp(microseconds: $0) })
    }
}
