/// Passes unless somebody has a reasoned objection.
///
/// It is decided when time is up or everybody has voted: an objection does not end it before, so that what is proposed can be
/// amended until nobody has one. Silence is consent where no quorum is set.
package struct Consent: GovernanceModel {
    package init() {}

    package var name: GovernanceModelName { .consent }

    package func check(_ vote: Vote, in poll: Poll) throws(BallotFault) {
        switch vote {
        case .inFavour: return
        case .objection(let reason):
            guard reason.contains(where: { !$0.isWhitespace }) else {
                throw BallotFault("an objection needs its reason")
            }
        case .against: throw BallotFault("who is against it objects, with the reason")
        case .ranking: try poll.refuse(vote)
        }
    }

    package func endsByQuorum(_ poll: Poll) -> Bool { false }

    package func decide(_ poll: Poll, _ count: VoteCount, isOver: Bool) -> Decision {
        let (objections, consents) = (count.objections.total, count.inFavour.total)
        let sums = "\(consents) for, \(objections) \(objections == 1 ? "objects" : "object"); \(poll.turnout(count))"
        guard isOver || poll.isComplete(count) else { return .open(sums) }
        if objections > 0 { return .rejected("Rejected by objection: \(sums)") }
        guard poll.isQuorumMet(count) else { return .expired("Too few voted: \(sums)") }
        return .approved(winner: nil, "Passed without objection: \(sums)")
    }
}
