import ATProtocol
import Base
import Foundation
import Testing

/// What the parsed values say about themselves.
struct SyntaxValueTests {
    @Test func partsOfIdentifiers() throws {
        let did = try DID(parsing: "did:web:localhost%3A1234:u:a")
        #expect(did.method == "web")
        #expect(did.identifier == "localhost%3A1234:u:a")
        let handle = try Handle(parsing: "Alice.Example.COM")
        #expect(handle.string == "alice.example.com")
        #expect(handle.topLevelDomain == "com")
        #expect(handle.split.label == "alice")
        #expect(handle.split.domain == "example.com")
        #expect(!handle.hasReservedTopLevelDomain)
        #expect(Handle.invalid.hasReservedTopLevelDomain)
        let nsid = try NSID(parsing: "com.Example.feed.getThing")
        #expect(nsid.name == "getThing")
        #expect(nsid.group == "com.Example.feed")
        #expect(nsid.authority == "feed.example.com")
        #expect(try URI(parsing: "https://example.com").scheme == "https")
    }

    @Test func groupsOfNSIDs() {
        let set = NSID(literal: "app.example.authFull")
        #expect(NSID(literal: "app.example.post").isWithinGroup(of: set))
        #expect(NSID(literal: "app.example.deep.post").isWithinGroup(of: set))
        #expect(!NSID(literal: "app.examples.post").isWithinGroup(of: set))
        #expect(!NSID(literal: "app.other.post").isWithinGroup(of: set))
        #expect(!NSID(literal: "app.example.post").isWithinGroup(of: NSID(literal: "app.example.deep.set")))
    }

    @Test func atURIParts() throws {
        let uri = try ATURI(parsing: "at://Alice.test/app.bsky.feed.post/self")
        #expect(uri.authority == .handle(try Handle(parsing: "alice.test")))
        #expect(uri.path?.string == "app.bsky.feed.post/self")
        #expect(uri.string == "at://alice.test/app.bsky.feed.post/self")
        let account = try ATURI(parsing: "at://did:plc:abc")
        #expect(account.collection == nil && account.key == nil && account.path == nil)
        #expect(account.string == "at://did:plc:abc")
        #expect(try ATURI(parsing: "at://did:plc:abc/a.b.c").string == "at://did:plc:abc/a.b.c")
        let path = try RepositoryPath(parsing: "a.b.c/d:e")
        #expect(path.collection.string == "a.b.c" && path.key.string == "d:e")
        #expect(ATURI(.did(DID(literal: "did:plc:abc")), path).string == "at://did:plc:abc/a.b.c/d:e")
    }

