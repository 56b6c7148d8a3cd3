package import ATProtocol

/// One of several options, by the rankings of all: the method of Schulze.
///
/// It is decided when time is up or everybody has voted. A proposal without options is for or against, by the rules of
/// the simple majority.
package struct RankedChoice: GovernanceModel {
    package init() {}

    package var name: GovernanceModelName { .rankedChoice }

    package func check(_ vote: Vote, in poll: Poll) throws(BallotFault) {
        guard !poll.options.isEmpty else {
            try SimpleMajority().check(vote, in: poll)
            return
        }
        guard case .ranking(let ids) = vote else { try poll.refuse(vote) }
        guard !ids.isEmpty else { throw BallotFault("rank one option at least") }
        guard Set(ids).count == ids.count else { throw BallotFault("an option is ranked twice") }
        for id in ids where !poll.options.contains(id) { throw BallotFault("there is no option \(id.string)") }
    }

    package func endsByQuorum(_ poll: Poll) -> Bool { poll.options.isEmpty }

    package func decide(_ poll: Poll, _ count: VoteCount, isOver: Bool) -> Decision {
        guard !poll.options.isEmpty else { return SimpleMajority().decide(poll, count, isOver: isOver) }
        guard isOver || poll.isComplete(count) else { return .open(poll.turnout(count)) }
        guard poll.isQuorumMet(count), count.voted.total > 0 else {
            return .expired("Too few voted: \(poll.turnout(count))")
        }
        let result = SchulzeCount(options: poll.options, rankings: count.rankings.mapValues(\.total))
        guard let winner = result.winner else { return .expired("Nothing was ranked.") }
        let equals = result.order.first ?? []
        let tie =
            equals.count > 1 ? " It was equal with \(equals.count - 1) other, and stands first in the proposal." : ""
        return .approved(winner: winner, "\(winner.string) won: \(poll.turnout(count))\(tie)")
    }
}

/// A ranked choice, counted by the method of Schulze.
///
/// An option is before another when the strongest chain of majorities from it to the other is stronger than the one back. A
/// chain is as strong as its weakest majority, a majority as strong as the number of those who put the one before the
/// other; to lose against more voters than one wins is none. Of several that nobody is before, the one that stands
/// first in the proposal wins: known to all before the first vote, and the same whoever counts.
package struct SchulzeCount: Sendable, Hashable {
    package let options: [RecordKey]
    /// How many voters put the option of the row before that of the column.
    package let preferences: [[Int]]
    /// The strongest chain from the option of the row to that of the column; 0 where there is none.
    package let strengths: [[Int]]
    /// The options, the best first; equal ones together, in the order of the proposal.
    package let order: [[RecordKey]]

    /// - Parameter rankings: each with the number of voters it counts for. What is left out comes last, together; ids that are no
    ///   options are passed over.
    package init(options: [RecordKey], rankings: [[RecordKey]: Int]) {
        self.options = options
        preferences = Self.preferences(options, rankings)
        strengths = Self.strengths(preferences)
        order = Self.order(options, strengths)
    }

    /// The option that is carried out; nil where there are none.
    package var winner: RecordKey? { order.first?.first }

    private static func preferences(_ options: [RecordKey], _ rankings: [[RecordKey]: Int]) -> [[Int]] {
        let positions = Dictionary(options.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var sums = Array(repeating: Array(repeating: 0, count: options.count), count: options.count)
        for (ranking, weight) in rankings {
            var rest = Set(options.indices)
            for better in ranking.compactMap({ positions[$0] }) where rest.remove(better) != nil {
                for worse in rest { sums[better][worse] += weight }
            }
        }
        return sums
    }

    private static func strengths(_ preferences: [[Int]]) -> [[Int]] {
        let all = preferences.indices
        var strengths = preferences
        for one in all {
            for other in all where one == other || preferences[one][other] <= preferences[other][one] {
                strengths[one][other] = 0
            }
        }
        for middle in all {
            for one in all where one != middle {
                for other in all where other != middle && other != one {
                    strengths[one][other] = max(
                        strengths[one][other], min(strengths[one][middle], strengths[middle][other]))
                }
            }
        }
        return strengths
    }

    /// Being before is transitive, so that the number of those an option is before says its place.
    private static func order(_ options: [RecordKey], _ strengths: [[Int]]) -> [[RecordKey]] {
        var rest = Array(options.indices)
        var order: [[RecordKey]] = []
        while !rest.isEmpty {
            let best = rest.filter { one in rest.allSatisfy { strengths[$0][one] <= strengths[one][$0] } }
            order.append(best.map { options[$0] })
            rest.removeAll(where: best.contains)
        }
        return order
    }
}
