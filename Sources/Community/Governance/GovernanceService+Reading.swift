package import ATProtocol
package import Base
package import Contracts
import Storage

/// What is shown of proposals and delegations. Nothing here changes anything.
extension GovernanceService {
    /// A proposal and how it stands.
    package struct Shown: Sendable {
        package var row: GovernanceStore.ProposalRow
        package var reckoning: Reckoning
        /// What the count says; nil where nothing can be said before sealed votes are opened.
        package var decision: Decision?
        package var now: Timestamp
        var poll: GovernanceStore.Poll?
        /// The votes of the page that was asked for, by voter.
        package var votes: [DID: VoteRecord]
    }

    /// A page of a proposal's arithmetic.
    package struct Arithmetic: Sendable {
        package var shown: Shown
        /// Some of those who could vote, in the order of their DIDs.
        package var voters: [DID]
        package var handles: [DID: String]
        package var cursor: DID?
    }

    /// Makes sure that `caller` may know of the community.
    ///
    /// - Throws: `CommunityError.notFound`, `.takenDown`.
    private func admit(_ caller: Caller, toSee community: DID) async throws {
        guard let standing = try await accounts.standing(of: community), standing.kind == .community,
            let row = try await policies.community(community)
        else { throw CommunityError.notFound }
        if row.visibility == .private || standing.isConfined, !caller.isAdministrator {
            guard let did = caller.did, try await policies.permissions(of: did, in: community) != nil else {
                throw CommunityError.notFound
            }
        }
        if standing.status == .takendown { throw CommunityError.takenDown }
    }

    /// A page of the proposals, the newest first.
    ///
    /// - Throws: `CommunityError.notFound`, `.takenDown`.
    package func proposals(
        of community: DID, status: Proposal.Status?, before cursor: RecordKey?, limit: Int, for caller: Caller
    ) async throws -> (rows: [GovernanceStore.ProposalRow], cursor: RecordKey?) {
        try await admit(caller, toSee: community)
        let rows = try await database.read { scope in
            try GovernanceStore.proposals(of: community, status: status, before: cursor, limit: limit + 1, in: scope)
        }
        let page = Array(rows.prefix(limit))
        return (page, rows.count > limit ? page.last?.rkey : nil)
    }

    /// A proposal and how it stands.
    ///
    /// - Throws: `CommunityError.notFound`, `.takenDown`; `GovernanceError.proposalNotFound`.
    package func proposal(_ rkey: RecordKey, of community: DID, for caller: Caller) async throws -> Shown {
        try await admit(caller, toSee: community)
        let now = clock.now()
        return try await database.read { try Self.shown(rkey, of: community, now: now, in: $0) }
    }

    private static func shown(
        _ rkey: RecordKey, of community: DID, now: Timestamp, in scope: any ReadScope
    ) throws -> Shown {
        guard let row = try GovernanceStore.proposal(rkey, of: community, in: scope) else {
            throw GovernanceError.proposalNotFound
        }
        let poll = try GovernanceStore.poll(rkey, of: community, in: scope)
        let basis = row.proposal.status == .open ? nil : poll?.countedOn
        let reckoning = try GovernanceCounting.reckoning(row, of: community, basis: basis, in: scope).reckoning
        let isOver = now >= row.proposal.endsAt
        let decision =
            row.proposal.ballot == .secret && !isOver
            ? nil : row.proposal.model.model?.decide(reckoning.poll, reckoning.count, isOver: isOver)
        let votes = try GovernanceStore.votes(on: rkey, round: row.proposal.round, of: community, in: scope)
        return Shown(row: row, reckoning: reckoning, decision: decision, now: now, poll: poll, votes: votes)
    }

    /// The arithmetic of a proposal, with a page of those who could vote.
    ///
    /// - Throws: as `proposal(_:of:for:)`.
    package func arithmetic(
        of rkey: RecordKey, in community: DID, after cursor: DID?, limit: Int, for caller: Caller
    ) async throws -> Arithmetic {
        try await admit(caller, toSee: community)
        let now = clock.now()
        return try await database.read { scope in
            let shown = try Self.shown(rkey, of: community, now: now, in: scope)
            let found = try GovernanceStore.electorate(
                proposal: rkey, of: community, after: cursor?.string ?? "", limit: limit + 1, in: scope)
            let voters = Array(found.prefix(limit))
            var handles: [DID: String] = [:]
            for voter in voters {
                handles[voter] = try CommunityStore.member(voter, of: community, in: scope)?.member.handle
            }
            return Arithmetic(
                shown: shown, voters: voters, handles: handles, cursor: found.count > limit ? voters.last : nil)
        }
    }

    /// Whom a member chose, and who chose them: the first of those, and how many they are.
    ///
    /// - Throws: `CommunityError.notFound`, `.takenDown`, `.noSuchMember`.
    package func delegation(
        of member: DID, in community: DID, for caller: Caller
    ) async throws -> (to: DID?, from: [DID], fromCount: Int) {
        try await admit(caller, toSee: community)
        return try await database.read { scope in
            guard try CommunityStore.member(member, of: community, in: scope) != nil else {
                throw CommunityError.noSuchMember
            }
            let to = try GovernanceStore.delegations(from: member, of: community, in: scope).last?.delegate
            let from = try GovernanceStore.delegators(
                to: member, of: community, limit: GovernanceLimits.namedCountMax, in: scope)
            return (to, from.first, from.count)
        }
    }
}
