import ATProtocol
import Base
import Community
import Contracts
import Identity
import Publishing
import Storage
import Testing

/// What a voting model protects, by every door.
@Suite struct ProtectionTests {
    /// A community where votes decide, as if they had decided so.
    private func voting(_ house: CommunityHouse, of owner: AccountCaller) async throws -> DID {
        let did = try await house.community("garden", of: owner, .public, .approval)
        var settings = CommunitySettings(
            didMethod: "plc", model: "simple-majority", visibility: .public, joinPolicy: .approval,
            config: ["quorum": 1, "voterRole": "member"])
        settings.joinPolicy = .approval
        let record = settings.record
        try await house.repositories.writer.transact(on: [did]) { transaction in
            try transaction.apply(
                [
                    RecordWrite(
                        collection: CommunityCollections.settings,
                        action: .put(key: CommunityCollections.selfKey, record: record))
                ], to: did, by: .act(CommunityAct.resolution(proposal: CommunityCollections.selfKey)))
        }
        return did
    }

    /// The methods for people's accounts leave communities alone.
    @Test func accountsOfCommunitiesAreNobodysToSignInToOrEnd() async throws {
        let house = try await CommunityHouse()
        let owner = try await house.person("ann")
        let did = try await house.community("garden", of: owner)
        let accounts = house.identity.accounts
        await #expect(throws: AccountError.notFound) { try await accounts.delete(did, by: .operator) }
        await #expect(throws: AccountError.notFound) {
            try await accounts.setPassword(CommunityHouse.password, of: did, by: .operator)
        }
        await #expect(throws: AccountError.notFound) { try await accounts.change(did, .suspend, by: .operator) }
        #expect(try await house.row(did) != nil)
        await house.discard()
    }

    @Test func whatIsProtectedTakesAProposalByEveryDoor() async throws {
        let house = try await CommunityHouse()
        let (owner, member) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await voting(house, of: owner)
        let (service, caller) = (house.communities, Caller.account(owner))
        try await house.join(did, member)
        let request = try #require(
            try await service.joinRequests(of: did, by: caller, limit: 10, offset: 0).items.first)
        // Letting somebody in is day-to-day.
        _ = try await service.resolveRequest(request.request.id, approving: true, by: caller)
        let role = CommunityRole(name: "cook", permissions: .none)
        await #expect(throws: CommunityError.needsProposal) {
            try await service.createRole(role, in: did, by: caller)
        }
        await #expect(throws: CommunityError.needsProposal) {
            try await service.updateMember(member.did, MemberChange(role: .name("moderator")), in: did, by: caller)
        }
        await #expect(throws: CommunityError.needsProposal) {
            try await service.remove(member.did, from: did, by: caller)
        }
        await #expect(throws: CommunityError.needsProposal) {
            try await service.update(did, CommunityChange(displayName: "Mine"), by: caller)
        }
        await #expect(throws: CommunityError.needsProposal) {
            try await service.update(did, CommunityChange(joinPolicy: .open), by: caller)
        }
        await #expect(throws: CommunityError.needsProposal) { try await service.delete(did, by: caller) }
        let plain = RecordWrite(
            collection: CommunityCollections.role, action: .create(key: nil, record: role.record))
        await #expect(throws: CommunityError.needsProposal) { try await house.write(plain, to: did, by: owner) }
        for administrator in [Caller.operator] {
            await #expect(throws: CommunityError.needsProposal) {
                try await service.createRole(role, in: did, by: administrator)
            }
        }
        try await service.leave(did, by: member)
        #expect(try await house.row(did)?.memberCount == 1)
        await house.discard()
    }
}
