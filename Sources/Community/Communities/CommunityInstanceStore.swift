package import ATProtocol
package import Base
import Storage

/// What the server itself keeps of a community, besides its records.
package struct CommunityInstance: Sendable, Hashable {
    package var did: DID
    /// `plc` or `web`.
    package var method: String
    package var createdBy: DID
    package var createdAt: Timestamp
    package var statusReason: String?
    package var exportedAt: Timestamp?
    /// Whether everybody may find it in the list.
    package var isListed: Bool
}

/// A community in a list, with what its instance and its records say.
package struct ListedCommunity: Sendable, Hashable {
    package var instance: CommunityInstance
    package var row: CommunityRow
}

/// A membership in a list of somebody's communities.
package struct ListedMembership: Sendable, Hashable {
    package var community: ListedCommunity
    package var joinedAt: Timestamp
    package var role: CommunityRoleRow?
}

/// The SQL of the table `community` and of the lists over it.
enum CommunityInstanceStore {
    private static let columns =
        "c.did, c.method, c.created_by, c.created_at, c.status_reason, c.exported_at, c.listed"
    private static let profileColumns =
        """
        p.community, p.visibility, p.join_policy, p.model, p.config, p.display_name, p.description, p.member_count
        """

    static func insert(_ instance: CommunityInstance, in scope: any WriteScope) throws {
        try scope.execute(
            "INSERT INTO community (did, method, created_by, created_at, listed) VALUES ($1, $2, $3, $4, $5)",
            [
                .text(instance.did.string), .text(instance.method), .text(instance.createdBy.string),
                .integer(instance.createdAt.microseconds), .boolean(instance.isListed),
            ])
        try count(1, isListed: instance.isListed, in: scope)
    }

    static func instance(_ did: DID, in scope: any ReadScope) throws -> CommunityInstance? {
        try scope.first("SELECT \(columns) FROM community c WHERE c.did = $1", [.text(did.string)]).map(instance)
    }

    static func setReason(_ reason: String?, of did: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE community SET status_reason = $2 WHERE did = $1", [.text(did.string), .text(optional: reason)])
    }

