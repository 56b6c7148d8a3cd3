/// More for than against, once enough have voted.
///
/// The vote that reaches the quorum decides, as those who know OpenFederation expect: more for than against passes, a tie
/// does not. It is over before that when those who have not voted could not turn it any more. Time that runs out before
/// the quorum is reached ends it without a decision.
package struct SimpleMajority: GovernanceModel {
    package init() {}

    package var name: GovernanceModelName { .simpleMajority }

    package func check(_ vote: Vote, in poll: Poll) throws(BallotFault) {
        switch vote {
        case .inFavour, .against: return
        case .objection, .ranking: try poll.refuse(vote)
        }
    }

    package func endsByQuorum(_ poll: Poll) -> Bool { true }

    package func decide(_ poll: Poll, _ count: VoteCount, isOver: Bool) -> Decision {
        let sums = "\(count.inFavour.total) for, \(count.against.total) against; \(poll.turnout(count))"
        if poll.isQuorumMet(count), poll.quorum.needed > 0 || isOver {
            if count.inFavour.total > count.against.total { return .approved(winner: nil, "Passed: \(sums)") }
            let verdict = count.inFavour.total == count.against.total ? "Rejected by a tie" : "Rejected"
            return .rejected("\(verdict): \(sums)")
        }
        // Who is carried may still vote otherwise; a vote of one's own stays.
        let undecided = max(poll.electorateCount - count.voted.own, 0)
        if count.against.own > 0, count.inFavour.own + undecided <= count.against.own {
            return .rejected("Rejected, as no majority for it can come about any more: \(sums)")
        }
        if isOver { return .expired("Too few voted: \(sums)") }
        return .open("\(sums)")
    }
}
