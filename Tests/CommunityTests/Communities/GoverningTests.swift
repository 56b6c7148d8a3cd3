import ATProtocol
import Base
import Community
import Contracts
import Identity
import Publishing
import Storage
import Testing

/// Roles, owners, settings, moderation.
@Suite struct GoverningTests {
    /// Nobody gives what they don't have: by a role's name, by its key, by making or widening one, by a plain write.
    @Test func nobodyRisesByThemselves() async throws {
        let house = try await CommunityHouse()
        let (owner, mod) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        try await house.join(did, mod)
        let service = house.communities
        _ = try await service.updateMember(
            mod.did, MemberChange(role: .name("moderator")), in: did, by: .account(owner))
        let deed = Caller.account(mod)
        let ownerKey = try await house.role("owner", of: did)
        for role in [MemberChange.Role.name("owner"), .key(ownerKey.string)] {
            await #expect(throws: CommunityError.cannotChangeOwner) {
                try await service.updateMember(mod.did, MemberChange(role: role), in: did, by: deed)
            }
        }
        await #expect(throws: CommunityError.forbidden) { try await service.addOwner(mod.did, in: did, by: deed) }
        await #expect(throws: CommunityError.forbidden) {
            try await service.createRole(CommunityRole(name: "chief", permissions: .all), in: did, by: deed)
        }
        let widened = CommunityRole(name: "moderator", permissions: .all)
        let write = RecordWrite(
            collection: CommunityCollections.role,
            action: .put(key: try await house.role("moderator", of: did), record: widened.record))
        await #expect(throws: CommunityError.forbidden) { try await house.write(write, to: did, by: mod) }
        // A role that has more than the giver is nobody's to give either.
        let wide = try await service.createRole(
            CommunityRole(name: "wide", permissions: CommunityPermissions([.settingsWrite])), in: did,
            by: .account(owner))
        await #expect(throws: CommunityError.forbidden) {
            try await service.updateMember(
                mod.did, MemberChange(role: .key(wide.path.key.string)), in: did, by: deed)
        }
        await house.discard()
    }

    @Test func theOwnerRoleStaysWhatItIs() async throws {
        let house = try await CommunityHouse()
        let owner = try await house.person("ann")
        let did = try await house.community("garden", of: owner)
        let (service, caller) = (house.communities, Caller.account(owner))
        let key = try await house.role("owner", of: did)
        for change in [RoleChange(name: "boss"), RoleChange(permissions: CommunityPermissions([.roleWrite]))] {
            await #expect(throws: CommunityError.ownerLockout) {
                try await service.updateRole(key, change, in: did, by: caller)
            }
        }
        await #expect(throws: CommunityError.ownerLockout) { try await service.deleteRole(key, in: did, by: caller) }
        await #expect(throws: CommunityError.roleNameTaken) {
            try await service.createRole(CommunityRole(name: "owner", permissions: .none), in: did, by: caller)
        }
        await house.discard()
    }

    @Test func ownershipIsSharedAndHandedOver() async throws {
        let house = try await CommunityHouse()
        let (owner, heir) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        try await house.join(did, heir)
        let service = house.communities
        await #expect(throws: FederationFailure(.wrongPassword)) {
            try await service.transferOwnership(to: heir.did, of: did, password: "wrong", by: owner)
        }
        _ = try await service.transferOwnership(
            to: heir.did, of: did, password: CommunityHouse.password, by: owner)
        #expect(try await service.view(did, by: .account(heir)).isOwner)
        #expect(try await !service.view(did, by: .account(owner)).isOwner)
        _ = try await service.addOwner(owner.did, in: did, by: .account(heir))
        await #expect(throws: CommunityError.alreadyOwner) {
            try await service.addOwner(owner.did, in: did, by: .account(heir))
        }
        try await service.leave(did, by: heir)
        await #expect(throws: CommunityError.lastOwner) { try await service.leave(did, by: owner) }
        await house.discard()
    }

    /// Hidden and shown again, the list and the network follow.
    @Test func visibilityMovesTheWholeCommunity() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        let service = house.communities
        await #expect(throws: CommunityError.notMember) {
            try await service.update(did, CommunityChange(displayName: "x"), by: .account(guest))
        }
        try await service.update(
            did, CommunityChange(displayName: "Garden", visibility: .private), by: .account(owner))
        await #expect(throws: CommunityError.notFound) { try await service.view(did, by: .account(guest)) }
        #expect(try await service.list(all: false, term: nil, by: .anonymous, limit: 5, offset: 0).total == 0)
        #expect(try await house.foundation.accounts.standing(of: did)?.isConfined == true)
        try await service.update(did, CommunityChange(visibility: .public), by: .account(owner))
        #expect(try await service.view(did, by: .account(guest)).listed.row.displayName == "Garden")
        #expect(try await service.list(all: false, term: "gard", by: .anonymous, limit: 5, offset: 0).items.count == 1)
        await house.discard()
    }

    @Test func moderationKeepsAnExportForTheOwner() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        let service = house.communities
        await #expect(throws: CommunityError.forbidden) {
            try await service.suspend(did, reason: nil, by: .account(owner))
        }
        try await service.suspend(did, reason: "noise", by: .operator)
        await #expect(throws: CommunityError.suspended) { try await house.join(did, guest) }
        #expect(try await service.view(did, by: .anonymous).listed.instance.statusReason == "noise")
        await #expect(throws: CommunityError.alreadySuspended) {
            try await service.suspend(did, reason: nil, by: .operator)
        }
        try await service.unsuspend(did, by: .operator)
        await #expect(throws: CommunityError.snapshotNotFound) {
            try await service.snapshot(of: did, by: .account(owner))
        }
        try await service.takeDown(did, reason: nil, by: .operator)
        await #expect(throws: CommunityError.takenDown) { try await service.view(did, by: .account(owner)) }
        #expect(try await service.view(did, by: .operator).status == .takendown)
        #expect(try await !service.snapshot(of: did, by: .account(owner)).isEmpty)
        #expect(try await service.beginExport(of: did, by: .account(owner)).recordCount == 6)
        await #expect(throws: CommunityError.forbidden) { try await service.snapshot(of: did, by: .account(guest)) }
        try await service.reverseTakedown(did, by: .operator)
        try await house.join(did, guest)
        await #expect(throws: CommunityError.forbidden) { try await service.delete(did, by: .account(guest)) }
        try await service.delete(did, by: .account(owner))
        await #expect(throws: CommunityError.notFound) { try await service.view(did, by: .operator) }
        #expect(try await service.list(all: true, term: nil, by: .operator, limit: 5, offset: 0).total == 0)
        _ = try await house.community("garden", of: guest)
        await house.discard()
    }

    /// What is derived can be derived again.
    @Test func derivedTablesCanBeToldAgain() async throws {
        let house = try await CommunityHouse()
        let (owner, guest) = (try await house.person("ann"), try await house.person("bob"))
        let did = try await house.community("garden", of: owner)
        try await house.join(did, guest)
        _ = try await house.communities.updateMember(
            guest.did, MemberChange(kind: "plant", tags: ["a"], attributes: ["n": 1]), in: did, by: .account(owner))
        let before = try await house.derived()
        _ = try await house.repositories.rebuild.rebuild(did)
        #expect(try await house.derived() == before)
        await house.discard()
    }
}

extension CommunityHouse {
    /// All rows of the derived tables.
    func derived() async throws -> [[SQLValue]] {
        try await database.read { scope in
            try ["community_profile", "community_role", "community_member"].flatMap { table in
                try scope.query("SELECT * FROM \(table) ORDER BY 1, 2", []).map { row in
                    try (0..<row.count).map { try row.value($0) }
                }
            }
        }
    }
}
