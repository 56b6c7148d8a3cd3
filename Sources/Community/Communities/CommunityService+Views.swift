package import ATProtocol
import Base
package import Contracts
import Storage

/// A community with what it is to the caller.
package struct CommunityView: Sendable {
    package var handle: Handle
    package var status: AccountStatus
    package var listed: ListedCommunity
    /// The caller's.
    package var membership: CommunityMemberRow?
    package var role: CommunityRoleRow?
    package var request: JoinRequest?
    package var isOwner: Bool { role?.role.name == DefaultRole.owner.rawValue }
}

/// Part of a list.
package struct CommunityPage<Item: Sendable>: Sendable {
    package var items: [Item]
    package var total: Int64
    package var next: String?
}

extension CommunityService {
    /// Describes a community.
    ///
    /// - Throws: as `seen(_:by:)`.
    package func view(_ did: DID, by caller: Caller) async throws -> CommunityView {
        let seen = try await seen(did, by: caller)
        let found = try await database.read { scope -> CommunityView? in
            guard let instance = try CommunityInstanceStore.instance(did, in: scope),
                let row = try CommunityStore.community(did, in: scope)
            else { return nil }
            var view = CommunityView(
                handle: seen.standing.handle, status: seen.standing.status,
                listed: ListedCommunity(instance: instance, row: row))
            guard let account = caller.account else { return view }
            view.membership = try CommunityStore.member(account.did, of: did, in: scope)
            view.role = try view.membership.flatMap { try CommunityStore.role($0.member.role, of: did, in: scope) }
            view.request = try JoinRequestStore.request(of: account.did, in: did, scope)
            return view
        }
        guard let found else { throw CommunityError.notFound }
        return found
    }

    /// The communities of this server, the newest first: those that everybody may find and the caller hasn't joined, or
    /// for administrators all.
    ///
    /// - Parameter term: what the name or description contains; the total is then only as far as was looked.
    package func list(
        all: Bool, term: String?, by caller: Caller, limit: Int, offset: Int
    ) async throws -> CommunityPage<CommunityView> {
        guard !all || caller.isAdministrator else { throw CommunityError.forbidden }
        let member = all ? nil : caller.account?.did
        let (found, requests, total) = try await database.read { scope in
            let found = try CommunityInstanceStore.list(
                onlyListed: !all, without: member, term: term?.lowercased(), limit: limit + 1, offset: offset,
                in: scope)
            let requests = try caller.account.map { account in
                try found.map { try JoinRequestStore.request(of: account.did, in: $0.instance.did, scope) }
            }
            guard term == nil else { return (found, requests, Int64(offset + found.count)) }
            let mine = try member.map { try CommunityInstanceStore.listedCount(with: $0, in: scope) } ?? 0
            return (found, requests, try CommunityInstanceStore.total(onlyListed: !all, in: scope) - mine)
        }
        var views: [CommunityView] = []
        let known = try await standings(of: found.map(\.instance.did))
        for (index, listed) in found.prefix(limit).enumerated() {
            guard let standing = known[listed.instance.did] else { continue }
            var view = CommunityView(handle: standing.handle, status: standing.status, listed: listed)
            view.request = requests?[index]
            if all, let account = caller.account {
                view.membership = try await database.read {
                    try CommunityStore.member(account.did, of: listed.instance.did, in: $0)
                }
            }
            views.append(view)
        }
        return CommunityPage(items: views, total: total)
    }

    /// The communities somebody belongs to.
    package func memberships(
        of did: DID, limit: Int, offset: Int
    ) async throws -> [(membership: ListedMembership, standing: AccountStanding)] {
        let found = try await database.read {
            try CommunityInstanceStore.memberships(of: did, limit: limit, offset: offset, in: $0)
        }
        let known = try await standings(of: found.map(\.community.instance.did))
        return found.compactMap { membership in
            known[membership.community.instance.did].map { (membership, $0) }
        }
    }

    func standings(of dids: [DID]) async throws -> [DID: AccountStanding] {
        let standings = try await standings.standings(of: dids)
        return Dictionary(standings.map { ($0.did, $0) }, uniquingKeysWith: { first, _ in first })
    }
}
