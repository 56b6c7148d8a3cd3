import ATProtocol
import Base
import TestDatabases
import Testing

@testable import Storage

/// A bucket that breaks off, stalls and lies when it is read or listed: nobody gets wrong bytes.
@Suite(.timeLimit(.minutes(10))) struct HostileBucketTests: BucketTest {
    let random = SeededRandomness(seed: 5)
    let spool: ScratchDirectory

    init() throws {
        spool = try ScratchDirectory()
    }

    @Test func aForgedBlobNeverEndsWell() async throws {
        let bucket = MemoryBucket()
        let store = try bucket.store(spool: spool)
        for size in [1, 300, 90_000, 250_000] {
            let content = random.bytes(size)
            let blob = try await put(store, content)
            let key = MemoryBucket.prefix + "stored/" + blob.location.string
            bucket.change(key) { $0[size / 2] ^= 1 }
            for range in [nil, 0..<Int64(size)] as [Range<Int64>?] {
                let (bytes, error) = await read(store, blob.location, range)
                #expect(error == .damaged && bytes.count < size, "all bytes of a forged blob must not be handed out")
            }
            bucket.change(key) { $0.removeLast() }
            let (bytes, error) = await read(store, blob.location)
            #expect(error == .damaged && bytes.count < size)
        }
    }

    /// Breaks at every place, with and without an error, any number of bytes at a time.
    @Test func whatBreaksOffIsTakenUpAgain() async throws {
        for seed in 0..<30 as Range<UInt64> {
            let dice = SeededRandomness(seed: seed)
            let bucket = MemoryBucket { request, _ in
                guard request.method == "GET" else { return .honest }
                let (cut, fails) = (dice.below(200_000), dice.oneIn(2))
                return .answering { reply in
                    guard let chunks = reply.body as? ListedChunks, dice.below(10) < 7 else { return reply }
                    let bytes = chunks.drained
                    let kept = Array(bytes.prefix(cut))
                    return reply.with([kept], then: fails ? ObjectTransportFailure.broken("cut") : nil)
                }
            }
            let store = try bucket.store(spool: spool)
            let content = random.bytes(400_000)
            let blob = try await put(store, content)
            for range in [nil, 1000..<350_000] as [Range<Int64>?] {
                let wanted = range.map { Array(content[Int($0.lowerBound)..<Int($0.upperBound)]) } ?? content
                let (bytes, error) = await read(store, blob.location, range)
                #expect(wanted.starts(with: bytes), "seed \(seed)")
                #expect(
                    error == nil ? bytes == wanted : isUnavailable(error) && bytes.count < wanted.count, "seed \(seed)")
            }
        }
    }

    @Test func anObjectReplacedInTheMidstIsNotMixed() async throws {
        let content = random.bytes(200_000)
        let bucket = MemoryBucket { request, _ in
            guard request.method == "GET", !request.headers.contains(where: { $0.name == "if-match" }) else {
                return .honest
            }
            return .answering { reply in reply.with([Array(content.prefix(50_000))]) }
        }
        let store = try bucket.store(spool: spool)
        let blob = try await put(store, content)
        let contents = try await store.read(blob.location, range: 0..<150_000)
        bucket.change(MemoryBucket.prefix + "stored/" + blob.location.string) { $0[199_999] ^= 1 }
        let error = await failure { for try await _ in contents {} }
        #expect(isUnavailable(error))
    }

    @Test(arguments: [
        "length", "no length", "range", "no range", "whole", "no tag", "size", "longer", "endless", "accepted", "tag",
    ])
    func answersThatCannotBe(lie: String) async throws {
        let bucket = MemoryBucket { request, _ in
            guard request.method == "GET" else { return .honest }
            return .answering { reply in
                switch lie {
                case "length": reply.with("Content-Length", "99")
                case "no length": reply.with("Content-Length", nil)
                case "range": reply.with("Content-Range", "bytes 11-20/1000")
                case "no range": reply.with("Content-Range", nil)
                case "whole": .bytes(200, [UInt8](repeating: 0, count: 1000), [("ETag", "\"x\"")])
                case "no tag": reply.with("ETag", nil)
                case "tag": reply.with("ETag", "\"a\"b\"\r\nx")
                case "size": reply.with("Content-Range", "bytes 10-19/9999999999999999999999")
                case "longer": reply.with([[UInt8](repeating: 1, count: 2000)])
                case "endless": reply.with([[UInt8]](repeating: [1], count: 5000))
                default: ObjectReply(status: 202, headers: reply.headers, body: reply.body)
                }
            }
        }
        let store = try bucket.store(spool: spool)
        let blob = try await put(store, random.bytes(1000))
        let (bytes, error) = await read(store, blob.location, 10..<20)
        #expect(isUnavailable(error) && bytes.count < (lie == "endless" ? 11 : 10))
    }

    @Test func whoStandsStillIsLeft() async throws {
        let clock = Kept<PauseClock>()
        let bucket = MemoryBucket { request, number in
            if request.method == "GET", number > 2 {
                clock.all.first?.expire()
                try await ParkedClock().sleep(until: .init(offset: .zero), tolerance: nil)
            }
            return .answering { reply in
                request.method == "GET"
                    ? ObjectReply(status: 200, headers: reply.headers, body: Stalling(clock)) : reply
            }
        }
        clock.keep(bucket.sleeper)
        let store = try bucket.store(spool: spool)
        let blob = try await put(store, random.bytes(1000))
        let (bytes, error) = await read(store, blob.location)
        #expect(bytes.isEmpty && isUnavailable(error))
        #expect(bucket.requests.count == 6, "two to store; one whose body stands still; three whose head never comes")
    }

    @Test func whoDribblesIsLeft() async throws {
        let clock = Kept<ManualClock>()
        let bucket = MemoryBucket { request, _ in
            .answering { reply in
                guard request.method == "GET" else { return reply }
                return ObjectReply(status: 200, headers: reply.headers, body: Dribbling(clock))
            }
        }
        clock.keep(bucket.clock)
        let store = try bucket.store(spool: spool)
        let blob = try await put(store, random.bytes(1000))
        let (bytes, error) = await read(store, blob.location)
        #expect(isUnavailable(error) && bytes.count < 20)
    }

    @Test(arguments: [
        "<!DOCTYPE l [<!ENTITY x \"y\">]><ListBucketResult>&x;</ListBucketResult>", "", "<ListBucketResult>",
        "<Other/>",
        "<Error><Code>SlowDown</Code></Error>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken></ListBucketResult>",
        "<ListBucketResult><Contents><Key>elsewhere</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents></Contents></ListBucketResult>",
        """
        <ListBucketResult><Contents><Key>some/where/stored/b</Key><Size>1</Size><LastModified>2025-01-01T00:00:00Z\
        </LastModified></Contents><Contents><Key>some/where/stored/a</Key><Size>1</Size>\
        <LastModified>2025-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>
        """,
    ])
    func listsThatCannotBe(_ xml: String) async throws {
        let bucket = MemoryBucket { _, _ in .only(.xml(xml)) }
        let store = try bucket.store(spool: spool)
        #expect(isUnavailable(await failure { try await store.list(after: nil, limit: 10) }))
        #expect(isUnavailable(await failure { try await store.deleteAll(of: EventLogTests.alice) }))
        #expect(isUnavailable(await failure { try await store.removeAbandoned(before: bucket.clock.now()) }))
    }

    /// It says that it took what it threw away: its fault, and no word of a blob that the caller should have uploaded.
    @Test(arguments: [1000, 250_000]) func anUploadThatIsNotThere(size: Int) async throws {
        for code in ["NoSuchKey", ""] {
            let bucket = MemoryBucket { request, _ in
                request.method == "HEAD" ? .only(.error(404, code)) : .honest
            }
            let store = try bucket.store(spool: spool)
            #expect(isUnavailable(await failure { try await put(store, random.bytes(size)) }))
            #expect(bucket.keys.isEmpty)
        }
    }

    @Test func whoRefusesForGoodIsToldFromWhoIsAway() async throws {
        for (status, code, isLasting) in [
            (404, "NoSuchBucket", true), (403, "AccessDenied", true), (301, "PermanentRedirect", true),
            (403, "RequestTimeTooSkewed", false), (503, "SlowDown", false),
        ] {
            let store = try MemoryBucket { _, _ in .only(.error(status, code)) }.store(spool: spool)
            let error = await failure { try await store.check() } as? BlobStoreError
            if case .refused = error { #expect(isLasting, "\(code)") } else { #expect(!isLasting, "\(code)") }
            #expect(error?.wire.status == 503)
        }
        #expect(BlobStoreError.damaged.wire.status == 503)
    }

    @Test func whatOthersPutThereIsPassedOver() async throws {
        let bucket = MemoryBucket()
        let store = try bucket.store(spool: spool)
        for name in ["stored/a", "stored/zz/zz/zz", "other", "stored/aa/../b"] {
            bucket.change(MemoryBucket.prefix + name) { $0 = [1] }
        }
        let blob = try await put(store, [1])
        #expect(try await store.list(after: nil, limit: 10).map(\.location) == [blob.location])
    }
}
