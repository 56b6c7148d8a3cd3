import ATProtocol
import Base
import Community
import Contracts
import Publishing
import Storage
import Testing

/// Founding, joining, leaving; who may know.
@Suite struct MembershipTests {
    @Test func aCommunityIsFoundedWhole() async throws {
        let house = try await CommunityHouse()
        let owner = try await house.person("ann")
        let did = try await house.community("garden", of: owner)
        let view = try await house.communities.view(did, by: .account(owner))
        #expect(view.isOwner && view.listed.row.memberCount == 1 && view.handle.string == "garden.test")
        #expect(try await house.repositories.service.figures(of: did)?.recordCount == 6)
        let page = try await house.communities.list(all: false, term: nil, by: .anonymous, limit: 10, offset: 0)
        #expect(page.total == 1 && page.items.map(\.handle.string) == ["garden.test"])
        let own = try await house.communities.list(all: false, term: nil, by: .account(owner), limit: 10, offset: 0)
        #expect(own.total == 0 && own.items.isEmpty)
        #expect(try await house.communities.memberships(of: owner.did, limit: 10, offset: 0).count == 1)
        await house.discard()
    }

    /// What fails on the way leaves neither account nor handle behind.
    @Test func aFailedFoundingLeavesNothing() async throws {
        let house = try await CommunityHouse()
        let owner = try await house.person("ann")
        var suspended = owner
        suspended.did = try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
        await #expect(throws: CommunityError.forbidden) { try await house.community("garden", of: suspended) }
        _ = try await house.community("garden", of: owner)
        await #expect(throws: CommunityError.handleTaken) { try await house.community("garden", of: owner) }
        let page = try await house.communities.list(all: false, term: nil, by: .anonymous, limit: 10, offset: 0)
        #expect(page.total == 1)
        await house.discard()
    }

    @Test func twentyJoinAtOnce() async throws {
        let house = try await CommunityHouse()
        let owner = try await house.person("ann")
        let did = try await house.community("garden", of: owner)
        var people: [AccountCaller] = []
        for number in 0..<20 { people.append(try await house.person("person\(number)")) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for person in people { group.addTask { try await house.join(did, person) } }
            try await group.waitForAll()
        }
        #expect(try await house.row(did)?.memberCount == 21)
        #expect(try await house.repositories.service.figures(of: did)?.recordCount == 26)
        let first = try await house.communities.members(
            of: did, MemberFilter(), after: nil, by: .account(owner), limit: 15, offset: 0)
        let rest = try await house.communities.members(
            of: did, MemberFilter(), after: first.next, by: .account(owner), limit: 15, offset: 0)
        #expect(first.total == 21 && first.items.count == 15 && rest.items.count == 6 && rest.next == nil)
        let dids = (first.items + rest.items).map(\.row.member.did)
        #expect(Set(dids) == Set(people.map(\.did) + [owner.did]))
        let again = people[0]
        await #expect(throws: CommunityError.alreadyMember) { try await house.join(did, again) }
        await house.discard()
    }

    @Test func thosePeopleAreLetInWhoAreApproved() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner, .public, .approval)
        try await house.join(did, guest)
        await #expect(throws: CommunityError.alreadyRequested) { try await house.join(did, guest) }
        await #expect(throws: CommunityError.notMember) {
            try await house.communities.joinRequests(of: did, by: .account(guest), limit: 10, offset: 0)
        }
        let id = try #require(
            try await house.communities.joinRequests(of: did, by: .account(owner), limit: 10, offset: 0).items.first
        ).request.id
        await #expect(throws: CommunityError.notMember) {
            try await house.communities.resolveRequest(id, approving: true, by: .account(guest))
        }
        _ = try await house.communities.resolveRequest(id, approving: false, by: .account(owner))
        await #expect(throws: CommunityError.alreadyResolved) {
            try await house.communities.resolveRequest(id, approving: true, by: .account(owner))
        }
        try await house.join(did, guest)
        let next = try #require(
            try await house.communities.joinRequests(by: guest.did, before: nil, limit: 10).first)
        _ = try await house.communities.resolveRequest(next.request.id, approving: true, by: .account(owner))
        #expect(try await house.row(did)?.memberCount == 2)
        try await house.communities.leave(did, by: guest)
        #expect(try await house.row(did)?.memberCount == 1)
        await #expect(throws: CommunityError.lastOwner) { try await house.communities.leave(did, by: owner) }
        await house.discard()
    }

    /// To everybody outside, a private community is one that isn't.
    @Test func privateMeansNotThere() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner, .private)
        let outsider = Caller.account(guest)
        for caller in [outsider, .anonymous] {
            await #expect(throws: CommunityError.notFound) { try await house.communities.view(did, by: caller) }
            await #expect(throws: CommunityError.notFound) {
                try await house.communities.members(
                    of: did, MemberFilter(), after: nil, by: caller, limit: 10, offset: 0)
            }
            await #expect(throws: CommunityError.notFound) {
                try await house.communities.remove(owner.did, from: did, by: caller)
            }
        }
        await #expect(throws: CommunityError.notFound) { try await house.join(did, guest) }
        await #expect(throws: CommunityError.notFound) { try await house.communities.leave(did, by: guest) }
        let page = try await house.communities.list(all: false, term: nil, by: outsider, limit: 10, offset: 0)
        #expect(page.items.isEmpty && page.total == 0)
        #expect(try await house.communities.view(did, by: .account(owner)).isOwner)
        #expect(try await house.communities.view(did, by: .operator).status == .confined)
        await house.discard()
    }

    @Test func membersPutOutNobodyAboveThem() async throws {
        let house = try await CommunityHouse()
        let (owner, one, two) = (
            try await house.person("ann"), try await house.person("bob"), try await house.person("cyd")
        )
        let did = try await house.community("garden", of: owner)
        try await house.join(did, one)
        try await house.join(did, two)
        await #expect(throws: CommunityError.forbidden) {
            try await house.communities.remove(two.did, from: did, by: .account(one))
        }
        await #expect(throws: CommunityError.cannotChangeOwner) {
            try await house.communities.remove(owner.did, from: did, by: .operator)
        }
        try await house.communities.remove(two.did, from: did, by: .account(owner))
        await #expect(throws: CommunityError.noSuchMember) {
            try await house.communities.remove(two.did, from: did, by: .account(owner))
        }
        await house.discard()
    }

    /// A member's own plain write to their record gives them no other role.
    @Test func plainWritesGiveNobodyARole() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        try await house.join(did, guest)
        let ownerRole = try await house.role("owner", of: did)
        let row = try #require(
            try await house.database.read { try CommunityStore.member(guest.did, of: did, in: $0) })
        var raised = row.member
        raised.role = ownerRole.string
        let write = RecordWrite(
            collection: CommunityCollections.member, action: .put(key: row.rkey, record: raised.record))
        await #expect(throws: CommunityError.forbidden) { try await house.write(write, to: did, by: guest) }
        var record = try #require(raised.record.mapValue)
        record["roleRkey"] = nil
        record["role"] = "owner"
        let named = RecordWrite(
            collection: CommunityCollections.member, action: .put(key: row.rkey, record: .map(record)))
        await #expect(throws: CommunityError.forbidden) { try await house.write(named, to: did, by: guest) }
        let view = try await house.communities.view(did, by: .account(guest))
        #expect(view.role?.role.name == "member")
        await house.discard()
    }
}
