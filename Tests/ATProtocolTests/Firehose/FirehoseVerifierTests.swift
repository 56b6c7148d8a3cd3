import ATProtocol
import Base
import Testing

@Suite struct FirehoseVerifierTests {
    /// A commit refused as `reason`; the verifier is unchanged.
    private func refused(
        _ event: FirehoseCommit, by verifier: FirehoseVerifier, now: Timestamp
    ) -> FirehoseRejection? {
        var verifier = verifier
        let head = verifier.head
        do throws(FirehoseRejection) { try verifier.accept(.commit(event), now: now) } catch {
            #expect(verifier.head == head)
            return error
        }
        return nil
    }

    @Test(arguments: 0..<30) func everyCommitOfAPublisherIsAccepted(seed: UInt64) throws {
        var publisher = FirehosePublisher(seed: seed)
        var verifier = publisher.verifier
        for _ in 0..<25 {
            let commit = try publisher.commit(operationCount: publisher.random.below(6))
            let frame = FirehoseEvent.commit(commit).prepared().frame(seq: 1)
            guard case .event(_, let event) = try FirehoseFrame(bytes: frame) else { return }
            try verifier.accept(event, now: publisher.now)
            #expect(verifier.head == publisher.head, "seed \(seed)")
        }
        // Someone who comes in the middle accepts the next commit as well.
        var late = publisher.verifier
        try late.accept(.commit(publisher.commit(operationCount: 3)), now: publisher.now)
        #expect(late.head == publisher.head)
    }

    /// An event with any byte of its blocks changed, an operation left out, doubled or altered, is refused.
    @Test(arguments: 0..<30) func everyChangedCommitIsRefused(seed: UInt64) throws {
        var publisher = FirehosePublisher(seed: seed)
        let random = publisher.random
        var verifier = publisher.verifier
        for _ in 0..<4 { try verifier.accept(.commit(publisher.commit(operationCount: 12)), now: publisher.now) }
        let good = try publisher.commit(operationCount: 8)
        let now = publisher.now
        for _ in 0..<40 {
            var bad = good
            bad.blocks[random.below(bad.blocks.count)] ^= UInt8(1 << random.below(8))
            #expect(refused(bad, by: verifier, now: now) != nil, "seed \(seed)")
        }
        for index in good.operations.indices {
            var bad = good
            bad.operations.remove(at: index)
            #expect(refused(bad, by: verifier, now: now) != nil, "seed \(seed), operation \(index) left out")
            bad = good
            bad.operations.append(good.operations[index])
            #expect(refused(bad, by: verifier, now: now) == .repeatedPath(good.operations[index].path))
            bad = good
            bad.operations[index].action =
                switch good.operations[index].action {
                case .create(let cid): .update(cid, previous: good.commit)
                case .update(let cid, _): .update(cid, previous: good.commit)
                case .delete: .delete(previous: good.commit)
                }
            #expect(refused(bad, by: verifier, now: now) == .rootMismatch, "seed \(seed), operation \(index) altered")
        }
        #expect(refused(good, by: verifier, now: now) == nil)
    }

