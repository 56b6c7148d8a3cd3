import ATProtocol
import Base
import Testing

@Suite struct FirehoseFrameTests {
    /// Splits a frame into header and payload.
    private func parts(_ frame: [UInt8]) throws -> (header: DataValue, payload: DataValue) {
        var reader = CBORReader(frame)
        let header = try reader.value(limits: .frame)
        let payload = try reader.value(limits: .frame)
        try reader.finish()
        return (header, payload)
    }

    /// Frames spelled out byte for byte by another encoder; the events were recorded from the network.
    @Test func bytesOfSmallFrames() throws {
        let did = DID(literal: "did:plc:vvpy7d6y2li5yo73cgbszibl")
        let identity = FirehoseEvent.identity(
            FirehoseIdentity(
                did: did, handle: Handle(literal: "pengua.bsky.social"),
                time: Datetime(literal: "2025-04-16T23:40:33.895Z")))
        #expect(
            Hex.encode(identity.prepared().frame(seq: 110))
                == "a2617469236964656e74697479626f7001a46364696478206469643a706c633a7676707937643679326c6935796f3733636762"
                + "737a69626c63736571186e6474696d657818323032352d30342d31365432333a34303a33332e3839355a6668616e646c657270"
                + "656e6775612e62736b792e736f6369616c")
        let account = FirehoseEvent.account(
            FirehoseAccount(
                did: did, standing: .inactive(.deleted), time: Datetime(literal: "2025-04-16T23:41:33.895Z")))
        #expect(
            Hex.encode(account.prepared().frame(seq: 140))
                == "a2617468236163636f756e74626f7001a56364696478206469643a706c633a7676707937643679326c6935796f373363676273"
                + "7a69626c63736571188c6474696d657818323032352d30342d31365432333a34313a33332e3839355a66616374697665f46673"
                + "74617475736764656c65746564")
        #expect(
            Hex.encode(FirehoseFailure(error: "FutureCursor", message: "m").frame())
                == "a1626f7020a2656572726f726c467574757265437572736f72676d657373616765616d")
    }

    @Test func fieldsOfACommit() throws {
        let random = SeededRandomness(seed: 1)
        let record = FirehoseSamples.cid(random)
        let before = FirehoseSamples.cid(random)
        let blob = FirehoseSamples.cid(random, raw: true)
        let commit = FirehoseCommit(
            repository: FirehoseSamples.did, commit: FirehoseSamples.cid(random),
            rev: TID(literal: "3lmxjza3nva27"), since: TID(literal: "3lmxjxi3hjn23"),
            previousData: FirehoseSamples.cid(random), blocks: [1, 2, 3],
            operations: [
                FirehoseOperation(path: FirehoseSamples.path, action: .create(record)),
                FirehoseOperation(path: FirehoseSamples.path, action: .update(record, previous: before)),
                FirehoseOperation(path: FirehoseSamples.path, action: .delete(previous: before)),
            ],
            blobs: [blob], time: FirehoseSamples.time)
        let (header, payload) = try parts(FirehoseEvent.commit(commit).prepared().frame(seq: 35_941_522))
        #expect(header == ["op": 1, "t": "#commit"])
        let path = "app.bsky.feed.like/3lmxjza3h2i27"
        let expected: DataValue = [
            "seq": 35_941_522, "rebase": false, "tooBig": false, "repo": "did:plc:44ybard66vv44zksje25o7dz",
            "commit": .link(commit.commit), "rev": "3lmxjza3nva27", "since": "3lmxjxi3hjn23",
            "blocks": .bytes([1, 2, 3]), "blobs": [.link(blob)], "time": "2025-04-16T21:30:26.717Z",
            "prevData": commit.previousData.map { .link($0) } ?? nil,
            "ops": [
                ["action": "create", "path": .string(path), "cid": .link(record)],
                ["action": "update", "path": .string(path), "cid": .link(record), "prev": .link(before)],
                ["action": "delete", "path": .string(path), "cid": nil, "prev": .link(before)],
            ],
        ]
        #expect(payload == expected)
        var first = commit
        first.since = nil
        first.previousData = nil
        let (_, initial) = try parts(FirehoseEvent.commit(first).prepared().frame(seq: 1))
        #expect(initial["since"] == .null)
        #expect(initial.mapValue?["prevData"] == nil)
    }

    /// The spliced frame is canonical (the strict reader takes it, and writing it again gives the same bytes) and
    /// decodes to the event, for numbers of every width.
    @Test(arguments: 0..<200) func roundTrip(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let event = FirehoseSamples.event(random)
        let prepared = event.prepared()
        for seq in [1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, FirehoseLimit.sequenceMax] {
            let frame = prepared.frame(seq: seq)
            let (header, payload) = try parts(frame)
            #expect(header.cbor() + payload.cbor() == frame, "seed \(seed)")
            #expect(frame.count <= prepared.sizeBytesMax)
            let decoded = try FirehoseFrame(bytes: frame)
            #expect(decoded == .event(seq: seq, event), "seed \(seed)")
            #expect(decoded.bytes() == frame)
        }
    }

    @Test func framesWithoutANumberRoundTrip() throws {
        let frames: [FirehoseFrame] = [
            .info(.outdatedCursor), .info(FirehoseInfo(name: "Later", message: nil)), .failure(.futureCursor),
            .failure(.consumerTooSlow), .failure(FirehoseFailure(error: "Other", message: nil)),
        ]
        for frame in frames {
            let bytes = try #require(frame.bytes())
            #expect(try FirehoseFrame(bytes: bytes) == frame)
            let (header, payload) = try parts(bytes)
            #expect(header.cbor() + payload.cbor() == bytes)
        }
    }

    @Test func framesOfLaterVersionsArePassedOver() throws {
        let header: DataValue = ["op": 1, "t": "#future"]
        let other: DataValue = ["op": 2]
        let payload: DataValue = ["anything": [1, "two"]]
        #expect(try FirehoseFrame(bytes: header.cbor() + payload.cbor()) == .unknown(op: 1, type: "#future"))
        #expect(try FirehoseFrame(bytes: other.cbor() + payload.cbor()) == .unknown(op: 2, type: nil))
    }

    /// Each field missing, of another type or out of range is refused by name.
    @Test func badFields() throws {
        let random = SeededRandomness(seed: 5)
        var commit = FirehoseSamples.commit(random)
        commit.operations = [FirehoseOperation(path: FirehoseSamples.path, action: .create(commit.commit))]
        let (header, payload) = try parts(FirehoseEvent.commit(commit).prepared().frame(seq: 7))
        let good = try #require(payload.mapValue)
        func decode(_ change: (inout DataMap) -> Void) throws -> FirehoseFrame {
            var map = good
            change(&map)
            return try FirehoseFrame(bytes: header.cbor() + DataValue.map(map).cbor())
        }
        #expect(try decode { $0["another"] = 1 } == .event(seq: 7, .commit(commit)))
        for key in ["seq", "repo", "commit", "rev", "blocks", "ops", "time", "tooBig"] {
            #expect(throws: FirehoseError.badField(key)) { try decode { $0[key] = nil } }
            #expect(throws: FirehoseError.badField(key)) { try decode { $0[key] = .array([]).nested } }
        }
        for seq in [0, -1, FirehoseLimit.sequenceMax + 1] {
            #expect(throws: FirehoseError.badField("seq")) { try decode { $0["seq"] = .integer(seq) } }
        }
        #expect(throws: FirehoseError.badField("tooBig")) { try decode { $0["tooBig"] = true } }
        #expect(throws: FirehoseError.badField("rev")) { try decode { $0["rev"] = "zzzzzzzzzzzzz" } }
        #expect(throws: FirehoseError.badField("since")) { try decode { $0["since"] = "tomorrow" } }
        let operations: [(DataValue, String)] = [
            (["action": "create", "path": "a.b.c/self", "cid": nil], "cid"),
            (["action": "delete", "path": "a.b.c/self", "cid": .link(commit.commit)], "cid"),
            (
                [
                    "action": "create", "path": "a.b.c/self", "cid": .link(commit.commit),
                    "prev": .link(commit.commit),
                ], "prev"
            ),
            (["action": "move", "path": "a.b.c/self", "cid": .link(commit.commit)], "action"),
            (["action": "create", "path": "a.b.c", "cid": .link(commit.commit)], "path"),
            (["action": "create", "path": "a.b.c/..", "cid": .link(commit.commit)], "path"),
            ("create", "ops"),
        ]
        for (operation, field) in operations {
            #expect(throws: FirehoseError.badField(field), "\(operation)") { try decode { $0["ops"] = [operation] } }
        }
    }

    @Test func limits() throws {
        let random = SeededRandomness(seed: 6)
        var commit = FirehoseSamples.commit(random)
        let operation = FirehoseOperation(path: FirehoseSamples.path, action: .delete(previous: commit.commit))
        commit.operations = Array(repeating: operation, count: 200)
        commit.blocks = [UInt8](repeating: 0, count: 2_000_000)
        let frame = FirehoseEvent.commit(commit).prepared().frame(seq: 1)
        #expect(try FirehoseFrame(bytes: frame) == .event(seq: 1, .commit(commit)))
        commit.operations.append(operation)
        #expect(throws: FirehoseError.tooLarge("ops")) {
            try FirehoseFrame(bytes: FirehoseEvent.commit(commit).prepared().frame(seq: 1))
        }
        commit.operations = []
        commit.blocks.append(0)
        #expect(throws: FirehoseError.tooLarge("blocks")) {
            try FirehoseFrame(bytes: FirehoseEvent.commit(commit).prepared().frame(seq: 1))
        }
        let blocks = [UInt8](repeating: 0, count: 10_001)
        let sync = FirehoseSync(did: commit.repository, rev: commit.rev, blocks: blocks, time: commit.time)
        #expect(throws: FirehoseError.tooLarge("blocks")) {
            try FirehoseFrame(bytes: FirehoseEvent.sync(sync).prepared().frame(seq: 1))
        }
        #expect(throws: FirehoseError.notDAGCBOR(.limitExceeded(limit: .size))) {
            try FirehoseFrame(bytes: [UInt8](repeating: 0, count: 5_000_001))
        }
    }

    @Test func badFraming() throws {
        let good = FirehoseEvent.commit(FirehoseSamples.commit(SeededRandomness(seed: 2))).prepared().frame(seq: 9)
        for length in 0..<good.count {
            #expect(throws: FirehoseError.self) { try FirehoseFrame(bytes: Array(good.prefix(length))) }
        }
        #expect(throws: FirehoseError.notDAGCBOR(.trailingBytes(offset: good.count))) {
            try FirehoseFrame(bytes: good + [0])
        }
        let map: DataValue = ["op": 1]
        let list: DataValue = [1]
        let cases: [(DataValue, DataValue)] = [
            (map, map), (list, map), (["op": "1", "t": "#commit"], map), (["op": -1], list),
        ]
        for (header, payload) in cases {
            #expect(throws: FirehoseError.badHeader) { try FirehoseFrame(bytes: header.cbor() + payload.cbor()) }
        }
    }
}

extension DataValue {
    /// A value no field may hold: a list in a list.
    fileprivate var nested: DataValue { .array([self]) }
}
