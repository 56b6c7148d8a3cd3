import ATProtocol
import Base
import Community
import Testing

/// Ranked choice, against trying every chain of majorities.
@Suite struct SchulzeCountTests {
    private static func keys(_ text: String) throws -> [RecordKey] {
        try text.map { try RecordKey(parsing: String($0)) }
    }

    /// The strength of the best chain from `one` to `other` that visits nobody twice.
    private static func strongest(_ one: Int, _ other: Int, _ votes: [[Int]], visited: Set<Int> = []) -> Int {
        var best = votes[one][other] > votes[other][one] ? votes[one][other] : 0
        for middle in votes.indices where middle != one && middle != other && !visited.contains(middle) {
            guard votes[one][middle] > votes[middle][one] else { continue }
            let rest = strongest(middle, other, votes, visited: visited.union([one]))
            best = max(best, min(votes[one][middle], rest))
        }
        return best
    }

    @Test(arguments: 0..<400) func strengthsAreThoseOfTheBestChains(seed: Int) throws {
        let random = SeededRandomness(seed: UInt64(seed))
        let options = Array(try Self.keys("abcde").prefix(2 + random.below(4)))
        var rankings: [[RecordKey]: Int] = [:]
        for _ in 0..<(1 + random.below(7)) {
            let kept = 1 + random.below(options.count)
            rankings[Array(shuffled(options, random).prefix(kept)), default: 0] += 1 + random.below(4)
        }
        let count = SchulzeCount(options: options, rankings: rankings)
        for one in options.indices {
            for other in options.indices where one != other {
                let before = rankings.reduce(0) { sum, entry in
                    let (x, y) = (entry.key.firstIndex(of: options[one]), entry.key.firstIndex(of: options[other]))
                    return sum + (x.map { $0 < y ?? .max } ?? false ? entry.value : 0)
                }
                #expect(count.preferences[one][other] == before, "seed \(seed)")
                #expect(count.strengths[one][other] == Self.strongest(one, other, count.preferences), "seed \(seed)")
            }
        }
        #expect(Set(count.order.flatMap { $0 }) == Set(options))
        try expectOrder(count, seed)
        // The order is of the options, not of how they are listed; only equal ones come as listed.
        let other = SchulzeCount(options: shuffled(options, random), rankings: rankings)
        #expect(other.order.map(Set.init) == count.order.map(Set.init), "seed \(seed)")
    }

    /// Whoever is before another comes first; who beats each of the others wins.
    private func expectOrder(_ count: SchulzeCount, _ seed: Int) throws {
        var places: [RecordKey: Int] = [:]
        for (place, group) in count.order.enumerated() { for option in group { places[option] = place } }
        for one in count.options.indices {
            for other in count.options.indices where count.strengths[one][other] > count.strengths[other][one] {
                let (first, second) = (
                    try #require(places[count.options[one]]), try #require(places[count.options[other]])
                )
                #expect(first < second, "seed \(seed)")
            }
            let beatsAll = count.options.indices.allSatisfy {
                $0 == one || count.preferences[one][$0] > count.preferences[$0][one]
            }
            if beatsAll { #expect(count.winner == count.options[one], "seed \(seed)") }
        }
    }

    private func shuffled(_ options: [RecordKey], _ random: SeededRandomness) -> [RecordKey] {
        var random = random
        return options.shuffled(using: &random)
    }

    /// The example with 45 voters of Markus Schulze's paper on the method: E, A, C, B, D.
    @Test func thePublishedExampleComesOutAsPublished() throws {
        let votes = [
            "ACBED": 5, "ADECB": 5, "BEDAC": 8, "CABED": 3, "CAEBD": 7, "CBADE": 2, "DCEBA": 7, "EBADC": 8,
        ]
        var rankings: [[RecordKey]: Int] = [:]
        for (text, weight) in votes { rankings[try Self.keys(text)] = weight }
        let count = SchulzeCount(options: try Self.keys("ABCDE"), rankings: rankings)
        #expect(count.order.flatMap { $0 } == (try Self.keys("EACBD")))
        #expect(count.strengths[4][0] == 25 && count.strengths[0][4] == 24)
    }

    @Test func equalOptionsGoByTheirPlaceInTheProposal() throws {
        let rankings = [try Self.keys("ab"): 2, try Self.keys("ba"): 2]
        #expect(SchulzeCount(options: try Self.keys("ab"), rankings: rankings).winner?.string == "a")
        #expect(SchulzeCount(options: try Self.keys("ba"), rankings: rankings).winner?.string == "b")
        #expect(SchulzeCount(options: [], rankings: [:]).winner == nil)
    }

    @Test func aRankedChoiceIsDecidedWhenAllHaveVotedOrTimeIsUp() throws {
        let options = try Self.keys("ab")
        let poll = Poll(quorum: Quorum(needed: 1), electorateCount: 2, options: options)
        var count = VoteCount()
        #expect(RankedChoice().decide(poll, count, isOver: false) == .open("0 of 2 voted; it takes 1."))
        guard case .expired = RankedChoice().decide(poll, count, isOver: true) else {
            return #expect(Bool(false), "nobody voted")
        }
        count.add(.ranking([options[1]]), isOwn: true)
        #expect(!RankedChoice().decide(poll, count, isOver: false).isFinal)
        count.add(.ranking([options[1]]), isOwn: true)
        guard case .approved(let winner, _) = RankedChoice().decide(poll, count, isOver: false) else {
            return #expect(Bool(false), "all have voted")
        }
        #expect(winner == options[1])
    }
}
