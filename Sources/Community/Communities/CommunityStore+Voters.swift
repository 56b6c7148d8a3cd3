package import ATProtocol
package import Storage

/// Members by the name of their role, as votes need them.
extension CommunityStore {
    /// The DIDs of those who hold a role of that name, in the order of their bytes; of all members when `role` is nil.
    package static func members(
        withRoleNamed role: String?, of community: DID, in scope: any ReadScope
    ) throws -> [String] {
        var dids: [String] = []
        let condition =
            role == nil
            ? ""
            : "AND role IN (SELECT rkey FROM community_role WHERE community = $1 AND name = $2)"
        try scope.forEach(
            "SELECT did FROM community_member WHERE community = $1 \(condition) ORDER BY did",
            [.text(community.string)] + (role.map { [.text($0)] } ?? [])
        ) { row in
            dids.append(try row.text(0))
            return true
        }
        return dids
    }

    /// The name of a member's role; empty when the role is gone, nil for who is no member.
    package static func roleName(
        of did: DID, in community: DID, _ scope: any ReadScope
    ) throws -> String? {
        try scope.first(
            """
            SELECT r.name FROM community_member m
            LEFT JOIN community_role r ON r.community = m.community AND r.rkey = m.role
            WHERE m.community = $1 AND m.did = $2
            """, [.text(community.string), .text(did.string)]
        ).map { try $0.optionalText(0) ?? "" }
    }
}
