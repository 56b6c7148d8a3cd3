package import ATProtocol
package import Base
import Storage

/// Which members are asked for.
package struct MemberFilter: Sendable, Hashable {
    /// A role's key or name.
    package var role: String?
    /// What the handle begins with, or the whole DID.
    package var term: String?

    package init(role: String? = nil, term: String? = nil) {
        self.role = role
        self.term = term
    }

    var isEmpty: Bool { role == nil && term == nil }
}

/// The last member of a page: the next one begins behind.
package struct MemberPosition: Sendable, Hashable {
    package var joinedAt: Timestamp
    package var did: DID

    package init(joinedAt: Timestamp, did: DID) {
        self.joinedAt = joinedAt
        self.did = did
    }
}

/// The SQL of lists of members.
extension CommunityStore {
    /// Members in the order they joined.
    static func members(
        of community: DID, role: String?, term: String?, after: MemberPosition?, limit: Int, offset: Int,
        in scope: any ReadScope
    ) throws -> [CommunityMemberRow] {
        var parameters: [SQLValue] = [.text(community.string), .integer(limit), .integer(offset)]
        var conditions = ["community = $1"]
        func next(_ value: SQLValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if let role { conditions.append("role = \(next(.text(role)))") }
        if let after {
            let moment = next(.integer(after.joinedAt.microseconds))
            conditions.append("(joined_at, did) > (\(moment), \(next(.text(after.did.string))))")
        }
        if let term {
            let prefix = next(.text(CommunityInstanceStore.escaped(term) + "%"))
            conditions.append("(handle LIKE \(prefix) ESCAPE '\\' OR did = \(next(.text(term))))")
        }
        // The inner one walks over an index alone, however far the page is.
        return try scope.query(
            """
            SELECT m.rkey, m.did, m.role, m.handle, m.joined_at, m.kind, m.tags, m.attributes FROM community_member m
            JOIN (
                SELECT rkey FROM community_member WHERE \(conditions.joined(separator: " AND "))
                ORDER BY joined_at, did LIMIT $2 OFFSET $3
            ) k ON k.rkey = m.rkey
            WHERE m.community = $1 ORDER BY m.joined_at, m.did
            """, parameters
        ).map(member)
    }

    /// How many hold each role, by its key.
    static func memberCounts(of community: DID, in scope: any ReadScope) throws -> [String: Int64] {
        let rows = try scope.query(
            "SELECT role, COUNT(*) FROM community_member WHERE community = $1 GROUP BY role",
            [.text(community.string)])
        return Dictionary(try rows.map { (try $0.text(0), try $0.integer(1)) }, uniquingKeysWith: +)
    }

    /// Whether somebody but `did` holds a role.
    static func hasMember(
        withRole rkey: String, besides did: DID, in community: DID, _ scope: any ReadScope
    ) throws -> Bool {
        try scope.first(
            "SELECT 1 FROM community_member WHERE community = $1 AND role = $2 AND did <> $3 LIMIT 1",
            [.text(community.string), .text(rkey), .text(did.string)]) != nil
    }
}
