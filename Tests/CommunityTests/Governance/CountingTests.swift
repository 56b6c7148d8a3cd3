import ATProtocol
import Base
import Community
import Contracts
import Testing

/// What votes are counted from sums alone agrees with counting everybody.
@Suite struct CountingTests {
    private final class Play: Sendable {
        let house: GovernanceHouse
        let town: TestCommunity
        let random: SeededRandomness
        let rkey: RecordKey

        init(seed: Int) async throws {
            random = SeededRandomness(seed: UInt64(seed))
            house = try await GovernanceHouse()
            let config: DataMap =
                random.oneIn(2)
                ? ["quorum": .integer(Int64(2 + random.below(8))), "voterRole": "member"]
                : ["quorumShare": .integer(Int64(20 + random.below(81))), "voterRole": "member"]
            town = try await house.community(memberCount: 9, model: "simple-majority", config: config)
            for _ in 0..<random.below(8) { try? await Self.delegate(random, house, town) }
            rkey = try await house.propose("Renamed", in: town).rkey
        }

        static func delegate(_ random: SeededRandomness, _ house: GovernanceHouse, _ town: TestCommunity) async throws {
            try await house.delegate(random.below(town.people.count), random.below(town.people.count), town)
        }

        /// One thing that somebody does; what is refused changes nothing.
        func step() async throws {
            switch random.below(10) {
            case 0, 1: try? await Self.delegate(random, house, town)
            case 2:
                let person = town.people[random.below(town.people.count)]
                try? await house.governance.revokeDelegation(in: town.did, by: house.caller(person))
            case 3:
                guard random.oneIn(2) else { return }
                try await house.remove(town.people[1 + random.below(town.people.count - 1)], from: town.did)
            default: try await vote()
            }
        }

        /// After each vote that is taken, the proposal is open only if counting everybody decides nothing.
        private func vote() async throws {
            let side: Vote = random.oneIn(2) ? .inFavour : .against
            let voter = town.people[random.below(town.people.count)]
            guard let voted = try? await house.vote(side, rkey, town, by: voter) else { return }
            let shown = try await house.governance.proposal(rkey, of: town.did, for: .anonymous)
            #expect(shown.row.proposal.status == voted.status)
            #expect((voted.status == .open) == (shown.decision?.isFinal == false))
        }
    }

    @Test(arguments: 0..<24) func noDecisionIsMissed(seed: Int) async throws {
        let play = try await Play(seed: seed)
        for _ in 0..<30 { try await play.step() }
        // Whatever is open still ends with the time.
        play.house.clock.advance(by: .seconds(8 * 86_400))
        #expect(try await play.house.governance.conclude(play.rkey, in: play.town.did) == nil)
        #expect(try await play.house.status(play.rkey, play.town) != .open)
        await play.house.discard()
    }
}
