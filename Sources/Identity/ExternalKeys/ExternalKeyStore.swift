package import ATProtocol
import Base
import Storage

/// A key as somebody publishes it.
package struct PublishedKey: Sendable, Hashable {
    package var did: DID
    package var rkey: RecordKey
    package var key: ExternalKey
    package var purpose: String
    package var label: String?
    /// Whether the record holds a proof that its owner has the key, and it holds.
    package var isProven: Bool
    /// As the record says.
    package var createdAt: Datetime

    /// Longest purpose, in bytes.
    static let purposeLengthMax = 64
    static let labelLengthMax = 100

    /// Nil when a record holds no key that would be taken here.
    init?(_ record: DataValue, did: DID, rkey: RecordKey) {
        guard let kind = record["type"]?.stringValue.flatMap({ ExternalKey.Kind(rawValue: $0) }),
            let text = record["publicKey"]?.stringValue, let key = try? ExternalKey(text, kind: kind),
            let purpose = record["purpose"]?.stringValue, (1...Self.purposeLengthMax).contains(purpose.utf8.count),
            let moment = record["createdAt"]?.stringValue, let createdAt = try? Datetime(parsing: moment)
        else { return nil }
        self.did = did
        self.rkey = rkey
        self.key = key
        self.purpose = purpose.replacing("\0", with: "")
        self.createdAt = createdAt
        label = record["label"]?.stringValue?.replacing("\0", with: "")
        isProven = false
        if let proof = record["proof"], let challenge = proof["challenge"]?.stringValue,
            let signature = proof["signature"]?.stringValue
        {
            isProven = KeyChallenge.isProof(challenge, signature, of: key, by: did)
        }
    }

    /// From the columns of the table.
    fileprivate init?(_ row: Row) throws {
        guard let kind = ExternalKey.Kind(rawValue: try row.text(2)) else { return nil }
        did = try DID(parsing: row.text(0))
        rkey = try RecordKey(parsing: row.text(1))
        key = try ExternalKey(try row.text(4), kind: kind)
        purpose = try row.text(3)
        label = try row.optionalText(5)
        isProven = try row.boolean(6)
        createdAt = try Datetime(parsing: row.text(7))
    }
}

/// The SQL of the keys from other networks.
enum ExternalKeyStore {
    private static let columns = "did, rkey, kind, purpose, public_key, label, proven, created_at"

    static func set(_ key: PublishedKey, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO external_key (\(columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (did, rkey) DO UPDATE SET
                kind = excluded.kind, purpose = excluded.purpose, public_key = excluded.public_key,
                label = excluded.label, proven = excluded.proven, created_at = excluded.created_at
            """,
            [
                .text(key.did.string), .text(key.rkey.string), .text(key.key.kind.rawValue), .text(key.purpose),
                .text(key.key.text), .text(optional: key.label), .boolean(key.isProven),
                .text(key.createdAt.string),
            ])
    }

    static func remove(_ did: DID, rkey: RecordKey, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "DELETE FROM external_key WHERE did = $1 AND rkey = $2", [.text(did.string), .text(rkey.string)])
    }

    static func removeAll(of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM external_key WHERE did = $1", [.text(did.string)])
    }

    static func key(_ did: DID, rkey: RecordKey, in scope: any ReadScope) throws -> PublishedKey? {
        try scope.first(
            "SELECT \(columns) FROM external_key WHERE did = $1 AND rkey = $2",
            [.text(did.string), .text(rkey.string)]
        ).flatMap { try PublishedKey($0) }
    }

    /// The keys of an account behind `rkey`, by record key.
    static func list(
        _ did: DID, purpose: String?, after rkey: String?, limit: Int, in scope: any ReadScope
    ) throws -> [PublishedKey] {
        var parameters: [SQLValue] = [.text(did.string), .text(rkey ?? ""), .integer(limit)]
        var condition = ""
        if let purpose {
            parameters.append(.text(purpose))
            condition = "AND purpose = $4"
        }
        return try scope.query(
            "SELECT \(columns) FROM external_key WHERE did = $1 AND rkey > $2 \(condition) ORDER BY rkey LIMIT $3",
            parameters
        ).compactMap { try PublishedKey($0) }
    }

    /// Who publishes a key: those who proved it first, then the oldest first.
    static func owners(
        of publicKey: String, purpose: String?, limit: Int, in scope: any ReadScope
    ) throws -> [PublishedKey] {
        var parameters: [SQLValue] = [.text(publicKey), .integer(limit)]
        var condition = ""
        if let purpose {
            parameters.append(.text(purpose))
            condition = "AND purpose = $3"
        }
        return try scope.query(
            """
            SELECT \(columns) FROM external_key WHERE public_key = $1 \(condition)
            ORDER BY proven DESC, created_at, did LIMIT $2
            """, parameters
        ).compactMap { try PublishedKey($0) }
    }
}
