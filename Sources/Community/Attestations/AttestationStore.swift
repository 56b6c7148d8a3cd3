package import ATProtocol
package import Storage

/// A row of `community_attestation`.
package struct StoredAttestation: Sendable, Hashable {
    package var key: RecordKey
    package var cid: CID
    package var record: AttestationRecord
}

/// All SQL on attestations; see `AttestationSchema`.
package enum AttestationStore {
    /// Which attestations of a community.
    package struct Filter: Sendable, Hashable {
        package var subject: DID?
        package var type: String?

        package init(subject: DID? = nil, type: String? = nil) {
            self.subject = subject
            self.type = type
        }
    }

    // MARK: Derived

    static func put(_ attestation: StoredAttestation, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO community_attestation (community, rkey, subject, type, cid, record)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (community, rkey) DO UPDATE SET
                subject = excluded.subject, type = excluded.type, cid = excluded.cid, record = excluded.record
            """,
            [
                .text(community.string), .text(attestation.key.string), .text(attestation.record.subject.string),
                .text(attestation.record.type), .blob(attestation.cid.bytes), .blob(attestation.record.value.cbor()),
            ])
    }

    static func remove(_ key: RecordKey, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "DELETE FROM community_attestation WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(key.string)])
    }

    static func removeAll(of community: DID, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM community_attestation WHERE community = $1", [.text(community.string)])
    }

    /// One attestation, or nil.
    static func attestation(
        _ key: RecordKey, of community: DID, in scope: any ReadScope
    ) throws -> StoredAttestation? {
        try scope.first(
            "SELECT rkey, cid, record FROM community_attestation WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(key.string)]
        ).flatMap(attestation)
    }

    /// A page, the newest key first; `before` is the last key of the page before.
    static func attestations(
        of community: DID, _ filter: Filter, before: RecordKey?, limit: Int, in scope: any ReadScope
    ) throws -> [StoredAttestation] {
        var conditions = ["community = $1"]
        var parameters: [SQLValue] = [.text(community.string), .integer(limit)]
        for (condition, value) in [
            ("subject =", filter.subject?.string), ("type =", filter.type), ("rkey <", before?.string),
        ] {
            guard let value else { continue }
            parameters.append(.text(value))
            conditions.append("\(condition) $\(parameters.count)")
        }
        return try scope.query(
            """
            SELECT rkey, cid, record FROM community_attestation WHERE \(conditions.joined(separator: " AND "))
            ORDER BY rkey DESC LIMIT $2
            """, parameters
        ).compactMap(attestation)
    }

    private static func attestation(_ row: Row) throws -> StoredAttestation? {
        guard let record = AttestationRecord(try DataValue(cbor: row.blob(2))) else { return nil }
        return StoredAttestation(
            key: try RecordKey(parsing: row.text(0)), cid: try CID(bytes: row.blob(1)), record: record)
    }

    // MARK: Salts

    static func keepSalts(
        _ sealed: [UInt8], of key: RecordKey, in community: DID, _ scope: any WriteScope
    ) throws {
        try scope.execute(
            "INSERT INTO community_attestation_salt (community, rkey, sealed) VALUES ($1, $2, $3)",
            [.text(community.string), .text(key.string), .blob(sealed)])
    }

    static func salts(of key: RecordKey, in community: DID, _ scope: any ReadScope) throws -> [UInt8]? {
        try scope.first(
            "SELECT sealed FROM community_attestation_salt WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(key.string)]
        ).map { try $0.blob(0) }
    }

    static func removeSalts(of key: RecordKey, in community: DID, _ scope: any WriteScope) throws {
        try scope.execute(
            "DELETE FROM community_attestation_salt WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(key.string)])
    }

    /// Forgets what opens the hidden claims of a community that is gone.
    package static func removeSalts(ofCommunity community: DID, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM community_attestation_salt WHERE community = $1", [.text(community.string)])
    }
}