    @Test func errorsNameTheRule() {
        #expect(throws: SyntaxError(.tid, "not of 13 characters")) { try TID(parsing: "x") }
        let error = SyntaxError(.nsid, "fewer than three segments")
        #expect(
            error.wire
                == WireFailure(
                    status: 400, error: "InvalidRequest", message: "invalid NSID: fewer than three segments"))
        // Inside another value the innermost kind is named.
        #expect(throws: SyntaxError(.recordKey, "empty")) { try RepositoryPath(parsing: "a.b.c/") }
    }

    @Test func codedAsStrings() throws {
        struct Pair: Codable, Equatable {
            var did: DID
            var tid: TID
        }
        let pair = Pair(did: DID(literal: "did:plc:abc"), tid: TID(literal: "3jzfcijpj2z2a"))
        let data = try JSONEncoder().encode(pair)
        #expect(try JSONDecoder().decode(Pair.self, from: data) == pair)
        #expect(throws: (any Error).self) { try JSONDecoder().decode([TID].self, from: Data("[\"x\"]".utf8)) }
    }

    @Test func tidsAreNumbers() throws {
        #expect(try TID(parsing: "2222222222222").value == 0)
        #expect(try TID(parsing: "jzzzzzzzzzzzz").value == .max)
        #expect(TID(value: .max).string == "jzzzzzzzzzzzz")
        let tid = TID(value: UInt64(1_700_000_000_000_000) << 10 | 513)
        #expect(tid.microseconds == 1_700_000_000_000_000)
        #expect(tid.clockID == 513)
        let seed: UInt64 = 7
        let random = SeededRandomness(seed: seed)
        for _ in 0..<2000 {
            let (left, right) = (TID(value: random.uint64()), TID(value: random.uint64()))
            #expect(try TID(parsing: left.string) == left, "seed \(seed)")
            #expect((left < right) == (left.string < right.string), "seed \(seed)")
        }
    }

    @Test func generatedTIDsIncreaseWhateverTheClockDoes() {
        let seed: UInt64 = 11
        let random = SeededRandomness(seed: seed)
        var generator = TIDGenerator(clockID: 77)
        var last = TID(value: 0)
        var now: Int64 = 1_700_000_000_000_000
        for step in 0..<5000 {
            now += Int64(random.below(2000)) - 1200
            let tid = generator.next(now: Timestamp(microseconds: now))
            #expect(tid > last, "seed \(seed) step \(step)")
            #expect(tid.clockID == 77 && tid.microseconds >= now, "seed \(seed) step \(step)")
            last = tid
            // A restart with another clock id, seeded with the last revision.
            if random.oneIn(50) { generator = TIDGenerator(clockID: 77, last: last) }
        }
        generator.advance(past: TID(value: last.value + 5000))
        #expect(generator.next(nowMicroseconds: 0).value > last.value + 5000)
        generator.advance(past: TID(value: 1))
        #expect(generator.next(nowMicroseconds: 0).value > last.value + 5000)
    }

    @Test func generatorIsTotalAtTheEnds() {
        var generator = TIDGenerator(clockID: .max)
        #expect(generator.next(nowMicroseconds: .min) == TID(value: 1023))
        #expect(generator.next(nowMicroseconds: 0) == TID(value: 1 << 10 | 1023))
        let late = generator.next(nowMicroseconds: .max)
        #expect(generator.next(nowMicroseconds: .max) > late)
        var end = TIDGenerator(clockID: 0, last: TID(value: .max - 1))
        #expect(end.next(nowMicroseconds: 0).value == .max)
        #expect(end.next(nowMicroseconds: 0).value == .max)
    }

    @Test func datetimesAreMoments() throws {
        #expect(try Datetime(parsing: "1970-01-01T00:00:00Z").timestamp.microseconds == 0)
        #expect(
            try Datetime(parsing: "1985-04-12T23:20:50.1235678912345Z").timestamp.microseconds == 482_196_050_123_567)
        #expect(try Datetime(parsing: "1985-04-12T23:20:50.1-07:30").timestamp.microseconds == 482_223_050_100_000)
        #expect(try Datetime(parsing: "0000-01-01T00:00:00Z").timestamp.microseconds == -62_167_219_200_000_000)
        #expect(Datetime(Timestamp(microseconds: 1_706_704_496_789_999)).string == "2024-01-31T12:34:56.789Z")
        #expect(Datetime(Timestamp(microseconds: -1)).string == "1969-12-31T23:59:59.999Z")
        #expect(Datetime(Timestamp(microseconds: .min)).string == "0000-01-01T00:00:00.000Z")
        #expect(Datetime(Timestamp(microseconds: .max)).string == "9999-12-31T23:59:59.999Z")
        let seed: UInt64 = 13
        let random = SeededRandomness(seed: seed)
        for _ in 0..<2000 {
            let milliseconds = Int64(random.below(315_569_519_999_999)) - 62_167_219_200_000
            let moment = Timestamp(microseconds: milliseconds * 1000)
            let datetime = Datetime(moment)
            #expect(datetime.timestamp == moment, "seed \(seed) \(datetime)")
            #expect(try Datetime(parsing: datetime.string) == datetime, "seed \(seed) \(datetime)")
        }
    }
}
