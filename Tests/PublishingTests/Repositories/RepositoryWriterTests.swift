import ATProtocol
import Base
import Contracts
import Dispatch
import Publishing
import Storage
import Synchronization
import Testing

@Suite struct RepositoryWriterTests {
    static let collection = NSID(literal: "com.example.thing")

    static func record(_ number: Int) -> DataValue { ["n": .integer(Int64(number))] }

    static func write(_ action: RecordWrite.Action, swap: RecordWrite.Swap = .anything) -> RecordWrite {
        RecordWrite(collection: collection, action: action, swap: swap)
    }

    /// A consumer's checks on one `#commit`: archive, signature, chain and inversion. Returns the new rev and root.
    static func accept(
        _ event: LogEvent, after previous: (rev: TID, data: CID)?, key: PublicKey
    ) throws -> (rev: TID, data: CID)? {
        guard case .event(_, .commit(let commit)) = try FirehoseFrame(bytes: event.frame) else { return previous }
        let (roots, blocks) = try CARReader.read(commit.blocks)
        let bytes = Dictionary(blocks.map { ($0.cid, $0.bytes) }, uniquingKeysWith: { first, _ in first })
        #expect(roots == [commit.commit])
        let head = try Commit(bytes: #require(bytes[commit.commit]))
        #expect(head.did == commit.repository && head.rev == commit.rev && head.isSigned(by: key))
        #expect(commit.since == previous?.rev && commit.previousData == previous?.data)
        var nodes = TreeNodeSet()
        for (cid, block) in bytes { if let node = try? TreeNode(cid: cid, bytes: block) { nodes.insert(node) } }
        let operations = commit.operations.map {
            TreeOperation(key: Array($0.path.string.utf8), value: $0.cid, previous: $0.previous)
        }
        for operation in operations { if let cid = operation.value { #expect(bytes[cid] != nil) } }
        if let data = previous?.data {
            #expect(try TreeProof.invert(operations, root: head.data, source: nodes) == data)
        }
        return (head.rev, head.data)
    }

    private func step(_ number: Int, random: SeededRandomness, model: inout [String: Int]) throws -> [RecordWrite] {
        var writes: [RecordWrite] = []
        var used: Set<String> = []
        for _ in 0...random.below(3) {
            let name = "k\(random.below(40))"
            guard used.insert(name).inserted else { continue }
            let key = try RecordKey(parsing: name)
            if model[name] != nil, random.oneIn(2) {
                writes.append(Self.write(.delete(key: key, mustExist: true)))
                model[name] = nil
            } else {
                let value = number * 100 + random.below(50)
                writes.append(Self.write(.put(key: key, record: Self.record(value))))
                model[name] = value
            }
        }
        return writes
    }

    /// Random writes against a model: records, archive, head, events and incremental archives all agree.
    @Test(arguments: 0..<6) func everythingAgreesWithTheModel(seed: UInt64) async throws {
        let random = SeededRandomness(seed: seed)
        let house = try await House()
        let did = try await house.account(1)
        let key = try #require(house.keys.key(of: did))
        var model: [String: Int] = [:]
        var middle: TID?
        for number in 0..<80 {
            let writes = try step(number, random: random, model: &model)
            if random.oneIn(5) { house.writer.forget(did) }
            house.clock.advance(by: .seconds(random.oneIn(4) ? -3 : 1))
            let outcome = try await house.writer.apply(writes, to: did, by: house.caller(did))
            if number <= 40 { middle = outcome.rev ?? middle }
        }
        var last: (rev: TID, data: CID)?
        for event in try await house.events() { last = try Self.accept(event, after: last, key: key) }
        let head = try #require(try await house.service.head(of: did))
        #expect(head.rev == last?.rev && head.data == last?.data, "seed \(seed)")
        try await verify(house, did: did, key: key, model: model, head: head)
        let part = try CARReader.read(try await house.archive(did, since: middle)).blocks
        let whole = try CARReader.read(try await house.archive(did)).blocks
        #expect(Set(part.map(\.cid)).isSubset(of: Set(whole.map(\.cid))))
        #expect(part.count <= whole.count)
        await house.discard()
    }

    private func verify(
        _ house: House, did: DID, key: PublicKey, model: [String: Int], head: RepositoryHead
    ) async throws {
        let (roots, blocks) = try CARReader.read(try await house.archive(did))
        #expect(roots == [head.commit])
        let source = Dictionary(blocks.map { ($0.cid, $0.bytes) }, uniquingKeysWith: { first, _ in first })
        let verification = RepositoryVerification(source: source)
        let fields = try verification.commit(head.commit, did: did, key: key)
        #expect(fields.data == head.data)
        var found: [String: Int] = [:]
        let count = try verification.tree(
            root: fields.data,
            records: { path, _, bytes in
                let value = try verifyRecord(bytes, path: path)
                found[path.key.string] = value["n"]?.integerValue.map(Int.init)
            })
        #expect(found == model && count == model.count)
        let listed = try await house.reader.records(
            .did(did), Self.collection, cursor: nil, isAscending: true, limit: 100)
        #expect(listed.rows.map(\.path) == model.keys.sorted().map { "\(Self.collection)/\($0)" })
    }

    /// A takedown between the admission of a write and its commit: no `#commit` may follow the `#account` event.
    @Test(arguments: AccountStatus.allCases.filter { $0 != .approved })
    func standingIsJudgedInTheCommitsTransaction(status: AccountStatus) async throws {
        let house = try await House()
        let did = try await house.account(1)
        let same = Self.write(.put(key: try RecordKey(parsing: "a"), record: Self.record(1)))
        _ = try await house.writer.apply([same], to: did, by: house.caller(did))
        let (events, head) = (try await house.events().count, try await house.service.head(of: did))
        house.keys.asked.withLock { $0 = { house.accounts.set(status, of: did) } }
        let write = Self.write(.create(key: nil, record: Self.record(2)))
        await #expect(throws: RepositoryWriteError.inactive(status)) {
            try await house.writer.apply([write], to: did, by: house.caller(did))
        }
        #expect(try await house.events().count == events)
        #expect(try await house.service.head(of: did) == head)
        // Let in again, writing goes on where it was, whether anything changes or not.
        house.keys.asked.withLock { $0 = { house.accounts.set(.approved, of: did) } }
        house.accounts.set(.approved, of: did)
        #expect(try await house.writer.apply([same], to: did, by: house.caller(did)).commit == nil)
        let outcome = try await house.writer.apply([write], to: did, by: house.caller(did), swapCommit: head?.commit)
        #expect(outcome.commit != nil)
        await house.discard()
    }

    @Test func swapsAreJudgedOnThePresentState() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let key = try RecordKey(parsing: "a")
        func put(_ number: Int, _ swap: RecordWrite.Swap, commit: CID? = nil) async throws -> RepositoryWriteOutcome {
            let write = Self.write(.put(key: key, record: Self.record(number)), swap: swap)
            return try await house.writer.apply([write], to: did, by: house.caller(did), swapCommit: commit)
        }
        let first = try await put(1, .absent)
        let cid = try #require(first.results.first?.cid)
        await #expect(throws: RepositoryWriteError.self) { try await put(2, .absent) }
        await #expect(throws: RepositoryWriteError.self) { try await put(2, .record(first.commit ?? cid)) }
        let second = try await put(2, .record(cid))
        await #expect(throws: RepositoryWriteError.self) { try await put(3, .anything, commit: first.commit) }
        _ = try await put(3, .anything, commit: second.commit)
        let same = try await put(3, .anything)
        #expect(same.commit == nil && same.results.first?.cid != nil)
        await house.discard()
    }

    @Test func whatIsForbiddenChangesNothing() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let other = try await house.account(2)
        let caller = house.caller(did)
        let (a, b) = (try RecordKey(parsing: "a"), try RecordKey(parsing: "b"))
        let create = Self.write(.create(key: a, record: Self.record(1)))
        _ = try await house.writer.apply([create], to: did, by: caller)
        let before = try await house.service.head(of: did)
        let post = RecordWrite(
            collection: NSID(literal: "app.bsky.feed.post"), action: .create(key: nil, record: ["text": "no date"]))
        let bad: [[RecordWrite]] = [
            [create], [Self.write(.update(key: b, record: [:]))], [Self.write(.delete(key: b, mustExist: true))],
            [Self.write(.put(key: b, record: [:])), Self.write(.delete(key: b, mustExist: false))],
            [Self.write(.put(key: a, record: ["$type": "com.example.other"]))], [post], [],
        ]
        for writes in bad {
            await #expect(throws: RepositoryWriteError.self) {
                try await house.writer.apply(writes, to: did, by: caller)
            }
        }
        await #expect(throws: RepositoryWriteError.notOwner) {
            try await house.writer.apply([create], to: other, by: caller)
        }
        house.accounts.set(.deactivated, of: did)
        await #expect(throws: RepositoryWriteError.inactive(.deactivated)) {
            try await house.writer.apply([create], to: did, by: caller)
        }
        #expect(try await house.service.head(of: did) == before)
        await house.discard()
    }

    @Test func manyWritersToOneRepositoryAllLandInOneChain() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let key = try #require(house.keys.key(of: did))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let write = Self.write(.create(key: nil, record: Self.record(number)))
                    _ = try await house.writer.apply([write], to: did, by: house.caller(did))
                }
            }
            try await group.waitForAll()
        }
        var last: (rev: TID, data: CID)?
        let events = try await house.events()
        for event in events { last = try Self.accept(event, after: last, key: key) }
        #expect(events.filter { $0.kind == .commit }.count == 201)
        #expect(try await house.service.head(of: did)?.data == last?.data)
        await house.discard()
    }

    @Test func aSecondLikeReplacesTheFirst() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let like: DataValue = [
            "subject": [
                "uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a",
                "cid": .string(CID.of(dagCBOR: [0xA0] as [UInt8]).string),
            ], "createdAt": "2025-01-01T00:00:00Z",
        ]
        let collection = NSID(literal: "app.bsky.feed.like")
        for _ in 0..<2 {
            house.clock.advance(by: .seconds(1))
            let write = RecordWrite(collection: collection, action: .create(key: nil, record: like))
            _ = try await house.writer.apply([write], to: did, by: house.caller(did))
        }
        let rows = try await house.reader.records(.did(did), collection, cursor: nil, isAscending: true, limit: 10)
        #expect(rows.rows.count == 1)
        await house.discard()
    }

    /// Records that are replaced count: no consumer takes a commit of more than 200 operations.
    @Test func whatIsReplacedCountsAgainstTheLimit() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let collection = NSID(literal: "app.bsky.feed.like")
        func likes(_ count: Int, of subject: (Int) -> Int = { $0 }) -> [RecordWrite] {
            (0..<count).map { number in
                let like: DataValue = [
                    "subject": [
                        "uri": .string("at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/p\(subject(number))"),
                        "cid": .string(CID.of(dagCBOR: [0xA0] as [UInt8]).string),
                    ], "createdAt": "2025-01-01T00:00:00Z",
                ]
                return RecordWrite(collection: collection, action: .create(key: nil, record: like))
            }
        }
        let caller = house.caller(did)
        _ = try await house.writer.apply(likes(101), to: did, by: caller)
        let head = try await house.service.head(of: did)
        await #expect(throws: RepositoryWriteError.self) {
            try await house.writer.apply(likes(101), to: did, by: caller)
        }
        await #expect(throws: RepositoryWriteError.self) {
            try await house.writer.apply(likes(2) { _ in 7 }, to: did, by: caller)
        }
        #expect(try await house.service.head(of: did) == head)
        _ = try await house.writer.apply(likes(100), to: did, by: caller)
        for event in try await house.events() {
            guard case .event(_, .commit(let commit)) = try FirehoseFrame(bytes: event.frame) else { continue }
            #expect(commit.operations.count <= WriteLimits.operationCountMax)
        }
        await house.discard()
    }

    @Test func stateSurvivesReopening() async throws {
        let house = try await House()
        let did = try await house.account(1)
        _ = try await house.writer.apply(
            [Self.write(.create(key: nil, record: Self.record(1)))], to: did, by: house.caller(did))
        let head = try await house.service.head(of: did)
        let events = try await house.events()
        await house.close()
        let again = try await House(reopening: house)
        #expect(try await again.service.head(of: did) == head)
        #expect(try await again.events() == events)
        await again.discard()
    }
}

