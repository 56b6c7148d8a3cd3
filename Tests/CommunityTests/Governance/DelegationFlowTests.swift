import ATProtocol
import Base
import Community
import Testing

/// Who is carried by whom, against walking from each voter by hand.
@Suite struct DelegationFlowTests {
    private struct Scene {
        var electorate: Set<DID> = []
        var eligible: Set<DID> = []
        var votes: [DID: Vote?] = [:]
        var delegations: [DID: DID] = [:]

        init(_ random: SeededRandomness) throws {
            let people = try (0..<(1 + random.below(9))).map(voter)
            for person in people {
                if !random.oneIn(6) { electorate.insert(person) }
                if !random.oneIn(6) { eligible.insert(person) }
                if random.oneIn(3) {
                    votes[person] = random.oneIn(4) ? Vote?.none : (random.oneIn(2) ? .inFavour : .against)
                }
                if !random.oneIn(3) { delegations[person] = people[random.below(people.count)] }
            }
        }

        /// Whose vote counts for `start`: themselves, another, or nobody.
        func carrier(of start: DID) -> DID? {
            guard electorate.contains(start) else { return nil }
            if votes.keys.contains(start) { return start }
            var next = start
            for _ in 0...electorate.count {
                guard electorate.contains(next), eligible.contains(next) else { return nil }
                if votes.keys.contains(next) { return next }
                guard let further = delegations[next] else { return nil }
                next = further
            }
            return nil
        }

        var reckoning: Reckoning {
            Reckoning(
                Poll(quorum: Quorum(needed: 1), electorateCount: electorate.count), votes: votes,
                electorate: electorate, eligible: eligible, delegations: delegations)
        }
    }

    @Test(arguments: 0..<2000) func everybodyIsCountedAsWalkingSays(seed: Int) throws {
        let scene = try Scene(SeededRandomness(seed: UInt64(seed)))
        let reckoning = scene.reckoning
        #expect(Set(reckoning.flow.parts.keys) == scene.electorate)
        var (inFavour, against) = (0, 0)
        for person in scene.electorate {
            let carrier = scene.carrier(of: person)
            switch reckoning.flow.parts[person] {
            case .own: #expect(carrier == person)
            case .carried(let by):
                #expect(carrier == by)
                #expect(reckoning.flow.way(from: person, countMax: 100).last == by)
            default: #expect(carrier == nil, "seed \(seed): \(person)")
            }
            let vote = carrier.flatMap { scene.votes[$0] ?? nil }
            #expect(reckoning.isCounted(person) == (vote != nil))
            if vote == .inFavour { inFavour += 1 }
            if vote == .against { against += 1 }
        }
        #expect(reckoning.count.inFavour.total == inFavour, "seed \(seed)")
        #expect(reckoning.count.against.total == against, "seed \(seed)")
        #expect(reckoning.count.voted.total <= scene.electorate.count)
    }

    @Test func circlesCarryNobodyUntilOneVotes() throws {
        let (a, b, c) = (try voter(1), try voter(2), try voter(3))
        let all: Set = [a, b, c]
        let circle = [a: b, b: c, c: a]
        let idle = DelegationFlow(electorate: all, eligible: all, voters: [], delegations: circle)
        #expect(idle.parts == [a: .circle, b: .circle, c: .circle])
        let moving = DelegationFlow(electorate: all, eligible: all, voters: [b], delegations: circle)
        #expect(moving.parts == [a: .carried(by: b), b: .own, c: .carried(by: b)])
        #expect(moving.way(from: c, countMax: 100) == [a, b])
        #expect(moving.way(from: c, countMax: 1) == [a])
    }

    /// Who left or lost the right carries nobody, and is carried by nobody; the vote they cast stands.
    @Test func whoCanVoteNoLongerCarriesNobody() throws {
        let (a, b, c, d) = (try voter(1), try voter(2), try voter(3), try voter(4))
        let flow = DelegationFlow(
            electorate: [a, b, c, d], eligible: [a, c], voters: [b, c], delegations: [a: b, d: c])
        #expect(flow.parts == [a: .broken(at: b), b: .own, c: .own, d: .ineligible])
    }

    @Test func aLongChainIsFollowedToItsEnd() throws {
        let people = try (0..<20_000).map(voter)
        let all = Set(people)
        let chain = Dictionary(uniqueKeysWithValues: zip(people, people.dropFirst()))
        let last = try #require(people.last)
        let flow = DelegationFlow(electorate: all, eligible: all, voters: [last], delegations: chain)
        #expect(flow.parts.values.count { $0 == .carried(by: last) } == people.count - 1)
        #expect(flow.way(from: people[0], countMax: 100).count == 100)
    }
}
