import ATProtocol
import Base
import Community
import Contracts
import Publishing
import Storage
import Testing

/// What governance keeps shut, whichever way somebody comes, and what it shows to whom.
@Suite struct GovernanceDoorTests {
    @Test func theModelIsChangedByItsOwnRules() async throws {
        let house = try await GovernanceHouse()
        let town = try await house.community(memberCount: 3)
        let owner = house.caller(town.owner)
        let config: DataMap = ["quorum": 2, "voterRole": "member"]
        await #expect(throws: GovernanceError.notSupported) {
            try await house.governance.setModel(.onChain, config: config, of: town.did, by: owner)
        }
        await #expect(throws: CommunityError.forbidden) {
            try await house.governance.setModel(
                .simpleMajority, config: config, of: town.did, by: house.caller(town.people[1]))
        }
        let faults: [DataMap] = [
            [:], ["quorum": 2], ["voterRole": "member"], ["quorum": 2, "quorumShare": 50, "voterRole": "member"],
            ["quorum": 2, "voterRole": "nobody"],
            ["quorum": 2, "voterRole": "member", "protectedCollections": ["not a name"]],
        ]
        for fault in faults {
            await #expect(throws: GovernanceError.self) {
                try await house.governance.setModel(.simpleMajority, config: fault, of: town.did, by: owner)
            }
        }
        try await house.governance.setModel(.simpleMajority, config: config, of: town.did, by: owner)
        // From now on votes decide, about this as well.
        await #expect(throws: CommunityError.needsProposal) {
            try await house.governance.setModel(.benevolentDictator, config: [:], of: town.did, by: owner)
        }
        let settings = CommunitySettings(didMethod: "web", visibility: .public, joinPolicy: .open)
        let draft = GovernanceService.Draft(
            target: RepositoryPath(CommunityCollections.settings, CommunityCollections.selfKey), action: .write,
            proposedRecord: settings.record)
        let written = try await house.governance.propose(draft, in: town.did, by: owner)
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .approved)
        let row = try await house.database.read { try CommunityStore.community(town.did, in: $0) }
        #expect(row?.model == CommunitySettings.benevolentDictator)
        await #expect(throws: GovernanceError.notActive) { try await house.propose("Again", in: town) }
        await house.discard()
    }

    /// Nobody plants a proposal with invented votes, a vote, or another's delegation, by plain writes.
    @Test(arguments: ["benevolent-dictator", "simple-majority"])
    func nothingIsPlantedByPlainWrites(model: String) async throws {
        let (house, town) = try await GovernanceTests.scene(members: 4, quorum: 2, model: model)
        try await house.give(town.moderatorRole, to: town.people[1], of: town.did)
        let now = house.clock.now()
        let key = try RecordKey(parsing: "3kaaaaaaaaaaa")
        let vote = VoteRecord(proposal: key, voter: town.people[2], round: 0, vote: .inFavour, castAt: now)
        let delegation = DelegationRecord(delegator: town.people[2], delegate: town.people[1], createdAt: now)
        let proposal: DataValue = [
            "$type": .string(CommunityCollections.proposal.string),
            "targetCollection": .string(CommunityCollections.profile.string), "targetRkey": "self",
            "action": "delete", "proposedBy": .string(town.people[1].string), "status": "open",
            "governanceModel": "simple-majority", "quorum": ["needed": 1],
            "electorate": ["count": 1, "takenAt": .string(Datetime(now).string)], "ballot": "open",
            "createdAt": .string(Datetime(now).string),
            "expiresAt": .string(Datetime(now.advanced(by: .seconds(900))).string),
        ]
        let plants: [(NSID, RecordKey, DataValue)] = [
            (CommunityCollections.proposal, key, proposal),
            (CommunityCollections.vote, try VoteRecord.key(key, round: 0, voter: town.people[2]), vote.record),
            (CommunityCollections.delegation, key, delegation.record),
        ]
        for (collection, key, record) in plants {
            for person in [town.owner, town.people[1]] {
                let write = RecordWrite(collection: collection, action: .create(key: key, record: record))
                await #expect(throws: CommunityError.self, "\(collection)") {
                    try await house.writer.apply([write], to: town.did, by: house.caller(person))
                }
            }
        }
        await house.discard()
    }

    @Test func pagesOfProposalsAllArrive() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 3, quorum: 3)
        var rkeys: [RecordKey] = []
        for number in 0..<7 {
            rkeys.append(try await house.propose("Name \(number)", in: town).rkey)
            house.clock.advance(by: .seconds(1))
        }
        var seen: [RecordKey] = []
        var cursor: RecordKey?
        repeat {
            let page = try await house.governance.proposals(
                of: town.did, status: .open, before: cursor, limit: 3, for: .anonymous)
            #expect(page.rows.count <= 3)
            seen += page.rows.map(\.rkey)
            cursor = page.cursor
        } while cursor != nil
        #expect(seen == rkeys.reversed())
        await house.discard()
    }

    /// To outsiders a private community, its proposals and its members are not there.
    @Test func privateCommunitiesAreNotThere() async throws {
        let house = try await GovernanceHouse()
        let town = try await house.community(
            memberCount: 3, model: "simple-majority", config: ["quorum": 3, "voterRole": "member"], isPrivate: true)
        let written = try await house.propose("Renamed", in: town)
        let stranger = house.caller(try house.person(500))
        let governance = house.governance
        for caller in [stranger, .anonymous] {
            let calls: [@Sendable () async throws -> Void] = [
                { _ = try await governance.proposals(of: town.did, status: nil, before: nil, limit: 5, for: caller) },
                { _ = try await governance.proposal(written.rkey, of: town.did, for: caller) },
                {
                    _ = try await governance.arithmetic(
                        of: written.rkey, in: town.did, after: nil, limit: 5, for: caller)
                },
                { _ = try await governance.delegation(of: town.owner, in: town.did, for: caller) },
                {
                    _ = try await governance.vote(
                        .open(.inFavour, reason: nil), on: written.rkey, in: town.did, by: caller)
                },
                { try await governance.withdraw(written.rkey, reason: nil, in: town.did, by: caller) },
                { _ = try await governance.delegate(to: town.owner, in: town.did, by: caller) },
                { try await governance.revokeDelegation(in: town.did, by: caller) },
                { try await governance.setModel(.consent, config: [:], of: town.did, by: caller) },
                {
                    _ = try await governance.amend(
                        written.rkey, record: nil, options: [], reason: nil, in: town.did, by: caller)
                },
                {
                    let draft = GovernanceService.Draft(
                        target: RepositoryPath(CommunityCollections.role, written.rkey), action: .delete)
                    _ = try await governance.propose(draft, in: town.did, by: caller)
                },
            ]
            for (index, call) in calls.enumerated() {
                await #expect(throws: CommunityError.notFound, "call \(index)") { try await call() }
            }
        }
        #expect(try await house.vote(.inFavour, written.rkey, town, by: 1).status == .open)
        await house.discard()
    }

    @Test func suspendedCommunitiesDecideNothing() async throws {
        let (house, town) = try await GovernanceTests.scene(
            members: 3, config: ["quorum": 3, "voterRole": "member", "proposalTtlSeconds": 60])
        let written = try await house.propose("Renamed", in: town)
        house.accounts.set(.suspended, of: town.did)
        await #expect(throws: CommunityError.suspended) {
            try await house.vote(.inFavour, written.rkey, town, by: 1)
        }
        house.clock.advance(by: .seconds(60))
        #expect(try await house.governance.conclude(written.rkey, in: town.did) != nil)
        house.accounts.set(.approved, of: town.did)
        #expect(try await house.governance.conclude(written.rkey, in: town.did) == nil)
        await house.discard()
    }

    /// Told anew from the records alone, the tables are what they were.
    @Test func theTablesAreDerivedFromTheRecords() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 6, quorum: 4)
        try await house.delegate(2, 1, town)
        let first = try await house.propose("First", in: town)
        _ = try await house.vote(.inFavour, first.rkey, town, by: 1)
        _ = try await house.vote(.against, first.rkey, town, by: 3)
        let second = try await house.propose("Second", in: town)
        _ = try await house.vote(.against, second.rkey, town, by: 4)
        _ = try await house.governance.amend(
            second.rkey, record: house.profile("Third"), options: [], reason: nil, in: town.did,
            by: house.caller(town.owner))
        _ = try await house.vote(.inFavour, second.rkey, town, by: 4)
        let before = try await house.derivedTables()
        #expect(before.allSatisfy { !$0.isEmpty })
        try await house.retell(town.did)
        #expect(try await house.derivedTables() == before)
        await house.discard()
    }
}

extension GovernanceHouse {
    /// Every row of the tables that are derived from votes.
    func derivedTables() async throws -> [[Row]] {
        try await database.read { scope in
            try GovernanceObserver().tables.map { table in
                let order = table.hasSuffix("vote") ? "1, 2, 3, 4" : "1, 2, 3"
                return try scope.query("SELECT * FROM \(table) ORDER BY \(order)")
            }
        }
    }

    /// Has the observer forget a community, and tells it all records again, votes first.
    func retell(_ did: DID) async throws {
        let observer = GovernanceObserver()
        try await writer.transact(on: [did]) { transaction in
            let scope = transaction.scope
            let paths = try scope.query(
                "SELECT path FROM record WHERE path LIKE 'net.openfederation.community.%' ORDER BY path DESC"
            ).map { try RepositoryPath(parsing: $0.text(0)) }
            try observer.forget(did, in: scope)
            for path in paths where observer.collections.contains(path.collection) {
                guard let record = try transaction.record(path, of: did) else { continue }
                try observer.observe(
                    [ObservedRecord(path: path, cid: record.cid, value: record.value)], of: did, in: scope)
            }
        }
    }
}