extension RepositoryWriterTests {
    /// Commits built on one that fails at the last moment are made anew; those that must fail do so alone.
    @Test func failuresInTheMiddleOfTheChainHurtNobodyElse() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let key = try #require(house.keys.key(of: did))
        let missing = BlobReference(cid: CID.of(raw: [9] as [UInt8]), mimeType: "a/b", sizeBytes: 1)
        let landed = try await withThrowingTaskGroup(of: Bool.self, returning: Int.self) { group in
            for number in 0..<120 {
                group.addTask {
                    let fails = number % 7 == 3
                    let record: DataValue = fails ? ["file": missing.value] : Self.record(number)
                    do {
                        _ = try await house.writer.apply(
                            [Self.write(.create(key: nil, record: record))], to: did, by: house.caller(did))
                        #expect(!fails)
                        return true
                    } catch RepositoryWriteError.blobNotFound {
                        #expect(fails)
                        return false
                    }
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        var last: (rev: TID, data: CID)?
        let events = try await house.events()
        for event in events { last = try Self.accept(event, after: last, key: key) }
        #expect(events.filter { $0.kind == .commit }.count == landed + 1)
        #expect(landed == (0..<120).count { $0 % 7 != 3 })
        #expect(try await house.service.head(of: did)?.data == last?.data)
        await house.discard()
    }
}

extension RepositoryWriterTests {
    /// A write that changes nothing is judged on a state that may still be on its way to disk: it must wait for it.
    @Test func whatChangesNothingWaitsForTheStateItWasJudgedOn() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let write = Self.write(.put(key: try RecordKey(parsing: "a"), record: Self.record(1)))
        let gate = DispatchSemaphore(value: 0)
        let isHeld = Atomic(false)
        let isOpen = Mutex(false)
        async let blocked: Void = house.database.write { _ in
            isHeld.store(true, ordering: .sequentiallyConsistent)
            gate.wait()
        }
        // Else the first write might be of the same group, and never wait.
        while !isHeld.load(ordering: .sequentiallyConsistent) { await Task.yield() }
        async let first = house.writer.apply([write], to: did, by: house.caller(did))
        while house.database.statistics().queued == 0 { await Task.yield() }
        async let second: Bool = {
            _ = try await house.writer.apply([write], to: did, by: house.caller(did))
            return isOpen.withLock { $0 }
        }()
        for _ in 0..<2000 { await Task.yield() }
        isOpen.withLock { $0 = true }
        gate.signal()
        _ = try await (blocked, first)
        #expect(try await second, "answered before the first write was on disk")
        await house.discard()
    }
}
