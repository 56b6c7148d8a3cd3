import ATProtocol
import Base
import Storage
import Testing

/// What every blob store promises, on each.
@Suite struct BlobStoreContractTests {
    private let random = SeededRandomness(seed: 5)

    @Test(arguments: BlobStoreKind.present, [0, 1, 999, 1000, 262_144, 700_001])
    func whatIsPutIsRead(_ kind: BlobStoreKind, size: Int) async throws {
        let test = try await StoreUnderTest(kind)
        let content = random.bytes(size)
        let blob = try await test.put(content)
        #expect(blob.cid == CID.of(raw: content) && blob.sizeBytes == Int64(size))
        #expect(blob.head == Array(content.prefix(512)))
        #expect(try await test.bytes(blob.location) == content)
        #expect(blob.location.cid == blob.cid)
        #expect(try BlobLocation(parsing: blob.location.string) == blob.location)
        #expect(try await test.keys() == ["stored/" + blob.location.string])
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present) func rangesAreServed(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        let content = random.bytes(600_000)
        let blob = try await test.put(content)
        var ranges = (0..<50).map { _ in
            let (a, b) = (Int64(random.below(700_000)), Int64(random.below(700_000)))
            return min(a, b)..<max(a, b)
        }
        ranges += [0..<0, 5..<5, 600_000..<600_001, 650_000..<650_000, 0..<1, 599_999..<600_000, 0..<600_000]
        for range in ranges {
            let contents = try await test.store.read(blob.location, range: range)
            let wanted = range.clamped(to: 0..<600_000)
            #expect(contents.range == wanted && contents.sizeBytes == 600_000)
            #expect(
                try await test.bytes(blob.location, range)
                    == Array(content[Int(wanted.lowerBound)..<Int(wanted.upperBound)]))
        }
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present)
    func whatIsTooLargeOrBrokenOffLeavesNothing(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        await #expect(throws: BlobStoreError.tooLarge(sizeBytesMax: 5000)) {
            try await test.put(random.bytes(5001), sizeBytesMax: 5000)
        }
        _ = try await test.put(random.bytes(5000), sizeBytesMax: 5000)
        await #expect(throws: BlobStoreError.tooLarge(sizeBytesMax: 300_000)) {
            try await test.put(random.bytes(900_000), sizeBytesMax: 300_000)
        }
        let broken = AsyncThrowingStream<[UInt8], any Error> { continuation in
            for _ in 0..<400 { continuation.yield(random.bytes(1000)) }
            continuation.finish(throwing: Refusal(reason: 1))
        }
        await #expect(throws: Refusal(reason: 1)) {
            try await test.store.put(broken, for: EventLogTests.alice, sizeBytesMax: 1 << 20)
        }
        #expect(try await test.keys().count == 1)
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present)
    func twoUploadsOfTheSameBytesAreApart(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        let content = random.bytes(3000)
        let (one, two) = (try await test.put(content), try await test.put(content))
        #expect(one.cid == two.cid && one.location != two.location)
        try await test.store.delete(one.location)
        try await test.store.delete(one.location)
        await #expect(throws: BlobStoreError.notFound) { try await test.bytes(one.location) }
        await #expect(throws: BlobStoreError.notFound) { try await test.bytes(one.location, 5..<9) }
        #expect(try await test.bytes(two.location) == content)
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present)
    func quarantineIsOutOfReachAndComesBack(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        let content = random.bytes(3000)
        let blob = try await test.put(content)
        try await test.store.quarantine(blob.location)
        try await test.store.quarantine(blob.location)
        await #expect(throws: BlobStoreError.notFound) { try await test.bytes(blob.location) }
        #expect(try await test.store.list(after: nil, limit: 10).isEmpty)
        try await test.store.release(blob.location)
        try await test.store.release(blob.location)
        #expect(try await test.bytes(blob.location) == content)
        try await test.store.quarantine(blob.location)
        try await test.store.delete(blob.location)
        #expect(try await test.keys().isEmpty)
        await #expect(throws: BlobStoreError.notFound) { try await test.store.release(blob.location) }
        await #expect(throws: BlobStoreError.notFound) { try await test.store.quarantine(blob.location) }
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present) func anAccountIsRemovedWhole(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        var mine: [StoredBlob] = []
        for _ in 0..<5 { mine.append(try await test.put(random.bytes(100))) }
        let other = try await test.put([1, 2, 3], for: EventLogTests.bob)
        try await test.store.quarantine(mine[0].location)
        try await test.store.deleteAll(of: EventLogTests.alice)
        try await test.store.deleteAll(of: EventLogTests.alice)
        #expect(try await test.keys() == ["stored/" + other.location.string])
        // What held the account's blobs is made anew.
        _ = try await test.put([4])
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present) func pagesListEveryBlobOnce(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        var expected: Set<BlobLocation> = []
        for index in 0..<40 {
            let did = DID(literal: "did:web:example.com")
            let blob = try await test.put([UInt8(index)], for: index % 3 == 0 ? did : EventLogTests.alice)
            expected.insert(blob.location)
        }
        var listed: [BlobLocation] = []
        while true {
            let page = try await test.store.list(after: listed.last, limit: 7)
            if page.isEmpty { break }
            #expect(page.count <= 7 && page.allSatisfy { $0.sizeBytes == 1 })
            listed += page.map(\.location)
        }
        #expect(listed == listed.sorted() && Set(listed) == expected && listed.count == 40)
        await test.store.close()
    }

    @Test(arguments: BlobStoreKind.present) func manyAtOnce(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        let results = await outcomes(
            (0..<24).map { number in
                { @Sendable in
                    let content = SeededRandomness(seed: UInt64(number)).bytes(number * 9000)
                    let blob = try await test.put(content)
                    return try await test.bytes(blob.location) == content
                }
            })
        for result in results { #expect(try result.get()) }
        await test.store.close()
    }

    /// Large enough for parts of the usual size on a real server.
    @Test(arguments: BlobStoreKind.present) func aLargeOneIsPutAndRead(_ kind: BlobStoreKind) async throws {
        let test = try await StoreUnderTest(kind)
        let content = random.bytes(20 << 20)
        let blob = try await test.put(content, chunk: 300_000, sizeBytesMax: 1 << 30)
        #expect(blob.cid == CID.of(raw: content))
        #expect(try await test.bytes(blob.location) == content)
        #expect(try await test.bytes(blob.location, 8_388_600..<8_388_700) == Array(content[8_388_600..<8_388_700]))
        #expect(try await test.store.removeAbandoned(before: SystemClock().now()) == 0)
        await test.store.close()
    }
}
