package import ATProtocol
import Base
package import Storage

/// A community's derived row.
package struct CommunityRow: Sendable, Hashable {
    package var did: DID
    package var visibility: CommunitySettings.Visibility
    package var joinPolicy: CommunitySettings.JoinPolicy
    package var model: String
    package var config: DataMap
    package var displayName: String?
    package var description: String?
    package var memberCount: Int64
}

/// A member with the key of their record.
package struct CommunityMemberRow: Sendable, Hashable {
    package var rkey: RecordKey
    package var member: CommunityMember
}

/// A role with the key of its record.
package struct CommunityRoleRow: Sendable, Hashable {
    package var rkey: RecordKey
    package var role: CommunityRole
}

/// The SQL of what is derived from a community's records.
package enum CommunityStore {
    private static let memberColumns = "rkey, did, role, handle, joined_at, kind, tags, attributes"

    // MARK: Reading

    /// What the records say of a community; nil when there are none.
    package static func community(_ did: DID, in scope: any ReadScope) throws -> CommunityRow? {
        try scope.first(
            """
            SELECT community, visibility, join_policy, model, config, display_name, description, member_count
            FROM community_profile WHERE community = $1
            """, [.text(did.string)]
        ).map { try community($0) }
    }

    /// The row from the columns that begin at `start`.
    static func community(_ row: Row, from start: Int = 0) throws -> CommunityRow {
        CommunityRow(
            did: try DID(parsing: row.text(start)),
            // A word of a newer version hides rather than shows.
            visibility: CommunitySettings.Visibility(rawValue: try row.text(start + 1)) ?? .private,
            joinPolicy: CommunitySettings.JoinPolicy(rawValue: try row.text(start + 2)) ?? .approval,
            model: try row.text(start + 3), config: try DataValue(cbor: row.blob(start + 4)).mapValue ?? [:],
            displayName: try row.optionalText(start + 5), description: try row.optionalText(start + 6),
            memberCount: try row.integer(start + 7))
    }

    /// The membership of `did`.
    package static func member(
        _ did: DID, of community: DID, in scope: any ReadScope
    ) throws -> CommunityMemberRow? {
        try scope.first(
            "SELECT \(memberColumns) FROM community_member WHERE community = $1 AND did = $2",
            [.text(community.string), .text(did.string)]
        ).map(member)
    }

    /// A member by the key of their record.
    package static func member(
        at rkey: RecordKey, of community: DID, in scope: any ReadScope
    ) throws -> CommunityMemberRow? {
        try scope.first(
            "SELECT \(memberColumns) FROM community_member WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)]
        ).map(member)
    }

    /// A role by the key of its record.
    package static func role(
        _ rkey: String, of community: DID, in scope: any ReadScope
    ) throws -> CommunityRoleRow? {
        try scope.first(
            "SELECT rkey, name, description, permissions FROM community_role WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey)]
        ).map(role)
    }

    /// All roles, in the order of their keys. There are few: see `CommunityLimits.roleCountMax`.
    package static func roles(of community: DID, in scope: any ReadScope) throws -> [CommunityRoleRow] {
        try scope.query(
            "SELECT rkey, name, description, permissions FROM community_role WHERE community = $1 ORDER BY rkey",
            [.text(community.string)]
        ).map(role)
    }

    /// What a member's role lets them do; nil for who is no member. One question.
    package static func permissions(
        of did: DID, in community: DID, _ scope: any ReadScope
    ) throws -> CommunityPermissions? {
        let row = try scope.first(
            """
            SELECT r.permissions FROM community_member m
            LEFT JOIN community_role r ON r.community = m.community AND r.rkey = m.role
            WHERE m.community = $1 AND m.did = $2
            """, [.text(community.string), .text(did.string)])
        return try row.map { CommunityPermissions(bits: try $0.optionalInteger(0) ?? 0) }
    }

    /// Whether anybody holds a role.
    package static func hasMember(
        withRole rkey: String, in community: DID, _ scope: any ReadScope
    ) throws -> Bool {
        try scope.first(
            "SELECT 1 FROM community_member WHERE community = $1 AND role = $2 LIMIT 1",
            [.text(community.string), .text(rkey)]) != nil
    }

    static func member(_ row: Row) throws -> CommunityMemberRow {
        var member = CommunityMember(
            did: try DID(parsing: row.text(1)), handle: try row.optionalText(3),
            joinedAt: Timestamp(microseconds: try row.integer(4)), role: try row.text(2))
        member.kind = try row.optionalText(5)
        if let tags = try row.optionalBlob(6) {
            member.tags = try DataValue(cbor: tags).arrayValue?.compactMap(\.stringValue) ?? []
        }
        member.attributes = try row.optionalBlob(7).map { try DataValue(cbor: $0) }
        return CommunityMemberRow(rkey: try RecordKey(parsing: row.text(0)), member: member)
    }

    static func role(_ row: Row) throws -> CommunityRoleRow {
        CommunityRoleRow(
            rkey: try RecordKey(parsing: row.text(0)),
            role: CommunityRole(
                name: try row.text(1), description: try row.optionalText(2),
                permissions: CommunityPermissions(bits: try row.integer(3))))
    }

    // MARK: Deriving

    /// The row that counts and names hang on, before anything is known.
    private static func ensure(_ community: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO community_profile (community, visibility, join_policy, model, config, member_count)
            VALUES ($1, 'private', 'approval', $2, $3, 0) ON CONFLICT (community) DO NOTHING
            """,
            [.text(community.string), .text(CommunitySettings.benevolentDictator), .blob(DataValue.map([:]).cbor())])
    }

    static func store(_ settings: CommunitySettings, of community: DID, in scope: any WriteScope) throws {
        try ensure(community, in: scope)
        try scope.execute(
            """
            UPDATE community_profile SET visibility = $2, join_policy = $3, model = $4, config = $5
            WHERE community = $1
            """,
            [
                .text(community.string), .text(settings.visibility.rawValue), .text(settings.joinPolicy.rawValue),
                .text(settings.model), .blob(DataValue.map(settings.config).cbor()),
            ])
    }

    static func storeProfile(_ record: DataValue?, of community: DID, in scope: any WriteScope) throws {
        try ensure(community, in: scope)
        try scope.execute(
            "UPDATE community_profile SET display_name = $2, description = $3 WHERE community = $1",
            [
                .text(community.string), .text(optional: record?["displayName"]?.stringValue),
                .text(optional: record?["description"]?.stringValue),
            ])
    }

    static func store(
        _ role: CommunityRole, at rkey: RecordKey, of community: DID, in scope: any WriteScope
    ) throws {
        try scope.execute(
            """
            INSERT INTO community_role (community, rkey, name, description, permissions) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (community, rkey) DO UPDATE
                SET name = excluded.name, description = excluded.description, permissions = excluded.permissions
            """,
            [
                .text(community.string), .text(rkey.string), .text(role.name), .text(optional: role.description),
                .integer(role.permissions.bits),
            ])
    }

    static func removeRole(_ rkey: RecordKey, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "DELETE FROM community_role WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)])
    }

    /// A second record of one person is passed over: the guard lets none in.
    static func store(
        _ member: CommunityMember, at rkey: RecordKey, of community: DID, in scope: any WriteScope
    ) throws {
        try ensure(community, in: scope)
        try removeMember(rkey, of: community, in: scope)
        let added = try scope.execute(
            """
            INSERT INTO community_member (community, rkey, did, role, handle, joined_at, kind, tags, attributes)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
            """,
            [
                .text(community.string), .text(rkey.string), .text(member.did.string), .text(member.role),
                .text(optional: member.handle), .integer(member.joinedAt.microseconds), .text(optional: member.kind),
                .blob(
                    optional: member.tags.isEmpty
                        ? nil : DataValue.array(member.tags.map(DataValue.string)).cbor()),
                .blob(optional: member.attributes?.cbor()),
            ])
        try count(added, of: community, in: scope)
    }

    static func removeMember(_ rkey: RecordKey, of community: DID, in scope: any WriteScope) throws {
        let removed = try scope.execute(
            "DELETE FROM community_member WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)])
        if removed > 0 { try count(-removed, of: community, in: scope) }
    }

    private static func count(_ change: Int, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE community_profile SET member_count = member_count + $2 WHERE community = $1",
            [.text(community.string), .integer(change)])
    }

    static func forget(_ community: DID, in scope: any WriteScope) throws {
        for table in CommunityObserver.derivedTables {
            try scope.execute("DELETE FROM \(table) WHERE community = $1", [.text(community.string)])
        }
    }
}

/// Bounds of a community.
package enum CommunityLimits {
    /// Roles of one community.
    package static let roleCountMax = 100
    /// A member's attributes as JSON.
    package static let attributesSizeBytesMax = 4096
    /// An archive that is kept for the owners of a community that is taken down.
    package static let sealedExportSizeBytesMax = 64 << 20
}
