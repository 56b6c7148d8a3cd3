package import ATProtocol

/// How a community decides; raw values are the records'.
package enum GovernanceModelName: String, Sendable, Hashable, CaseIterable {
    /// Whoever has the permission; nothing is voted on.
    case benevolentDictator = "benevolent-dictator"
    case simpleMajority = "simple-majority"
    case rankedChoice = "ranked-choice"
    case consent
    /// Not served: see `GovernanceError.notSupported`.
    case onChain = "on-chain"

    /// The rules by which votes decide, or nil where nothing is voted on.
    package var model: (any GovernanceModel)? {
        switch self {
        case .simpleMajority: SimpleMajority()
        case .rankedChoice: RankedChoice()
        case .consent: Consent()
        case .benevolentDictator, .onChain: nil
        }
    }
}

/// What is voted on, as far as the counting must know.
package struct Poll: Sendable, Hashable {
    package var quorum: Quorum
    /// How many could vote when it opened.
    package var electorateCount: Int
    /// What a ranked choice is between; empty where votes are for or against.
    package var options: [RecordKey]

    package init(quorum: Quorum, electorateCount: Int, options: [RecordKey] = []) {
        self.quorum = quorum
        self.electorateCount = electorateCount
        self.options = options
    }
}

/// How votes add up, those included that count by delegation.
package struct VoteCount: Sendable, Hashable {
    /// Votes of one kind.
    package struct Part: Sendable, Hashable {
        package var own = 0
        package var carried = 0

        package init(own: Int = 0, carried: Int = 0) {
            self.own = own
            self.carried = carried
        }

        /// All of them.
        package var total: Int { own + carried }
    }

    package var inFavour = Part()
    package var against = Part()
    package var objections = Part()
    /// Each ranking with the number of those it counts for.
    package var rankings: [[RecordKey]: Part] = [:]
    /// Votes of a secret ballot that are not opened: they count for nothing yet.
    package var sealed = 0

    package init() {}

    /// Adds one voter's.
    package mutating func add(_ vote: Vote, isOwn: Bool) {
        let part = isOwn ? Part(own: 1) : Part(carried: 1)
        switch vote {
        case .inFavour: Self.add(part, to: &inFavour)
        case .against: Self.add(part, to: &against)
        case .objection: Self.add(part, to: &objections)
        case .ranking(let ids): Self.add(part, to: &rankings[ids, default: Part()])
        }
    }

    private static func add(_ part: Part, to sum: inout Part) {
        sum.own += part.own
        sum.carried += part.carried
    }

    /// Everybody whose vote counts, their own or by delegation.
    package var voted: Part {
        var sum = Part()
        for part in [inFavour, against, objections] + rankings.values { Self.add(part, to: &sum) }
        return sum
    }
}

/// What the votes say.
package enum Decision: Sendable, Hashable {
    /// Nothing yet; the text says what is missing.
    case open(String)
    /// What is proposed is to be done; of options, the one that won.
    case approved(winner: RecordKey?, String)
    case rejected(String)
    /// Time is up, and too few have voted.
    case expired(String)

    /// Why, in one sentence or two.
    package var reason: String {
        switch self {
        case .open(let text), .approved(_, let text), .rejected(let text), .expired(let text): text
        }
    }

    /// Whether it is final.
    package var isFinal: Bool { if case .open = self { false } else { true } }
}

/// Why a vote is none in its proposal.
package struct BallotFault: Error, Sendable, Hashable {
    /// One sentence for the voter.
    package var message: String

    package init(_ message: String) { self.message = message }
}

/// The rules of one way to decide: values in, a decision out.
package protocol GovernanceModel: Sendable {
    /// What settings and records call it.
    var name: GovernanceModelName { get }
    /// Refuses a vote that makes no sense in this model.
    func check(_ vote: Vote, in poll: Poll) throws(BallotFault)
    /// Whether the quorum alone can end it, so that votes by delegation must be known at once.
    func endsByQuorum(_ poll: Poll) -> Bool
    /// What the votes say, with the arithmetic in words.
    ///
    /// The more votes are in, the less can be undecided: once a decision is final it is carried out.
    /// - Parameter isOver: whether nobody can vote any more.
    func decide(_ poll: Poll, _ count: VoteCount, isOver: Bool) -> Decision
}

extension Poll {
    /// `3 of 5 voted, 3 were needed (60 %).`
    func turnout(_ count: VoteCount) -> String {
        let share = quorum.share.map { " (\($0) %)" } ?? ""
        let carried = count.voted.carried
        let delegated = carried > 0 ? ", \(carried) of them by delegation" : ""
        let needed = quorum.needed > 0 ? "; it takes \(quorum.needed)\(share)" : ""
        return "\(count.voted.total) of \(electorateCount) voted\(delegated)\(needed)."
    }

    /// Whether enough have voted.
    package func isQuorumMet(_ count: VoteCount) -> Bool { count.voted.total >= quorum.needed }

    /// Whether everybody has cast a vote of their own, so that nothing can change any more.
    func isComplete(_ count: VoteCount) -> Bool { count.voted.own >= electorateCount }

    /// Refuses anything but one of `allowed`, each under the name it has on the wire.
    func refuse(_ vote: Vote) throws(BallotFault) -> Never {
        switch vote {
        case .inFavour, .against: throw BallotFault("rank the options")
        case .objection: throw BallotFault("objections are for the consent model")
        case .ranking: throw BallotFault("there are no options to rank: vote for or against")
        }
    }
}
