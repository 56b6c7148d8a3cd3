package import ATProtocol
import Base
package import Storage

/// What members may do, from memory: read once, forgotten with every change of the community, whichever process made it.
///
/// For questions that only show something. Whatever changes something asks the database in its own transaction.
package final class CommunityPolicies: Sendable {
    /// A community's settings, roles or members changed: its DID.
    private static let changed = AnnouncementTopic("communities", payloads: .all)

    private struct Membership: Sendable, Hashable {
        var community: DID
        var did: DID
    }

    private let database: any Database
    private let communities: BoundedCache<DID, CommunityRow>
    /// Per community, so that one that changes often doesn't empty the memory of the others.
    private let members: BoundedCache<DID, BoundedCache<DID, CommunityPermissions?>>

    /// Communities kept in memory, and memberships of each.
    private static let communityCountMax = 2048
    private static let memberCountMax = 4096

    package init(database: any Database) {
        self.database = database
        communities = BoundedCache(countMax: Self.communityCountMax)
        members = BoundedCache(countMax: Self.communityCountMax)
        database.listen(to: Self.changed) { [communities, members] payload, _ in
            guard let did = payload.flatMap({ try? DID(parsing: $0) }) else {
                communities.forgetAll()
                members.forgetAll()
                return
            }
            communities.forget(did)
            members.forget(did)
        }
    }

    /// The community of `did`, or nil when there is none here.
    package func community(_ did: DID) async throws -> CommunityRow? {
        if let row = communities.value(for: did) { return row }
        let ticket = communities.ticket()
        guard let row = try await database.read({ try CommunityStore.community(did, in: $0) }) else { return nil }
        communities.keep(row, for: did, ticket: ticket)
        return row
    }

    /// What `did` may do in `community`; nil for who is no member.
    package func permissions(of did: DID, in community: DID) async throws -> CommunityPermissions? {
        let known = members.value(for: community)
        if let permissions = known?.value(for: did) { return permissions }
        let outer = members.ticket()
        let kept = known ?? BoundedCache(countMax: Self.memberCountMax)
        let ticket = kept.ticket()
        let permissions = try await database.read { try CommunityStore.permissions(of: did, in: community, $0) }
        kept.keep(permissions, for: did, ticket: ticket)
        if known == nil { members.keep(kept, for: community, ticket: outer) }
        return permissions
    }

    /// Has memory forget the community once the transaction of `scope` is on disk; that of other processes a moment later.
    func forget(_ community: DID, after scope: any WriteScope) {
        scope.announce(Self.changed, community.string)
        scope.afterCommit { [communities, members] in
            communities.forget(community)
            members.value(for: community)?.forgetAll()
            members.forget(community)
        }
    }
}
