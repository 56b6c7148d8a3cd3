package import ATProtocol
import Base
package import Contracts
import Storage

/// What a member says of themselves when they join.
package struct MemberTraits: Sendable, Hashable {
    package var kind: String?
    package var tags: [String]
    package var attributes: DataValue?

    /// - Throws: `CommunityError.payloadTooLarge`, `.invalid`.
    package init(kind: String?, tags: [String], attributes: DataValue?) throws(CommunityError) {
        self.kind = kind.flatMap { $0.isEmpty ? nil : $0 }
        self.tags = tags
        self.attributes = try attributes.flatMap(Self.checked)
    }

    /// Attributes as they are kept; nil for none.
    static func checked(_ attributes: DataValue) throws(CommunityError) -> DataValue? {
        if attributes == .null { return nil }
        guard let map = attributes.mapValue else { throw .invalid("attributes must be an object") }
        guard attributes.json().count <= CommunityLimits.attributesSizeBytesMax else {
            throw .payloadTooLarge("attributes may have \(CommunityLimits.attributesSizeBytesMax) bytes of JSON")
        }
        return map.isEmpty ? nil : attributes
    }
}

/// How people come and go.
extension CommunityService {
    /// Joins, or asks to where the community decides.
    ///
    /// - Throws: `CommunityError.notFound`, `.suspended`, `.takenDown`, `.alreadyMember`, `.alreadyRequested`.
    package func join(_ did: DID, _ traits: MemberTraits, by person: AccountCaller) async throws -> JoinRequest.Status {
        try await act(in: did) { transaction in
            let scope = transaction.scope
            let seen = try admit(.account(person), to: did, in: scope)
            guard seen.permissions == nil else { throw CommunityError.alreadyMember }
            // An administrator knows of private communities, and is let in like anybody else.
            guard seen.row.visibility == .public else { throw CommunityError.notFound }
            let earlier = try JoinRequestStore.request(of: person.did, in: did, scope)
            guard seen.row.joinPolicy == .approval else {
                try enter(person.did, did, traits, by: .joining(person.did), transaction)
                if let earlier, earlier.status == .pending {
                    try JoinRequestStore.resolve(earlier, as: .approved, by: nil, at: transaction.now, in: scope)
                }
                return .approved
            }
            guard earlier?.status != .pending else { throw CommunityError.alreadyRequested }
            try JoinRequestStore.replace(
                JoinRequest(
                    id: transaction.newKey().string, community: did, did: person.did, status: .pending,
                    createdAt: transaction.now, kind: traits.kind, tags: traits.tags,
                    attributes: traits.attributes), in: scope)
            return .pending
        }
    }

    private func enter(
        _ person: DID, _ did: DID, _ traits: MemberTraits, by act: CommunityAct,
        _ transaction: any RepositoryTransaction
    ) throws {
        let scope = transaction.scope
        guard let standing = try standings.standing(of: person, in: scope), standing.status == .approved,
            standing.kind == .person
        else { throw CommunityError.forbidden }
        var member = CommunityMember(
            did: person, handle: standing.handle.string, joinedAt: transaction.now,
            role: try role(named: DefaultRole.member.rawValue, of: did, in: scope).rkey.string)
        member.kind = traits.kind
        member.tags = traits.tags
        member.attributes = traits.attributes
        let write = RecordWrite(
            collection: CommunityCollections.member,
            action: .create(key: transaction.newKey(), record: member.record))
        try transaction.apply([write], to: did, by: .act(act))
    }

    /// Leaves. The last owner can't.
    ///
    /// - Throws: `CommunityError.notFound`, `.notMember`, `.lastOwner`, `.suspended`, `.takenDown`.
    package func leave(_ did: DID, by person: AccountCaller) async throws {
        try await act(in: did) { transaction in
            let scope = transaction.scope
            _ = try admit(.account(person), to: did, in: scope)
            guard let present = try CommunityStore.member(person.did, of: did, in: scope) else {
                throw CommunityError.notMember
            }
            let owner = try owner(did, in: scope).rkey.string
            if present.member.role == owner {
                guard try CommunityStore.hasMember(withRole: owner, besides: person.did, in: did, scope) else {
                    throw CommunityError.lastOwner
                }
            }
            try remove(present, of: did, by: .leaving(person.did), transaction)
        }
    }

    /// Puts a member out.
    ///
    /// - Throws: `CommunityError.noSuchMember`, `.cannotChangeOwner`; as every deed.
    package func remove(_ person: DID, from did: DID, by caller: Caller) async throws {
        try await act(in: did) { transaction in
            let scope = transaction.scope
            try demand(.memberDelete, of: caller, in: try admit(caller, to: did, in: scope))
            guard let present = try CommunityStore.member(person, of: did, in: scope) else {
                throw CommunityError.noSuchMember
            }
            guard try present.member.role != owner(did, in: scope).rkey.string else {
                throw CommunityError.cannotChangeOwner
            }
            try remove(present, of: did, by: .deed(caller), transaction)
            try audit.record(
                "community.removeMember", by: caller, target: person.string,
                meta: ["community": .string(did.string)], in: scope)
        }
    }