    @Test func eachRule() throws {
        var publisher = FirehosePublisher(seed: 1)
        var verifier = publisher.verifier
        let first = try publisher.commit(operationCount: 5)
        try verifier.accept(.commit(first), now: publisher.now)
        let second = try publisher.commit(operationCount: 5)
        let now = publisher.now
        func changed(_ change: (inout FirehoseCommit) -> Void) -> FirehoseRejection? {
            var event = second
            change(&event)
            return refused(event, by: verifier, now: now)
        }
        #expect(changed { $0.repository = DID(literal: "did:web:example.com") } == .otherRepository)
        #expect(changed { $0.commit = first.commit } == .notRoot)
        #expect(changed { $0.rev = TID(value: $0.rev.value + 1) } == .fieldMismatch)
        #expect(changed { $0.since = nil } == .desynchronized)
        #expect(changed { $0.previousData = nil } == .desynchronized)
        #expect(changed { $0.previousData = first.commit } == .desynchronized)
        #expect(changed { $0.blocks = first.blocks } == .notRoot)
        #expect(refused(first, by: verifier, now: now) == .staleRevision)
        let early = now.advanced(by: .seconds(-301))
        #expect(refused(second, by: verifier, now: early) == .futureRevision)
        #expect(refused(second, by: verifier, now: now.advanced(by: .seconds(-300))) == nil)
        var other = verifier
        other.signingKey = PrivateKey.generate(.p256, using: publisher.random).publicKey
        #expect(refused(second, by: other, now: now) == .badSignature)

        var newcomer = second
        newcomer.previousData = nil
        #expect(refused(newcomer, by: publisher.verifier, now: now) == .missingPrevious)
        let withoutRecords = try CARReader.read(second.blocks)
        var archive = CARWriter.header(roots: withoutRecords.roots)
        let records = Set(second.operations.compactMap(\.cid))
        for block in withoutRecords.blocks where !records.contains(block.cid) {
            CARWriter.append(block.cid, block.bytes, to: &archive)
        }
        let path = try #require(second.operations.first { $0.cid != nil }).path
        #expect(changed { $0.blocks = archive } == .missingRecord(path))
        let bare = CARWriter.header(roots: [second.commit])
        #expect(changed { $0.blocks = bare } == .badBlocks(.missingBlock(second.commit)))
        #expect(changed { $0.blocks = [] } != nil)
    }

    @Test func aGapIsSeenAndASyncClosesIt() throws {
        var publisher = FirehosePublisher(seed: 2)
        var verifier = publisher.verifier
        try verifier.accept(.commit(publisher.commit(operationCount: 3)), now: publisher.now)
        _ = try publisher.commit(operationCount: 3)
        let third = try publisher.commit(operationCount: 3)
        #expect(refused(third, by: verifier, now: publisher.now) == .desynchronized)
        try verifier.accept(.sync(publisher.sync()), now: publisher.now)
        #expect(verifier.head == publisher.head)
        try verifier.accept(.commit(publisher.commit(operationCount: 3)), now: publisher.now)
    }

    @Test func anInactiveAccountCommitsNothing() throws {
        var publisher = FirehosePublisher(seed: 3)
        var verifier = publisher.verifier
        let time = FirehoseSamples.time
        let away = FirehoseAccount(did: publisher.did, standing: .inactive(.deactivated), time: time)
        try verifier.accept(.account(away), now: publisher.now)
        let commit = try publisher.commit(operationCount: 2)
        #expect(refused(commit, by: verifier, now: publisher.now) == .inactive)
        try verifier.accept(
            .account(FirehoseAccount(did: publisher.did, standing: .active, time: time)), now: publisher.now)
        try verifier.accept(
            .identity(FirehoseIdentity(did: publisher.did, handle: nil, time: time)), now: publisher.now)
        try verifier.accept(.commit(commit), now: publisher.now)
    }

    /// The recorded lives of two accounts (bluesky-social/indigo, relay test data), where the vectors are present.
    @Test(arguments: ["account_lifecycle", "post_lifecycle"]) func recordedEventsAreAccepted(name: String) throws {
        guard let json = try SyntaxVectors.bytes("firehose-recorded/\(name).json") else { return }
        let scenario = try DataValue(json: json)
        let identity = try #require(scenario["accounts"]?.arrayValue?.first?["identity"])
        let key = try #require(identity["keys"]?["atproto"]?["publicKeyMultibase"]?.stringValue)
        var verifier = FirehoseVerifier(
            did: try DID(parsing: try #require(identity["did"]?.stringValue)), signingKey: try PublicKey(multikey: key))
        for message in try #require(scenario["messages"]?.arrayValue) {
            let type = try #require(message["frame"]?["header"]?["t"]?.stringValue)
            let body = try #require(message["frame"]?["body"]?.mapValue)
            guard case .event(_, let event) = try FirehoseFrame.message(type: type, payload: body) else { continue }
            try verifier.accept(event, now: event.time.timestamp)
        }
        #expect(verifier.isActive == (name == "post_lifecycle"))
        #expect(verifier.head != nil)
    }
}
