import ATProtocol
import Base
import Community
import Testing

/// Records of communities, to values and back.
@Suite struct CommunityRecordTests {
    @Test func permissionsKeepTheirNames() {
        for permission in CommunityPermission.allCases {
            let one = CommunityPermissions([permission])
            #expect(one.names == [permission.rawValue])
            #expect(CommunityPermissions(names: one.names) == one)
        }
        #expect(CommunityPermissions.all.names.count == 12)
        #expect(CommunityPermissions(names: ["community.unknown"]) == .none)
    }

    @Test func recordsSurviveTheWay() throws {
        let settings = CommunitySettings(
            didMethod: "plc", model: "simple-majority", visibility: .private, joinPolicy: .approval,
            config: ["quorum": 3, "voterRole": "member"])
        #expect(CommunitySettings(settings.record) == settings)
        let role = CommunityRole(name: "owner", description: "runs it", permissions: .all)
        #expect(CommunityRole(role.record) == role)
        var member = CommunityMember(
            did: try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), handle: "a.test",
            joinedAt: Timestamp(microseconds: 1_000_000), role: "3kaaaaaaaaaa2")
        member.kind = "person"
        member.tags = ["a", "b"]
        member.attributes = ["n": 1]
        #expect(CommunityMember(member.record) == member)
    }

    @Test func settingsAndRolesAreAlwaysProtectedWhereVotesDecide() {
        var settings = CommunitySettings(didMethod: "plc", visibility: .public, joinPolicy: .open)
        #expect(settings.protectedCollections.isEmpty)
        settings.model = "simple-majority"
        #expect(settings.protectedCollections == CommunityCollections.protectedByDefault)
        settings.config = ["protectedCollections": ["profile"]]
        #expect(
            settings.protectedCollections == [
                CommunityCollections.profile, CommunityCollections.settings, CommunityCollections.role,
            ])
    }
}