    private func remove(
        _ present: CommunityMemberRow, of did: DID, by act: CommunityAct, _ transaction: any RepositoryTransaction
    ) throws {
        let write = RecordWrite(
            collection: CommunityCollections.member, action: .delete(key: present.rkey, mustExist: true))
        try transaction.apply([write], to: did, by: .act(act))
        let delegations = try GovernanceService.farewell(of: present.member.did, from: did, in: transaction.scope)
        if !delegations.isEmpty {
            try transaction.apply(delegations, to: did, by: .act(CommunityAct.leaving(present.member.did)))
        }
        try JoinRequestStore.remove(present.member.did, of: did, in: transaction.scope)
    }

    // MARK: Requests

    /// Those who wait to be let in, the oldest first.
    package func joinRequests(
        of did: DID, by caller: Caller, limit: Int, offset: Int
    ) async throws -> CommunityPage<(request: JoinRequest, handle: Handle?)> {
        let seen = try await seen(did, by: caller)
        try demand(.memberWrite, of: caller, in: seen)
        let (found, total) = try await database.read { scope in
            (
                try JoinRequestStore.pending(of: did, limit: limit, offset: offset, in: scope),
                try JoinRequestStore.pendingCount(of: did, in: scope)
            )
        }
        let known = try await standings(of: found.map(\.did))
        return CommunityPage(items: found.map { ($0, known[$0.did]?.handle) }, total: total)
    }

    /// Somebody's own requests, the newest first.
    ///
    /// - Parameter before: the id that the page before ended with.
    package func joinRequests(
        by did: DID, before: String?, limit: Int
    ) async throws -> [(request: JoinRequest, handle: Handle?)] {
        let found = try await database.read {
            try JoinRequestStore.requests(of: did, before: before, limit: limit, in: $0)
        }
        let known = try await standings(of: found.map(\.community))
        return found.map { request in
            // A community that has become private since then tells nothing more of itself.
            (request, known[request.community].flatMap { $0.isKnownOutside ? $0.handle : nil })
        }
    }

    /// Lets somebody in who asked, or doesn't.
    ///
    /// - Throws: `CommunityError.requestNotFound`, `.alreadyResolved`; as every deed.
    package func resolveRequest(_ id: String, approving: Bool, by caller: Caller) async throws -> JoinRequest.Status {
        guard let asked = try await database.read({ try JoinRequestStore.request(id, in: $0) }) else {
            throw CommunityError.requestNotFound
        }
        return try await act(in: asked.community) { transaction in
            let scope = transaction.scope
            try demand(.memberWrite, of: caller, in: try admit(caller, to: asked.community, in: scope))
            guard let request = try JoinRequestStore.request(id, in: scope) else {
                throw CommunityError.requestNotFound
            }
            guard request.status == .pending else { throw CommunityError.alreadyResolved }
            if approving, try CommunityStore.member(request.did, of: request.community, in: scope) == nil {
                let traits = try MemberTraits(
                    kind: request.kind, tags: request.tags, attributes: request.attributes)
                try enter(request.did, request.community, traits, by: .deed(caller), transaction)
            }
            let status: JoinRequest.Status = approving ? .approved : .rejected
            try JoinRequestStore.resolve(
                request, as: status, by: caller.did?.string ?? "operator", at: transaction.now, in: scope)
            try audit.record(
                approving ? "join_request.approve" : "join_request.reject", by: caller, target: request.did.string,
                meta: ["community": .string(request.community.string)], in: scope)
            return status
        }
    }

    // MARK: Lists

    /// A member in a list.
    package struct ListedMember: Sendable {
        package var row: CommunityMemberRow
        package var handle: Handle?
        package var role: CommunityRoleRow?
    }

    /// The members of a community, in the order they joined.
    ///
    /// - Parameter after: where the page before ended; `offset` counts from there.
    package func members(
        of did: DID, _ filter: MemberFilter, after: MemberPosition?, by caller: Caller, limit: Int, offset: Int
    ) async throws -> (items: [ListedMember], total: Int64, next: MemberPosition?) {
        let seen = try await seen(did, by: caller)
        let (rows, roles, total) = try await database.read { scope in
            let roles = try CommunityStore.roles(of: did, in: scope)
            let role = filter.role.map { asked in
                roles.first { $0.rkey.string == asked || $0.role.name == asked }?.rkey.string ?? asked
            }
            let rows = try CommunityStore.members(
                of: did, role: role, term: filter.term, after: after, limit: limit + 1, offset: offset, in: scope)
            if filter.isEmpty { return (rows, roles, seen.row.memberCount) }
            guard let role, filter.term == nil else { return (rows, roles, Int64(offset + rows.count)) }
            return (rows, roles, try CommunityStore.memberCounts(of: did, in: scope)[role] ?? 0)
        }
        let page = rows.prefix(limit)
        let known = try await standings(of: page.map(\.member.did))
        let byKey = Dictionary(roles.map { ($0.rkey.string, $0) }, uniquingKeysWith: { first, _ in first })
        let items = page.map { row in
            ListedMember(row: row, handle: known[row.member.did]?.handle, role: byKey[row.member.role])
        }
        let next = rows.count > limit ? page.last.map { MemberPosition($0.member) } : nil
        return (items, total, next)
    }
}

extension MemberPosition {
    fileprivate init(_ member: CommunityMember) {
        self.init(joinedAt: member.joinedAt, did: member.did)
    }
}
