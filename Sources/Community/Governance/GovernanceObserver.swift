package import ATProtocol
package import Contracts
package import Storage

/// Derives proposals, votes with their sums, and delegations from a community's records.
package struct GovernanceObserver: RecordObserver {
    package let collections: Set<NSID> = [
        CommunityCollections.proposal, CommunityCollections.vote, CommunityCollections.delegation,
    ]
    package let tables = ["community_proposal", "community_vote", "community_vote_sum", "community_delegation"]

    package init() {}

    package func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws {
        for record in records {
            switch record.path.collection {
            case CommunityCollections.proposal: try observeProposal(record, of: did, in: scope)
            case CommunityCollections.vote: try observeVote(record, of: did, in: scope)
            case CommunityCollections.delegation: try observeDelegation(record, of: did, in: scope)
            default: continue
            }
        }
    }

    private func observeProposal(_ record: ObservedRecord, of did: DID, in scope: any WriteScope) throws {
        let key = record.path.key
        guard let cid = record.cid, let value = record.value, let proposal = Proposal(value) else {
            return try GovernanceStore.removeProposal(key, of: did, in: scope)
        }
        try GovernanceStore.store(proposal, cid: cid, record: value, at: key, of: did, in: scope)
    }

    /// A vote at another key than its voter's would be a second one, and a seal that the opened vote does not fit is none.
    private func observeVote(_ record: ObservedRecord, of did: DID, in scope: any WriteScope) throws {
        guard let place = GovernanceStore.VotePlace(record.path.key) else { return }
        var stored: VoteRecord?
        if var vote = record.value.flatMap(VoteRecord.init), place == GovernanceStore.VotePlace(vote) {
            if !Self.isOpen(vote, of: did) { vote.vote = nil }
            stored = vote
        }
        try GovernanceStore.store(stored, at: place, of: did, in: scope)
    }

    private static func isOpen(_ vote: VoteRecord, of did: DID) -> Bool {
        guard let commitment = vote.commitment else { return true }
        guard let choice = vote.vote, let salt = vote.salt else { return false }
        let uri = GovernanceStore.uri(of: vote.proposal, of: did)
        return VoteSeal.commitment(proposal: uri, voter: vote.voter, vote: choice, salt: salt) == commitment
    }

    private func observeDelegation(_ record: ObservedRecord, of did: DID, in scope: any WriteScope) throws {
        let delegation = record.value.flatMap(DelegationRecord.init)
        try GovernanceStore.store(delegation, at: record.path.key, of: did, in: scope)
    }

    package func forget(_ did: DID, in scope: any WriteScope) throws {
        for table in tables {
            try scope.execute("DELETE FROM \(table) WHERE community = $1", [.text(did.string)])
        }
    }
}
