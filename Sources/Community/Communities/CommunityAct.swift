package import ATProtocol
package import Contracts

/// What is done in a community, as its guard judges it.
package enum CommunityAct: WriteAct {
    /// The first records of a new community.
    case founding
    /// What the permissions of the caller's role allow, or refuse; an administrator of the server has them all. Under a
    /// voting model what is protected is for a decision.
    case deed(Caller)
    /// Somebody becomes a member, by the rules for joining.
    case joining(DID)
    /// A member goes, and what hangs on the membership with them.
    case leaving(DID)
    /// What a member takes part with: proposals, votes, delegations. The Governance room has judged the right to.
    case participation(DID)
    /// What a decision brings about: bound by nothing but what every community must be.
    case resolution(proposal: RecordKey)
    /// What the server does by the clock: proposals that are over.
    case clock
}
