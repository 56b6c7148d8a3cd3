import ATProtocol
import Base
import Contracts
import Publishing
import Storage
import Synchronization
import Testing

/// Transactions through the door: acts over several repositories, guards, observers.
@Suite struct RepositoryDoorTests {
    private static let notes = "social.kith.test.note"

    private static func note(_ text: String) throws -> RecordWrite {
        RecordWrite(
            collection: try NSID(parsing: notes),
            action: .put(key: try RecordKey(parsing: text), record: ["$type": .string(notes), "text": .string(text)]))
    }

    private static func write(_ number: Int, _ did: DID, _ house: House) async throws {
        guard number.isMultiple(of: 2) else {
            _ = try await house.writer.apply([try note("plain\(number)")], to: did, by: house.caller(did))
            return
        }
        try await house.writer.transact(on: [did]) { transaction in
            try transaction.apply([try note("act\(number)")], to: did, by: .act(TestAct()))
        }
    }

    @Test func whatOneActWritesLandsWholeOrNotAtAll() async throws {
        let house = try await House()
        let (one, two) = (try await house.account(1), try await house.account(2))
        try await house.writer.transact(on: [one, two]) { transaction in
            try transaction.apply([try Self.note("a")], to: one, by: .act(TestAct()))
            try transaction.apply([try Self.note("b")], to: two, by: .act(TestAct()))
            try transaction.apply([try Self.note("c")], to: one, by: .act(TestAct()))
        }
        let heads = (try await house.service.head(of: one), try await house.service.head(of: two))
        await #expect(throws: TestRefusal.refused) {
            try await house.writer.transact(on: [one, two]) { transaction in
                try transaction.apply([try Self.note("d")], to: one, by: .act(TestAct()))
                throw TestRefusal.refused
            }
        }
        #expect(try await house.service.head(of: one) == heads.0)
        #expect(try await house.service.head(of: two) == heads.1)
        #expect(try await house.service.figures(of: one)?.recordCount == 2)
        await house.discard()
    }

    /// Acts and plain writes to one repository, all at once: every one lands, in one chain.
    @Test func actsAndPlainWritesFormOneChain() async throws {
        let house = try await House()
        let did = try await house.account(1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask { try await Self.write(number, did, house) }
            }
            try await group.waitForAll()
        }
        #expect(try await house.service.figures(of: did)?.recordCount == 40)
        let key = try #require(house.keys.key(of: did))
        var head: (rev: TID, data: CID)?
        for event in try await house.events() {
            head = try RepositoryWriterTests.accept(event, after: head, key: key)
        }
        #expect(head?.data == (try await house.service.head(of: did))?.data)
        await house.discard()
    }

    /// An observer is told of every door: plain writes, acts, deletions; what it refuses does not land.
    @Test func observersSeeWhatLandsAndOnlyThat() async throws {
        let observer = try NoteObserver()
        let house = try await House(rules: RepositoryRules(observers: [observer]))
        try await house.database.write { scope in
            try scope.execute("CREATE TABLE test_note (did TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (did, text))")
        }
        let did = try await house.account(1)
        _ = try await house.writer.apply([try Self.note("x")], to: did, by: house.caller(did))
        await #expect(throws: TestRefusal.refused) {
            try await house.writer.apply([try Self.note("bad")], to: did, by: house.caller(did))
        }
        try await house.writer.transact(on: [did]) { transaction in
            try transaction.apply([try Self.note("y")], to: did, by: .act(TestAct()))
        }
        let texts = try await house.database.read { scope in
            try scope.query("SELECT text FROM test_note ORDER BY text", []).map { try $0.text(0) }
        }
        #expect(texts == ["x", "y"])
        #expect(try await house.service.figures(of: did)?.recordCount == 2)
        try await house.database.write { try house.service.remove(did, in: $0) }
        let left = try await house.database.read { try $0.query("SELECT text FROM test_note", []).count }
        #expect(left == 0)
        await house.discard()
    }

    /// A community's repository is written to by whom its guard lets; to others it may not even be there.
    @Test func guardsJudgeEveryDoor() async throws {
        let judge = TestGuard()
        let house = try await House(rules: RepositoryRules(guards: [.community: judge]))
        let (community, member) = (try await house.account(1), try await house.account(2))
        let stranger = try await house.account(3)
        house.accounts.change(community) { $0.kind = .community }
        judge.members.withLock { $0 = [member] }
        _ = try await house.writer.apply([try Self.note("m")], to: community, by: house.caller(member))
        await #expect(throws: RepositoryWriteError.notOwner) {
            try await house.writer.apply([try Self.note("s")], to: community, by: house.caller(stranger))
        }
        await #expect(throws: TestRefusal.refused) {
            try await house.writer.transact(on: [community]) { transaction in
                try transaction.apply([try Self.note("s")], to: community, by: .act(TestAct()))
            }
        }
        #expect(try await house.service.figures(of: community)?.recordCount == 1)
        await house.discard()
    }

    /// The network learns nothing of what happens in a private community.
    @Test func confinedRepositoriesAreNotTold() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let events = try await house.events().count
        house.accounts.change(did) {
            $0.status = .confined
            $0.isConfined = true
        }
        try await house.writer.transact(on: [did]) { transaction in
            try transaction.apply([try Self.note("secret")], to: did, by: .act(TestAct()))
        }
        #expect(try await house.events().count == events)
        #expect(try await house.service.figures(of: did)?.recordCount == 1)
        await #expect(throws: RepositoryReadError.repositoryNotFound) {
            try await house.reader.describe(.did(did))
        }
        await house.discard()
    }
}

private struct TestAct: WriteAct {}

private enum TestRefusal: Error {
    case refused
}

private struct NoteObserver: RecordObserver {
    let collections: Set<NSID>
    let tables = ["test_note"]

    init() throws { collections = [try NSID(parsing: "social.kith.test.note")] }

    func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws {
        for record in records {
            guard let text = record.value?["text"]?.stringValue else { continue }
            try scope.execute("INSERT INTO test_note (did, text) VALUES ($1, $2)", [.text(did.string), .text(text)])
            if text == "bad" { throw TestRefusal.refused }
        }
    }

    func forget(_ did: DID, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM test_note WHERE did = $1", [.text(did.string)])
    }
}

private final class TestGuard: RepositoryGuard {
    let members = Mutex<Set<DID>>([])

    func judge(_ writes: [JudgedWrite], to did: DID, by origin: WriteOrigin, in scope: any WriteScope) throws {
        guard case .direct(let caller) = origin else { throw TestRefusal.refused }
        guard let writer = caller.did, members.withLock({ $0.contains(writer) }) else { throw GuardRefusal.hidden }
    }

    func check(_ did: DID, in scope: any WriteScope) throws {}
}
