import ATProtocol
import Base
import Community
import Contracts
import Publishing
import Testing

/// Proposals and votes on real repositories.
@Suite struct GovernanceTests {
    @Test func aMajorityOfTheQuorumChangesTheCommunity() async throws {
        let (house, town) = try await Self.scene(members: 5, quorum: 3)
        let written = try await house.propose("Renamed", in: town)
        #expect(written.proposal.status == .open)
        #expect(written.proposal.electorate.count == 5)
        #expect(written.proposal.electorate.digest == ElectorateDigest.of(town.people))
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .open)
        #expect(try await house.displayName(of: town) == nil)
        #expect(try await house.vote(.against, written.rkey, town, by: 2).status == .approved)
        #expect(try await house.displayName(of: town) == "Renamed")
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.row.proposal.outcome == "Passed: 2 for, 1 against; 3 of 5 voted; it takes 3.")
        #expect(shown.row.proposal.resolvedAt == house.clock.now())
        await #expect(throws: GovernanceError.proposalClosed) {
            try await house.vote(.inFavour, written.rkey, town, by: 3)
        }
        await house.discard()
    }

    @Test func aTieIsRejectedAndChangesNothing() async throws {
        let (house, town) = try await Self.scene(members: 4, quorum: 2)
        let written = try await house.propose("Renamed", in: town)
        #expect(try await house.vote(.against, written.rkey, town, by: 1).status == .rejected)
        #expect(try await house.displayName(of: town) == nil)
        await house.discard()
    }

    /// The vote of who proposes counts at once: with a quorum of one that is the decision.
    @Test func theOpeningVoteCanDecide() async throws {
        let (house, town) = try await Self.scene(members: 3, quorum: 1)
        let written = try await house.propose("Renamed", in: town)
        #expect(written.proposal.status == .approved)
        #expect(try await house.displayName(of: town) == "Renamed")
        await house.discard()
    }

    @Test func aShareOfTheElectorateIsSettledWhenItOpens() async throws {
        let (house, town) = try await Self.scene(members: 5, config: ["quorumShare": 50, "voterRole": "member"])
        let written = try await house.propose("Renamed", in: town)
        #expect(written.proposal.quorum == Quorum(needed: 3, share: 50))
        let late = try house.person(900)
        try await house.arrange(
            [
                town.membership(
                    late, role: town.memberRole, key: try await house.writer.freshKey(), joinedAt: house.clock.now())
            ], in: town.did)
        await #expect(throws: GovernanceError.notEligible) {
            try await house.vote(.inFavour, written.rkey, town, by: late)
        }
        await house.discard()
    }

    @Test func votesAreOneEachAndOfThoseWhoMayVote() async throws {
        let (house, town) = try await Self.scene(members: 6, config: ["quorum": 3, "voterRole": "moderator"])
        for index in 1...3 { try await house.give(town.moderatorRole, to: town.people[index], of: town.did) }
        let written = try await house.propose("Renamed", in: town)
        #expect(written.proposal.electorate.count == 3)
        // The owner does not hold the role that votes: proposing it cast no vote.
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.reckoning.count.voted.total == 0)
        await #expect(throws: GovernanceError.notEligible) {
            try await house.vote(.inFavour, written.rkey, town, by: 0)
        }
        await #expect(throws: GovernanceError.notEligible) {
            try await house.vote(.inFavour, written.rkey, town, by: 5)
        }
        _ = try await house.vote(.inFavour, written.rkey, town, by: 1)
        await #expect(throws: GovernanceError.alreadyVoted) {
            try await house.vote(.against, written.rkey, town, by: 1)
        }
        // Demoted before voting, and gone before voting.
        try await house.give(town.memberRole, to: town.people[2], of: town.did)
        await #expect(throws: GovernanceError.notEligible) {
            try await house.vote(.inFavour, written.rkey, town, by: 2)
        }
        try await house.remove(town.people[3], from: town.did)
        await #expect(throws: CommunityError.notMember) {
            try await house.vote(.inFavour, written.rkey, town, by: 3)
        }
        await house.discard()
    }

    /// Administrators of the server may do much, but not vote in communities that aren't theirs.
    @Test func administratorsDontVote() async throws {
        let (house, town) = try await Self.scene(members: 3, quorum: 2)
        let written = try await house.propose("Renamed", in: town)
        let administrator = try house.person(77, roles: [.user, .admin])
        await #expect(throws: CommunityError.notMember) {
            try await house.vote(.inFavour, written.rkey, town, by: administrator)
        }
        await house.discard()
    }

    /// Thirty people vote at once: every vote is kept, and the one that decides decides once.
    @Test func thirtyParallelVotesAreExact() async throws {
        let (house, town) = try await Self.scene(members: 31, quorum: 31)
        let written = try await house.propose("Renamed", in: town)
        let statuses = try await withThrowingTaskGroup(of: Proposal.Status.self) { group in
            for index in 1...30 {
                group.addTask {
                    try await house.vote(index % 3 == 0 ? .against : .inFavour, written.rkey, town, by: index).status
                }
            }
            var statuses: [Proposal.Status] = []
            for try await status in group { statuses.append(status) }
            return statuses
        }
        #expect(statuses.count { $0 == .approved } == 1)
        #expect(statuses.count { $0 == .open } == 29)
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.row.proposal.outcome == "Passed: 21 for, 10 against; 31 of 31 voted; it takes 31.")
        #expect(try await house.displayName(of: town) == "Renamed")
        await house.discard()
    }

    /// The same person at thirty places at once has one vote.
    @Test func oneVoterHasOneVoteHoweverOften() async throws {
        let (house, town) = try await Self.scene(members: 5, quorum: 5)
        let written = try await house.propose("Renamed", in: town)
        let counted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<30 {
                group.addTask { (try? await house.vote(.against, written.rkey, town, by: 1)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(counted == 1)
        let shown = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous)
        #expect(shown.reckoning.count.against.total == 1)
        await house.discard()
    }

    // MARK: Time

    @Test func proposalsCloseByThemselves() async throws {
        let (house, town) = try await Self.scene(
            members: 5, config: ["quorum": 4, "voterRole": "member", "proposalTtlSeconds": 60])
        let written = try await house.propose("Renamed", in: town)
        #expect(written.proposal.expiresAt == house.clock.now().advanced(by: .seconds(60)))
        #expect(try await house.governance.conclude(written.rkey, in: town.did) == written.proposal.expiresAt)
        house.clock.advance(by: .seconds(60))
        try await house.runJobs { try await house.status(written.rkey, town) != .open }
        #expect(try await house.status(written.rkey, town) == .expired)
        #expect(try await house.displayName(of: town) == nil)
        await house.discard()
    }

    /// Whoever finds it over closes it, and is told so.
    @Test func aLateVoteFindsItClosed() async throws {
        let (house, town) = try await Self.scene(
            members: 5, config: ["quorum": 4, "voterRole": "member", "proposalTtlSeconds": 60])
        let written = try await house.propose("Renamed", in: town)
        house.clock.advance(by: .seconds(61))
        await #expect(throws: GovernanceError.proposalClosed) {
            try await house.vote(.inFavour, written.rkey, town, by: 1)
        }
        #expect(try await house.status(written.rkey, town) == .expired)
        await house.discard()
    }

    /// A proposal of another model than the one by which the community decides now changes nothing.
    @Test func aFormerModelDecidesNothing() async throws {
        let (house, town) = try await Self.scene(members: 3, quorum: 2)
        let written = try await house.propose("Renamed", in: town)
        let settings = CommunitySettings(didMethod: "web", visibility: .public, joinPolicy: .open)
        try await house.arrange(
            [
                RecordWrite(
                    collection: CommunityCollections.settings,
                    action: .put(key: CommunityCollections.selfKey, record: settings.record))
            ], in: town.did)
        await #expect(throws: GovernanceError.proposalClosed) {
            try await house.vote(.inFavour, written.rkey, town, by: 1)
        }
        #expect(try await house.status(written.rkey, town) == .expired)
        #expect(try await house.displayName(of: town) == nil)
        await #expect(throws: GovernanceError.notActive) { try await house.propose("Again", in: town) }
        await house.discard()
    }

    // MARK: Carrying out

    /// What was possible when it was proposed and isn't any more: the proposal stays open and says why; later it can be
    /// carried out.
    @Test func whatCannotBeCarriedOutStaysOpenWithTheReason() async throws {
        let (house, town) = try await Self.scene(members: 5, quorum: 2)
        let role = CommunityRole(name: "guide", permissions: .none).record
        let key = try RecordKey(parsing: "3kaaaaaaaaaaa")
        let path = RepositoryPath(CommunityCollections.role, key)
        let draft = GovernanceService.Draft(target: path, action: .write, proposedRecord: role)
        let written = try await house.governance.propose(draft, in: town.did, by: house.caller(town.owner))
        // Meanwhile another role takes the name.
        let rival = try RecordKey(parsing: "3kbbbbbbbbbbb")
        try await house.arrange(
            [RecordWrite(collection: path.collection, action: .create(key: rival, record: role))], in: town.did)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .open)
        let stuck = try await house.governance.proposal(written.rkey, of: town.did, for: .anonymous).row.proposal
        #expect(stuck.outcome?.contains("It could not be carried out: A role has that name.") == true)
        #expect(try await house.record(path.collection, key, of: town.did) == nil)
        // The vote itself was kept.
        await #expect(throws: GovernanceError.alreadyVoted) {
            try await house.vote(.inFavour, written.rkey, town, by: 1)
        }
        try await house.arrange(
            [RecordWrite(collection: path.collection, action: .delete(key: rival, mustExist: true))], in: town.did)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 2).status == .approved)
        #expect(try await house.record(path.collection, key, of: town.did) != nil)
        await house.discard()
    }

    @Test func whatCouldNotBeCarriedOutIsNotProposed() async throws {
        let (house, town) = try await Self.scene(members: 3, quorum: 2)
        let owner = house.caller(town.owner)
        let drafts: [(NSID, String, Proposal.Action, DataValue?)] = [
            // A role whose name is taken; the owners' role without its rights; no such role to delete; a role in use.
            (
                CommunityCollections.role, "3kaaaaaaaaaaa", .write,
                CommunityRole(name: "member", permissions: .none).record
            ),
            (
                CommunityCollections.role, town.ownerRole.string, .write,
                CommunityRole(name: "owner", permissions: .none).record
            ),
            (CommunityCollections.role, "3kaaaaaaaaaaa", .delete, nil),
            (CommunityCollections.settings, "self", .delete, nil),
            // Records that break their lexicon, keys that do, and collections that voting itself writes.
            (CommunityCollections.role, "3kaaaaaaaaaaa", .write, ["name": "nothing else"]),
            (CommunityCollections.profile, "other", .write, ["displayName": "x"]),
            (CommunityCollections.profile, "self", .write, nil),
            (CommunityCollections.vote, "3kaaaaaaaaaaa", .write, ["proposal": "3kaaaaaaaaaaa"]),
            (CommunityCollections.proposal, "3kaaaaaaaaaaa", .delete, nil),
            (try NSID(parsing: "net.openfederation.community.unheard"), "self", .write, ["a": 1]),
            // A stranger made a member.
            (
                CommunityCollections.member, "3kaaaaaaaaaaa", .write,
                CommunityMember(
                    did: try house.person(555), handle: nil, joinedAt: house.clock.now(),
                    role: town.memberRole.string
                ).record
            ),
            // Settings by which nobody could decide.
            (
                CommunityCollections.settings, "self", .write,
                CommunitySettings(
                    didMethod: "web", model: "simple-majority", visibility: .public, joinPolicy: .open
                ).record
            ),
            (
                CommunityCollections.settings, "self", .write,
                CommunitySettings(didMethod: "web", model: "on-chain", visibility: .public, joinPolicy: .open).record
            ),
        ]
        for (collection, key, action, record) in drafts {
            let draft = GovernanceService.Draft(
                target: RepositoryPath(collection, try RecordKey(parsing: key)), action: action, proposedRecord: record)
            await #expect(throws: GovernanceError.self, "\(collection) \(key)") {
                try await house.governance.propose(draft, in: town.did, by: owner)
            }
        }
        let none = try await house.governance.proposals(
            of: town.did, status: nil, before: nil, limit: 10, for: .anonymous)
        #expect(none.rows.isEmpty)
        await house.discard()
    }

    @Test func whoMayProposeIsSaidByTheirRole() async throws {
        let (house, town) = try await Self.scene(members: 3, quorum: 2)
        await #expect(throws: CommunityError.forbidden) {
            try await house.propose("Renamed", in: town, by: town.people[1])
        }
        let stranger = try house.person(500)
        await #expect(throws: CommunityError.notMember) {
            try await house.propose("Renamed", in: town, by: stranger)
        }
        try await house.give(town.moderatorRole, to: town.people[1], of: town.did)
        _ = try await house.propose("Renamed", in: town, by: town.people[1])
        await house.discard()
    }

    /// Settings that hide or show the community move its account with them.
    @Test func aDecisionCanOpenAPrivateCommunity() async throws {
        let house = try await GovernanceHouse()
        let config: DataMap = ["quorum": 2, "voterRole": "member"]
        let town = try await house.community(memberCount: 3, model: "simple-majority", config: config, isPrivate: true)
        let settings = CommunitySettings(
            didMethod: "web", model: "simple-majority", visibility: .public, joinPolicy: .open, config: config)
        let draft = GovernanceService.Draft(
            target: RepositoryPath(CommunityCollections.settings, CommunityCollections.selfKey), action: .write,
            proposedRecord: settings.record)
        let written = try await house.governance.propose(draft, in: town.did, by: house.caller(town.owner))
        #expect(house.accounts.openings.isEmpty)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .approved)
        #expect(house.accounts.openings == [town.did])
        #expect(house.accounts.find(town.did)?.isConfined == false)
        await house.discard()
    }

    /// A community that votes, of which the first member is the owner.
    static func scene(
        members: Int, quorum: Int64 = 2, config: DataMap? = nil, model: String = "simple-majority"
    ) async throws -> (GovernanceHouse, TestCommunity) {
        let house = try await GovernanceHouse()
        let config = config ?? ["quorum": .integer(quorum), "voterRole": "member"]
        return (house, try await house.community(memberCount: members, model: model, config: config))
    }
}
