import ATProtocol
import Base
import Storage

/// Counts a proposal from what is stored.
enum GovernanceCounting {
    /// Everybody in the electorate, one by one.
    ///
    /// - Parameter basis: what an earlier count was made on; nil to take people and delegations as they are now.
    /// - Complexity: O(electorate + delegations of the community).
    static func reckoning(
        _ row: GovernanceStore.ProposalRow, of community: DID, basis: CountingBasis?, in scope: any ReadScope
    ) throws -> (reckoning: Reckoning, basis: CountingBasis) {
        let proposal = row.proposal
        let electorate = Set(try GovernanceStore.electorate(proposal: row.rkey, of: community, in: scope))
        let basis = try basis ?? Self.basis(electorate, proposal.electorate.voterRole, of: community, in: scope)
        let votes = try GovernanceStore.votes(on: row.rkey, round: proposal.round, of: community, in: scope)
        let reckoning = Reckoning(
            proposal.poll, votes: votes.mapValues(\.vote), electorate: electorate,
            eligible: electorate.subtracting(basis.ineligible), delegations: basis.delegations)
        return (reckoning, basis)
    }

    private static func basis(
        _ electorate: Set<DID>, _ voterRole: String, of community: DID, in scope: any ReadScope
    ) throws -> CountingBasis {
        let delegations = try GovernanceStore.delegations(of: community, in: scope)
        // Whether somebody can still vote matters to delegations alone.
        guard !delegations.isEmpty else { return CountingBasis(ineligible: [], delegations: [:]) }
        let able = try CommunityStore.members(
            withRoleNamed: voterRole == GovernanceConfig.everyMember ? nil : voterRole, of: community, in: scope)
        return CountingBasis(
            ineligible: electorate.subtracting(try able.map { try DID(parsing: $0) }),
            delegations: delegations.filter { electorate.contains($0.key) })
    }

    /// Whether `did` could vote on a proposal that opened now.
    static func holds(
        _ voterRole: String, _ did: DID, in community: DID, _ scope: any ReadScope
    ) throws -> Bool {
        guard let name = try CommunityStore.roleName(of: did, in: community, scope) else { return false }
        return voterRole == GovernanceConfig.everyMember || name == voterRole
    }

    /// What the votes of one's own say, without looking at anybody; nil when everybody has to be counted.
    static func quickDecision(
        _ row: GovernanceStore.ProposalRow, _ poll: GovernanceStore.Poll, of community: DID, in scope: any ReadScope
    ) throws -> Decision? {
        guard let model = row.proposal.model.model, !poll.isStale else { return nil }
        var (count, rankingCount) = try GovernanceStore.sums(
            on: row.rkey, round: row.proposal.round, of: community, in: scope)
        // Which options is of no matter as long as it is not decided.
        if rankingCount > 0 { count.rankings[[]] = VoteCount.Part(own: rankingCount) }
        let decision = model.decide(row.proposal.poll, count, isOver: false)
        guard !decision.isFinal else { return nil }
        let reach = count.voted.own + poll.carriedMax
        let mayEnd =
            poll.carriedMax > 0 && model.endsByQuorum(row.proposal.poll)
            && reach >= row.proposal.quorum.needed
        return mayEnd ? nil : decision
    }
}
