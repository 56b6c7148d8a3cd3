package import ATProtocol
import Base

/// The rules of a voting model as a community's settings have them.
package struct GovernanceConfig: Sendable, Hashable {
    /// How many votes decide, before it is known how many there can be.
    package enum QuorumRule: Sendable, Hashable {
        case number(Int)
        /// In percent of the electorate.
        case share(Int)
    }

    package var quorum: QuorumRule
    /// The name of the role whose holders vote; `everyMember` stands for all.
    package var voterRole: String
    /// How long a proposal can be voted on.
    package var votingTime: Duration
    /// How long sealed votes can be opened after that.
    package var revealTime: Duration
    package var ballot: Proposal.Ballot

    /// The role name that stands for all members.
    package static let everyMember = "member"
    private static let votingDaysDefault: Int64 = 7
    private static let revealSecondsDefault: Int64 = 3 * 86_400

    /// Reads `governanceConfig` for `model`.
    ///
    /// The simple majority and the ranked choice need a quorum; for consent silence is enough.
    /// - Throws: `GovernanceError.invalid`, `.notSupported`, `.notActive` where nothing is voted on.
    package init(_ config: DataMap, model: GovernanceModelName) throws(GovernanceError) {
        guard model != .onChain else { throw .notSupported }
        guard model.model != nil else { throw .notActive }
        switch (config["quorum"]?.integerValue, config["quorumShare"]?.integerValue) {
        case (let number?, nil) where number >= 1: quorum = .number(Int(clamping: number))
        case (nil, let share?) where (1...100).contains(share): quorum = .share(Int(share))
        case (nil, nil) where model == .consent: quorum = .number(0)
        case (.some, .some): throw .invalid("quorum and quorumShare exclude each other")
        default: throw .invalid("\(model.rawValue) needs quorum, a number of votes, or quorumShare, 1 to 100 percent")
        }
        guard let voterRole = config["voterRole"]?.stringValue, !voterRole.isEmpty else {
            throw .invalid("\(model.rawValue) needs voterRole: the name of a role, or member for all members")
        }
        self.voterRole = voterRole
        let seconds =
            config["proposalTtlSeconds"]?.integerValue
            ?? (config["proposalTtlDays"]?.integerValue ?? Self.votingDaysDefault) * 86_400
        votingTime = .seconds(seconds)
        revealTime = .seconds(config["revealTtlSeconds"]?.integerValue ?? Self.revealSecondsDefault)
        ballot = config["ballot"]?.stringValue.flatMap(Proposal.Ballot.init(rawValue:)) ?? .open
        for name in config["protectedCollections"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            let whole = name.contains(".") ? name : CommunityCollections.prefix + name
            guard (try? NSID(parsing: whole)) != nil else {
                throw .invalid("protectedCollections: \(name) is not the name of a collection")
            }
        }
    }

    /// The quorum of a proposal that so many can vote on.
    package func quorum(of electorateCount: Int) -> Quorum {
        switch quorum {
        case .number(let number): Quorum(needed: number)
        case .share(let share): Quorum(share: share, of: electorateCount)
        }
    }
}

/// Bounds of governance.
package enum GovernanceLimits {
    /// Proposals of one community that are open at once.
    package static let openProposalCountMax = 100
    /// Amendments of one proposal; the lexicon's bound.
    package static let amendmentCountMax = 100
    /// How far a delegation may lead on.
    package static let delegationWayMax = 100
    /// People named in one list of an answer.
    package static let namedCountMax = 1000
}
