import ATProtocol
import Base
import Community
import Contracts
import Publishing
import Testing

/// Delegations, sealed votes, rankings, objections and amendments on real repositories.
@Suite struct BallotTests {
    // MARK: Delegation

    /// Through others, to the first with a vote; one's own vote stands above it.
    @Test func delegationsFlowToWhoVotes() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 7, quorum: 5)
        // 3 → 2 → 1, 4 → 1.
        for (from, to) in [(3, 2), (2, 1), (4, 1)] { try await house.delegate(from, to, town) }
        let written = try await house.propose("Renamed", in: town)
        #expect(try await house.vote(.against, written.rkey, town, by: 4).status == .open)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .approved)
        let page = try await house.governance.arithmetic(
            of: written.rkey, in: town.did, after: nil, limit: 100, for: .anonymous)
        #expect(page.shown.reckoning.flow.parts[town.people[3]] == .carried(by: town.people[1]))
        #expect(page.shown.row.proposal.outcome?.hasPrefix("Passed: 4 for, 1 against; 5 of 7 voted, 2 of them") == true)
        // What comes later changes nothing of it.
        try await house.governance.revokeDelegation(in: town.did, by: house.caller(town.people[3]))
        try await house.remove(town.people[2], from: town.did)
        let later = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(later.reckoning.count == page.shown.reckoning.count)
        await house.discard()
    }

    /// Who left, or lost the right, is not counted; nor are those who delegated to them.
    @Test func staleDelegationsDontCount() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 7, quorum: 3)
        for (from, to) in [(3, 2), (2, 1), (4, 1)] { try await house.delegate(from, to, town) }
        let written = try await house.propose("Renamed", in: town)
        try await house.remove(town.people[2], from: town.did)
        try await house.remove(town.people[4], from: town.did)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .open)
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.reckoning.count.voted.total == 2)
        #expect(shown.reckoning.flow.parts[town.people[3]] == .broken(at: town.people[2]))
        await house.discard()
    }

    @Test func whoDelegatedAfterwardsCountsWithTheNextVote() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 7, quorum: 4)
        let written = try await house.propose("Renamed", in: town)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .open)
        try await house.delegate(2, 1, town)
        #expect(try await house.vote(.against, written.rkey, town, by: 3).status == .approved)
        await house.discard()
    }

    @Test func delegationsAreOneEachWithoutCircles() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 5)
        try await house.delegate(1, 2, town)
        try await house.delegate(2, 3, town)
        await #expect(throws: GovernanceError.delegationCycle) { try await house.delegate(3, 1, town) }
        await #expect(throws: GovernanceError.self) { try await house.delegate(1, 1, town) }
        try await house.delegate(1, 4, town)
        let stranger = try house.person(500)
        await #expect(throws: CommunityError.noSuchMember) {
            try await house.governance.delegate(to: stranger, in: town.did, by: house.caller(town.people[1]))
        }
        await #expect(throws: CommunityError.notMember) {
            try await house.governance.delegate(to: town.people[1], in: town.did, by: house.caller(stranger))
        }
        let one = try await house.governance.delegation(of: town.people[1], in: town.did, for: .anonymous)
        #expect(one.to == town.people[4])
        let two = try await house.governance.delegation(of: town.people[4], in: town.did, for: .anonymous)
        #expect(two.from == [town.people[1]] && two.fromCount == 1)
        try await house.governance.revokeDelegation(in: town.did, by: house.caller(town.people[1]))
        await #expect(throws: GovernanceError.delegationNotFound) {
            try await house.governance.revokeDelegation(in: town.did, by: house.caller(town.people[1]))
        }
        await house.discard()
    }

    // MARK: Secret ballots

    @Test func sealedVotesCountWhenTheyAreOpened() async throws {
        let (house, town) = try await GovernanceTests.scene(
            members: 4,
            config: [
                "quorum": 2, "voterRole": "member", "ballot": "secret", "proposalTtlSeconds": 60,
                "revealTtlSeconds": 60,
            ])
        let written = try await house.propose("Renamed", in: town)
        await #expect(throws: GovernanceError.self) { try await house.vote(.inFavour, written.rkey, town, by: 0) }
        let salt = String(repeating: "ab", count: 16)
        for (index, vote) in [Vote.inFavour, .inFavour, .against].enumerated() {
            try await house.seal(vote, salt, written.rkey, town, by: index)
        }
        await #expect(throws: GovernanceError.alreadyVoted) {
            try await house.seal(.against, salt, written.rkey, town, by: 0)
        }
        await #expect(throws: GovernanceError.notRevealing) {
            try await house.reveal(.inFavour, salt, written.rkey, town, by: 0)
        }
        house.clock.advance(by: .seconds(60))
        #expect(try await house.governance.conclude(written.rkey, in: town.did) == written.proposal.revealUntil)
        await #expect(throws: GovernanceError.commitmentMismatch) {
            try await house.reveal(.against, salt, written.rkey, town, by: 0)
        }
        await #expect(throws: GovernanceError.voteNotFound) {
            try await house.reveal(.against, salt, written.rkey, town, by: 3)
        }
        #expect(try await house.reveal(.inFavour, salt, written.rkey, town, by: 0).status == .open)
        await #expect(throws: GovernanceError.alreadyRevealed) {
            try await house.reveal(.inFavour, salt, written.rkey, town, by: 0)
        }
        #expect(try await house.reveal(.against, salt, written.rkey, town, by: 2).status == .open)
        // The last one to be opened ends it.
        #expect(try await house.reveal(.inFavour, salt, written.rkey, town, by: 1).status == .approved)
        #expect(try await house.displayName(of: town) == "Renamed")
        await house.discard()
    }

    @Test func votesThatStaySealedDontCount() async throws {
        let (house, town) = try await GovernanceTests.scene(
            members: 4,
            config: ["quorum": 2, "voterRole": "member", "proposalTtlSeconds": 60, "revealTtlSeconds": 60])
        let written = try await house.propose("Renamed", in: town, ballot: .secret)
        let salt = String(repeating: "cd", count: 16)
        for index in 0...1 { try await house.seal(.inFavour, salt, written.rkey, town, by: index) }
        house.clock.advance(by: .seconds(60))
        _ = try await house.reveal(.inFavour, salt, written.rkey, town, by: 0)
        house.clock.advance(by: .seconds(60))
        #expect(try await house.governance.conclude(written.rkey, in: town.did) == nil)
        #expect(try await house.status(written.rkey, town) == .expired)
        await house.discard()
    }

    // MARK: Other models

    @Test func aRankedChoiceCarriesOutWhatWon() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 3, quorum: 1, model: "ranked-choice")
        let options = try ["a", "b", "c"].map { id in
            Proposal.Option(
                id: try RecordKey(parsing: id), title: id,
                record: id == "c" ? DataValue?.none : house.profile("Name \(id)"))
        }
        let draft = GovernanceService.Draft(
            target: RepositoryPath(CommunityCollections.profile, CommunityCollections.selfKey), action: .write,
            options: options)
        let written = try await house.governance.propose(draft, in: town.did, by: house.caller(town.owner))
        let (a, b, c) = (options[0].id, options[1].id, options[2].id)
        await #expect(throws: GovernanceError.self) { try await house.vote(.inFavour, written.rkey, town, by: 0) }
        _ = try await house.vote(.ranking([c, b]), written.rkey, town, by: 0)
        _ = try await house.vote(.ranking([b, a]), written.rkey, town, by: 1)
        #expect(try await house.vote(.ranking([a, b]), written.rkey, town, by: 2).status == .approved)
        #expect(try await house.displayName(of: town) == "Name b")
        await house.discard()
    }

    @Test func anObjectionIsAnsweredByAnAmendment() async throws {
        let (house, town) = try await GovernanceTests.scene(
            members: 3, config: ["voterRole": "member", "proposalTtlSeconds": 60], model: "consent")
        let written = try await house.propose("Renamed", in: town)
        #expect(
            try await house.vote(.objection(reason: "too long"), written.rkey, town, by: 1).status == .open)
        house.clock.advance(by: .seconds(30))
        let amended = try await house.governance.amend(
            written.rkey, record: house.profile("Short"), options: [], reason: "shorter", in: town.did,
            by: house.caller(town.owner))
        #expect(amended.proposal.round == 1)
        #expect(amended.proposal.expiresAt == house.clock.now().advanced(by: .seconds(60)))
        #expect(amended.proposal.amendments[0]["previousRecord"] == house.profile("Renamed"))
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.reckoning.count.voted.total == 0)
        // Everybody may vote anew, and silence is consent.
        _ = try await house.vote(.inFavour, written.rkey, town, by: 1)
        house.clock.advance(by: .seconds(60))
        #expect(try await house.governance.conclude(written.rkey, in: town.did) == nil)
        #expect(try await house.displayName(of: town) == "Short")
        await house.discard()
    }

    @Test func onlyTheAuthorAndOwnersChangeAProposal() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 4, quorum: 3)
        try await house.give(town.moderatorRole, to: town.people[1], of: town.did)
        try await house.give(town.moderatorRole, to: town.people[2], of: town.did)
        let written = try await house.propose("Renamed", in: town, by: town.people[1])
        let other = house.caller(town.people[2])
        await #expect(throws: CommunityError.forbidden) {
            try await house.governance.amend(
                written.rkey, record: house.profile("Mine"), options: [], reason: nil, in: town.did, by: other)
        }
        await #expect(throws: CommunityError.forbidden) {
            try await house.governance.withdraw(written.rkey, reason: nil, in: town.did, by: other)
        }
        try await house.governance.withdraw(
            written.rkey, reason: "no need", in: town.did, by: house.caller(town.owner))
        #expect(try await house.status(written.rkey, town) == .withdrawn)
        await #expect(throws: GovernanceError.proposalClosed) {
            try await house.vote(.inFavour, written.rkey, town, by: 2)
        }
        await house.discard()
    }
}

extension GovernanceHouse {
    func delegate(_ from: Int, _ to: Int, _ town: TestCommunity) async throws {
        _ = try await governance.delegate(
            to: town.people[to], in: town.did, by: caller(town.people[from]))
    }

    func seal(_ vote: Vote, _ salt: String, _ rkey: RecordKey, _ town: TestCommunity, by index: Int) async throws {
        let commitment = VoteSeal.commitment(
            proposal: GovernanceStore.uri(of: rkey, of: town.did), voter: town.people[index], vote: vote, salt: salt)
        _ = try await governance.vote(
            .sealed(commitment: commitment), on: rkey, in: town.did, by: caller(town.people[index]))
    }

    func reveal(
        _ vote: Vote, _ salt: String, _ rkey: RecordKey, _ town: TestCommunity, by index: Int
    ) async throws -> GovernanceService.Voted {
        try await governance.reveal(
            vote, reason: nil, salt: salt, on: rkey, in: town.did, by: caller(town.people[index]))
    }
}
