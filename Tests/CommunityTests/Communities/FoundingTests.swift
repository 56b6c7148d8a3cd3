import ATProtocol
import Base
import Community
import Contracts
import Identity
import Storage
import Testing

/// What is begun and not finished was never there.
@Suite struct FoundingTests {
    /// The last thing an act writes fails: everything before it is gone, and the handle is free.
    @Test func nothingStaysOfAnActThatFailsAtItsEnd() async throws {
        let house = try await CommunityHouse(audit: BrokenAudit())
        let owner = try await house.person("ann")
        await #expect(throws: BrokenAudit.Broken.self) { try await house.community("garden", of: owner) }
        let page = try await house.communities.list(all: true, term: nil, by: .operator, limit: 5, offset: 0)
        #expect(page.total == 0 && page.items.isEmpty)
        let left = try await house.database.read { scope in
            try ["community", "community_profile", "community_role", "community_member"].map { table in
                try scope.query("SELECT * FROM \(table)", []).count
            }
        }
        #expect(left == [0, 0, 0, 0])
        #expect(try await house.identity.accounts.account("ann").standing.did == owner.did)
        await #expect(throws: (any Error).self) { try await house.identity.accounts.account("garden") }
        await house.discard()
    }
}

/// An audit that cannot be written to.
private struct BrokenAudit: AuditTrail {
    struct Broken: Error {}

    func record(
        _ action: String, by caller: Caller?, target: String?, meta: DataMap, in scope: any WriteScope
    ) throws { throw Broken() }
}