    static func setExported(_ moment: Timestamp, of did: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE community SET exported_at = $2 WHERE did = $1",
            [.text(did.string), .integer(moment.microseconds)])
    }

    static func setSealedExport(_ archive: [UInt8], at moment: Timestamp, of did: DID, in scope: any WriteScope) throws
    {
        try scope.execute(
            "UPDATE community SET exported_at = $2, sealed_export = $3 WHERE did = $1",
            [.text(did.string), .integer(moment.microseconds), .blob(archive)])
    }

    static func sealedExport(of did: DID, in scope: any ReadScope) throws -> [UInt8]? {
        try scope.first("SELECT sealed_export FROM community WHERE did = $1", [.text(did.string)])?.optionalBlob(0)
    }

    static func setListed(_ isListed: Bool, of did: DID, in scope: any WriteScope) throws {
        let changed = try scope.execute(
            "UPDATE community SET listed = $2 WHERE did = $1 AND listed <> $2",
            [.text(did.string), .boolean(isListed)])
        guard changed > 0 else { return }
        try count(1, isListed: isListed, in: scope)
        try count(-1, isListed: !isListed, in: scope)
    }

    static func remove(_ did: DID, in scope: any WriteScope) throws {
        guard let instance = try instance(did, in: scope) else { return }
        try scope.execute("DELETE FROM community WHERE did = $1", [.text(did.string)])
        try count(-1, isListed: instance.isListed, in: scope)
    }

    private static func count(_ change: Int, isListed: Bool, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO community_count (listed, amount) VALUES ($1, $2)
            ON CONFLICT (listed) DO UPDATE SET amount = community_count.amount + excluded.amount
            """, [.boolean(isListed), .integer(change)])
    }

    // MARK: Lists

    /// How many there are; of the listed ones if asked.
    static func total(onlyListed: Bool, in scope: any ReadScope) throws -> Int64 {
        try scope.query("SELECT listed, amount FROM community_count", []).reduce(0) { sum, row in
            try row.boolean(0) || !onlyListed ? sum + row.integer(1) : sum
        }
    }

    /// Listed communities that somebody belongs to: a walk over their own memberships.
    static func listedCount(with member: DID, in scope: any ReadScope) throws -> Int64 {
        try scope.first(
            """
            SELECT COUNT(*) FROM community_member m JOIN community c ON c.did = m.community
            WHERE m.did = $1 AND c.listed = 1
            """, [.text(member.string)])?.integer(0) ?? 0
    }

    /// The newest communities first.
    ///
    /// - Parameters:
    ///   - member: whose own are left out.
    ///   - term: what the name or description contains, in lower case.
    static func list(
        onlyListed: Bool, without member: DID?, term: String?, limit: Int, offset: Int, in scope: any ReadScope
    ) throws -> [ListedCommunity] {
        var parameters: [SQLValue] = [.integer(limit), .integer(offset)]
        var conditions: [String] = onlyListed ? ["c.listed = 1"] : []
        if let member {
            parameters.append(.text(member.string))
            conditions.append(
                """
                NOT EXISTS (SELECT 1 FROM community_member m WHERE m.community = c.did AND m.did = $\(parameters.count))
                """)
        }
        if let term {
            parameters.append(.text("%" + escaped(term) + "%"))
            conditions.append(
                """
                (LOWER(p.display_name) LIKE $\(parameters.count) ESCAPE '\\' \
                OR LOWER(p.description) LIKE $\(parameters.count) ESCAPE '\\')
                """)
        }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        return try scope.query(
            """
            SELECT \(columns), \(profileColumns) FROM community c JOIN community_profile p ON p.community = c.did
            \(filter) ORDER BY c.created_at DESC, c.did DESC LIMIT $1 OFFSET $2
            """, parameters
        ).map(listed)
    }

    /// The communities somebody belongs to, in the order of their DIDs.
    static func memberships(
        of member: DID, limit: Int, offset: Int, in scope: any ReadScope
    ) throws -> [ListedMembership] {
        try scope.query(
            """
            SELECT \(columns), \(profileColumns), m.joined_at, r.rkey, r.name, r.description, r.permissions
            FROM community_member m JOIN community c ON c.did = m.community
            JOIN community_profile p ON p.community = m.community
            LEFT JOIN community_role r ON r.community = m.community AND r.rkey = m.role
            WHERE m.did = $1 ORDER BY m.community LIMIT $2 OFFSET $3
            """, [.text(member.string), .integer(limit), .integer(offset)]
        ).map { row in
            var role: CommunityRoleRow?
            if let rkey = try row.optionalText(16) {
                role = CommunityRoleRow(
                    rkey: try RecordKey(parsing: rkey),
                    role: CommunityRole(
                        name: try row.text(17), description: try row.optionalText(18),
                        permissions: CommunityPermissions(bits: try row.integer(19))))
            }
            return ListedMembership(
                community: try listed(row), joinedAt: Timestamp(microseconds: try row.integer(15)), role: role)
        }
    }

    static func escaped(_ term: String) -> String {
        term.replacing("\\", with: "\\\\").replacing("%", with: "\\%").replacing("_", with: "\\_")
    }

    private static func instance(_ row: Row) throws -> CommunityInstance {
        CommunityInstance(
            did: try DID(parsing: row.text(0)), method: try row.text(1), createdBy: try DID(parsing: row.text(2)),
            createdAt: Timestamp(microseconds: try row.integer(3)), statusReason: try row.optionalText(4),
            exportedAt: try row.optionalInteger(5).map { Timestamp(microseconds: $0) },
            isListed: try row.boolean(6))
    }

    private static func listed(_ row: Row) throws -> ListedCommunity {
        ListedCommunity(
            instance: try instance(row), row: try CommunityStore.community(row, from: 7))
    }
}
