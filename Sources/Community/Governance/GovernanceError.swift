package import Base

/// Why something can't be decided. Nothing was changed, except that a proposal whose time was up is closed by whoever notices.
package enum GovernanceError: Error, Sendable, Hashable, WireConvertible {
    /// Nothing is voted on here.
    case notActive
    /// The model is not served.
    case notSupported
    case proposalNotFound
    case proposalClosed
    case tooManyProposals
    case tooManyAmendments
    case alreadyVoted
    /// The caller could not vote when the proposal opened, or can't any more.
    case notEligible
    case invalidBallot(String)
    /// Sealed votes can't be opened now.
    case notRevealing
    case voteNotFound
    case alreadyRevealed
    case commitmentMismatch
    case delegationNotFound
    case delegationCycle
    case invalid(String)

    package var wire: WireFailure {
        switch self {
        case .notActive:
            WireFailure(
                status: 400, error: "GovernanceNotActive",
                message: "Nothing is voted on in this community: who has the permission decides.")
        case .notSupported:
            WireFailure(
                status: 400, error: "GovernanceNotSupported",
                message:
                    "Governance on a chain is not served. Served are benevolent-dictator, simple-majority, ranked-choice and consent."
            )
        case .proposalNotFound:
            WireFailure(status: 404, error: "ProposalNotFound", message: "There is no such proposal.")
        case .proposalClosed:
            WireFailure(status: 400, error: "ProposalClosed", message: "The proposal can be voted on no longer.")
        case .tooManyProposals:
            WireFailure(
                status: 409, error: "TooManyProposals",
                message: "At most \(GovernanceLimits.openProposalCountMax) proposals can be open at once.")
        case .tooManyAmendments:
            WireFailure(
                status: 409, error: "TooManyAmendments",
                message: "A proposal can be amended \(GovernanceLimits.amendmentCountMax) times.")
        case .alreadyVoted: WireFailure(status: 409, error: "AlreadyVoted", message: "You have voted already.")
        case .notEligible:
            WireFailure(status: 403, error: "NotEligible", message: "You are not among those who vote on this.")
        case .invalidBallot(let message): WireFailure(status: 400, error: "InvalidBallot", message: message)
        case .notRevealing:
            WireFailure(status: 400, error: "NotRevealing", message: "Sealed votes can't be opened now.")
        case .voteNotFound: WireFailure(status: 404, error: "VoteNotFound", message: "You have not voted.")
        case .alreadyRevealed:
            WireFailure(status: 409, error: "AlreadyRevealed", message: "Your vote was opened already.")
        case .commitmentMismatch:
            WireFailure(status: 400, error: "CommitmentMismatch", message: "That is not the vote that was sealed.")
        case .delegationNotFound: WireFailure(status: 404, error: "NotFound", message: "You have delegated to nobody.")
        case .delegationCycle:
            WireFailure(
                status: 409, error: "DelegationCycle",
                message: "They have delegated to you, themselves or through others.")
        case .invalid(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        }
    }
}
