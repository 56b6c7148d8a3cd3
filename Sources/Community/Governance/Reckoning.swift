package import ATProtocol

/// One count of a proposal's votes, with everybody's part in it.
package struct Reckoning: Sendable {
    package let poll: Poll
    package let flow: DelegationFlow
    package let count: VoteCount
    /// What those said who voted themselves; nil for a sealed vote.
    package let votes: [DID: Vote?]

    /// Counts everybody in the electorate once: by their own vote, or by that of whom they are carried by.
    ///
    /// - Parameters:
    ///   - votes: by voter; nil for one that is sealed, which counts for nobody. Those of people outside the electorate
    ///     are passed over.
    ///   - electorate, eligible, delegations: see `DelegationFlow`.
    package init(
        _ poll: Poll, votes: [DID: Vote?], electorate: Set<DID>, eligible: Set<DID>, delegations: [DID: DID]
    ) {
        self.poll = poll
        self.votes = votes
        flow = DelegationFlow(
            electorate: electorate, eligible: eligible, voters: Set(votes.keys), delegations: delegations)
        var count = VoteCount()
        for (voter, part) in flow.parts {
            switch part {
            case .own:
                if let vote = votes[voter] ?? nil { count.add(vote, isOwn: true) } else { count.sealed += 1 }
            case .carried(let carrier):
                if let vote = votes[carrier] ?? nil { count.add(vote, isOwn: false) }
            case .silent, .unvoted, .circle, .broken, .ineligible: continue
            }
        }
        self.count = count
    }

    /// Whether a vote counts for `voter`, their own or another's.
    package func isCounted(_ voter: DID) -> Bool {
        switch flow.parts[voter] {
        case .own: (votes[voter] ?? nil) != nil
        case .carried(let carrier): (votes[carrier] ?? nil) != nil
        default: false
        }
    }
}
