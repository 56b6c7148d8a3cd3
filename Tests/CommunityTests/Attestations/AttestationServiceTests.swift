import ATProtocol
import Base
import Community
import Contracts
import Storage
import Testing
import Web

/// Issuing, taking back, listing and proving, over real repositories.
@Suite struct AttestationServiceTests {
    /// Runs a body with a house that is thrown away.
    private func withHouse(_ body: (AttestationHouse) async throws -> Void) async throws {
        let house = try await AttestationHouse()
        do { try await body(house) } catch {
            await house.discard()
            throw error
        }
        await house.discard()
    }

    @Test func whatIsIssuedIsProvenUntilItIsTakenBack() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let issued = try await house.service.issue(
                house.statement(garden), in: garden.did, by: house.caller(garden.owner))
            let key = issued.path.key
            let verdict = try await house.service.verify(key, of: garden.did, for: .anonymous)
            #expect(verdict.reason == nil)
            #expect(verdict.view?["claim"] == ["role": "Keeper of seeds", "since": 2024])
            #expect(verdict.view?["cid"]?.stringValue == issued.cid.string)
            #expect(!verdict.isRemote)
            let proof = try #require(verdict.proof)
            #expect(try proof.check(known: nil).proof.record?.cid == issued.cid)
            try await house.service.delete(key, in: garden.did, by: house.caller(garden.owner))
            let after = try await house.service.verify(key, of: garden.did, for: .anonymous)
            #expect(after.reason == .absent && after.view == nil)
            #expect(try #require(after.proof).check(known: nil).proof.record == nil)
            await #expect(throws: AttestationError.notFound) {
                try await house.service.delete(key, in: garden.did, by: house.caller(garden.owner))
            }
        }
    }

    @Test func onlyWhoMayIssuesAndTakesBack() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let key = try await house.issue(garden)
            let stranger = try house.person(SeededRandomness(seed: 77))
            let statement = try house.statement(garden)
            await #expect(throws: CommunityError.forbidden) {
                try await house.service.issue(statement, in: garden.did, by: house.caller(garden.member))
            }
            await #expect(throws: CommunityError.notMember) {
                try await house.service.issue(statement, in: garden.did, by: house.caller(stranger))
            }
            await #expect(throws: CommunityError.forbidden) {
                try await house.service.delete(key, in: garden.did, by: house.caller(garden.member))
            }
            var ofStranger = statement
            ofStranger.subject = stranger
            await #expect(throws: CommunityError.noSuchMember) {
                try await house.service.issue(ofStranger, in: garden.did, by: house.caller(garden.owner))
            }
            await #expect(throws: CommunityError.notFound) {
                try await house.service.issue(statement, in: stranger, by: house.caller(garden.owner))
            }
            let past = try house.statement(garden, expiresAt: house.clock.now())
            await #expect(throws: AttestationError.self) {
                try await house.service.issue(past, in: garden.did, by: house.caller(garden.owner))
            }
            #expect(
                try await house.service.list(garden.did, .init(), before: nil, limit: 50, for: .anonymous).map(\.key)
                    == [key])
        }
    }

    @Test func anAttestationEnds() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let key = try await house.issue(garden, expiresAt: house.clock.now().advanced(by: .seconds(60)))
            #expect(try await house.service.verify(key, of: garden.did, for: .anonymous).reason == nil)
            house.clock.advance(by: .seconds(60))
            let verdict = try await house.service.verify(key, of: garden.did, for: .anonymous)
            #expect(verdict.reason == .expired && verdict.view != nil && verdict.proof?.isPresent == true)
        }
    }

    @Test func aHiddenClaimIsOpenedByItsSubjectAlone() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let claim: DataValue = ["role": "Keeper of seeds", "born": "1990-01-31", "checked": true]
            let key = try await house.issue(garden, claim: claim, isPrivate: true)
            let listed = try await house.service.list(garden.did, .init(), before: nil, limit: 50, for: .anonymous)
            let view = try #require(listed.first).record.view(in: garden.did, key: key, cid: listed[0].cid)
            #expect(view["claim"] == .some(DataValue.null))
            let member = house.caller(garden.member)
            let file = try await house.service.present(key, in: garden.did, disclosing: ["role"], for: member)
            let verified = try AttestationPresentation(json: file.value.json()).verify(known: nil)
            #expect(verified.claim == ["role": "Keeper of seeds"])
            #expect(verified.grounds == .identityLog)
            let nothing = try await house.service.present(key, in: garden.did, disclosing: [], for: member)
            #expect(try nothing.verify(known: nil).claim.isEmpty)
            await #expect(throws: AttestationError.self) {
                try await house.service.present(key, in: garden.did, disclosing: ["other"], for: member)
            }
            await #expect(throws: CommunityError.forbidden) {
                try await house.service.present(key, in: garden.did, disclosing: [], for: house.caller(garden.owner))
            }
            // What opens it is sealed, and goes with the record.
            let rows = {
                try await house.database.read { try $0.query("SELECT sealed FROM community_attestation_salt") }
            }
            let sealed = try #require(try await rows().first).blob(0)
            #expect(!sealed.contains(subsequence: Array("1990".utf8)))
            try await house.service.delete(key, in: garden.did, by: house.caller(garden.owner))
            #expect(try await rows().isEmpty)
            await #expect(throws: AttestationError.notFound) {
                try await house.service.present(key, in: garden.did, disclosing: [], for: member)
            }
        }
    }

    @Test func aPrivateCommunityStatesNothingToOutsiders() async throws {
        try await withHouse { house in
            let garden = try await house.garden(visibility: .private)
            let key = try await house.issue(garden)
            let stranger = house.caller(try house.person(SeededRandomness(seed: 77)))
            for caller in [Caller.anonymous, stranger] {
                await #expect(throws: CommunityError.notFound) {
                    try await house.service.verify(key, of: garden.did, for: caller)
                }
                await #expect(throws: CommunityError.notFound) {
                    try await house.service.list(garden.did, .init(), before: nil, limit: 50, for: caller)
                }
                await #expect(throws: CommunityError.notFound) {
                    try await house.service.present(key, in: garden.did, disclosing: [], for: caller)
                }
                let statement = try house.statement(garden)
                await #expect(throws: CommunityError.notFound) {
                    try await house.service.issue(statement, in: garden.did, by: caller)
                }
                await #expect(throws: CommunityError.notFound) {
                    try await house.service.delete(key, in: garden.did, by: caller)
                }
            }
            let member = house.caller(garden.member)
            #expect(try await house.service.verify(key, of: garden.did, for: member).reason == nil)
            let file = try await house.service.present(key, in: garden.did, disclosing: [], for: member)
            #expect(try file.verify(known: nil).claim["role"] == "Keeper of seeds")
        }
    }

    @Test func pagesAreCompleteAndFiltered() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            var keys: [RecordKey] = []
            for number in 0..<7 { keys.append(try await house.issue(garden, claim: ["n": .integer(Int64(number))])) }
            var found: [RecordKey] = []
            while true {
                let page = try await house.service.list(
                    garden.did, .init(), before: found.last, limit: 3, for: .anonymous)
                found += page.map(\.key)
                if page.count < 3 { break }
            }
            #expect(found == keys.reversed())
            let mine = AttestationStore.Filter(subject: garden.member, type: "role")
            #expect(try await house.service.list(garden.did, mine, before: nil, limit: 50, for: .anonymous).count == 7)
            for other in [AttestationStore.Filter(subject: garden.owner), .init(type: "credential")] {
                let none = try await house.service.list(garden.did, other, before: nil, limit: 50, for: .anonymous)
                #expect(none.isEmpty)
            }
        }
    }

    @Test func theStateOfTheCommunityCounts() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let key = try await house.issue(garden)
            house.accounts.set(.suspended, of: garden.did)
            let verdict = try await house.service.verify(key, of: garden.did, for: .anonymous)
            #expect(verdict.reason == .suspended && verdict.proof == nil && verdict.view == nil)
            await #expect(throws: CommunityError.suspended) {
                try await house.service.delete(key, in: garden.did, by: house.caller(garden.owner))
            }
            house.accounts.set(.takendown, of: garden.did)
            await #expect(throws: CommunityError.takenDown) {
                try await house.service.verify(key, of: garden.did, for: .anonymous)
            }
        }
    }

    @Test func whatAVotingCommunityProtectsTakesADecision() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let key = try await house.issue(garden)
            let settings = CommunitySettings(
                didMethod: "plc", model: "simple-majority", visibility: .public, joinPolicy: .open,
                config: ["quorum": 2, "voterRole": "member"])
            try await house.writer.transact(on: [garden.did]) { transaction in
                try transaction.apply(
                    [
                        RecordWrite(
                            collection: CommunityCollections.settings,
                            action: .put(key: CommunityCollections.selfKey, record: settings.record))
                    ], to: garden.did, by: .act(CommunityAct.resolution(proposal: key)))
            }
            let owner = house.caller(garden.owner)
            let statement = try house.statement(garden)
            await #expect(throws: CommunityError.needsProposal) {
                try await house.service.issue(statement, in: garden.did, by: owner)
            }
            await #expect(throws: CommunityError.needsProposal) {
                try await house.service.delete(key, in: garden.did, by: owner)
            }
            #expect(try await house.service.verify(key, of: garden.did, for: .anonymous).reason == nil)
        }
    }

    @Test func manyAreIssuedAtOnce() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let keys = try await withThrowingTaskGroup(of: RecordKey.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await house.issue(garden, claim: ["n": .integer(Int64(number))], isPrivate: number % 2 == 0)
                    }
                }
                return try await group.reduce(into: Set<RecordKey>()) { $0.insert($1) }
            }
            #expect(keys.count == 20)
            let listed = try await house.service.list(garden.did, .init(), before: nil, limit: 100, for: .anonymous)
            #expect(Set(listed.map(\.key)) == keys)
            for key in keys {
                #expect(try await house.service.verify(key, of: garden.did, for: .anonymous).reason == nil)
            }
        }
    }

    /// The table comes from the records alone; what opens hidden claims survives its making anew.
    @Test func theTableIsDerived() async throws {
        try await withHouse { house in
            let garden = try await house.garden()
            let hidden = try await house.issue(garden, isPrivate: true)
            var keys = [hidden]
            for _ in 0..<3 { keys.append(try await house.issue(garden)) }
            try await house.service.delete(keys[2], in: garden.did, by: house.caller(garden.owner))
            let dump: @Sendable (any ReadScope) throws -> [[SQLValue]] = { scope in
                try scope.query("SELECT * FROM community_attestation ORDER BY rkey").map { row in
                    [try .text(row.text(1)), try .text(row.text(2)), try .text(row.text(3)), try .blob(row.blob(5))]
                }
            }
            let before = try await house.database.read(dump)
            #expect(before.count == 3)
            let (left, did) = (keys, garden.did)
            try await house.writer.transact(on: [did]) { transaction in
                let observer = AttestationObserver()
                try observer.forget(did, in: transaction.scope)
                #expect(try dump(transaction.scope).isEmpty)
                for key in left.reversed() {
                    let path = RepositoryPath(AttestationRecord.collection, key)
                    guard let record = try transaction.record(path, of: did) else { continue }
                    try observer.observe(
                        [ObservedRecord(path: path, cid: record.cid, value: record.value)], of: did,
                        in: transaction.scope)
                }
            }
            #expect(try await house.database.read(dump) == before)
            let file = try await house.service.present(
                hidden, in: did, disclosing: ["role"], for: house.caller(garden.member))
            #expect(try file.verify(known: nil).claim["role"] == "Keeper of seeds")
        }
    }

    @Test func aCommunityElsewhereIsAsked() async throws {
        try await withHouse { house in
            var fixture = try AttestationFixture(seed: 5)
            let record = fixture.record(.open(["a": 1]), expiresAt: AttestationFixture.now.advanced(by: .seconds(1)))
            try fixture.hold([record])
            house.identities.add(fixture.document, operations: fixture.operations)
            let key = AttestationFixture.recordKey(0)
            house.server.answer(OutboundResponse(status: 200, body: try fixture.proof(of: key).archive))
            let verdict = try await house.service.verify(key, of: fixture.did, for: .anonymous)
            #expect(verdict.reason == nil && verdict.isRemote && verdict.server?.string == "https://kith.example")
            #expect(verdict.handle?.string == "garden.kith.example")
            house.clock.advance(by: .seconds(1))
            #expect(try await house.service.verify(key, of: fixture.did, for: .anonymous).reason == .expired)
            try fixture.hold([])
            house.server.answer(OutboundResponse(status: 200, body: try fixture.proof(of: key).archive))
            #expect(try await house.service.verify(key, of: fixture.did, for: .anonymous).reason == .absent)
            house.server.answer(OutboundResponse(status: 200))
            #expect(try await house.service.verify(key, of: fixture.did, for: .anonymous).reason == .unproven)
            house.server.answer(nil)
            #expect(try await house.service.verify(key, of: fixture.did, for: .anonymous).reason == .unreachable)
        }
    }
}

extension Array where Element == UInt8 {
    fileprivate func contains(subsequence other: [UInt8]) -> Bool { firstRange(of: other) != nil }
}
