import ATProtocol
import Base
import Foundation
import Storage
import Testing

@Suite struct BlobStoreTests {
    private let directory: ScratchDirectory
    private let store: DiskBlobStore
    private let random = SeededRandomness(seed: 5)

    init() throws {
        directory = try ScratchDirectory()
        store = try DiskBlobStore(path: directory.file("blobs"), randomness: random)
    }

    private func put(
        _ bytes: [UInt8], chunk: Int = 1000, for did: DID = EventLogTests.alice, sizeBytesMax: Int64 = 1 << 20
    ) async throws -> StoredBlob {
        let chunks = stride(from: 0, to: bytes.count, by: chunk).map { Array(bytes[$0..<min($0 + chunk, bytes.count)]) }
        return try await store.put(chunks.asAsync(), for: did, sizeBytesMax: sizeBytesMax)
    }

    private func bytes(_ location: BlobLocation, _ range: Range<Int64>? = nil) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in try await store.read(location, range: range) { bytes += chunk }
        return bytes
    }

    private func files() throws -> [String] {
        let root = directory.file("blobs")
        return try FileManager.default.subpathsOfDirectory(atPath: root).filter { path in
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }
    }

    @Test(arguments: [0, 1, 999, 1000, 262_144, 700_001]) func whatIsPutIsRead(size: Int) async throws {
        let content = random.bytes(size)
        let blob = try await put(content)
        #expect(blob.cid == CID.of(raw: content) && blob.sizeBytes == Int64(size))
        #expect(blob.head == Array(content.prefix(512)))
        #expect(try await bytes(blob.location) == content)
        #expect(blob.location.cid == blob.cid)
        #expect(try BlobLocation(parsing: blob.location.string) == blob.location)
        #expect(try files() == ["stored/" + blob.location.string])
    }

    @Test func rangesAreServed() async throws {
        let content = random.bytes(600_000)
        let blob = try await put(content)
        for _ in 0..<50 {
            let (a, b) = (Int64(random.below(700_000)), Int64(random.below(700_000)))
            let range = min(a, b)..<max(a, b)
            let contents = try await store.read(blob.location, range: range)
            let wanted = range.clamped(to: 0..<600_000)
            #expect(contents.range == wanted && contents.sizeBytes == 600_000)
            #expect(
                try await bytes(blob.location, range) == Array(content[Int(wanted.lowerBound)..<Int(wanted.upperBound)])
            )
        }
    }

    @Test func whatIsTooLargeOrBrokenOffLeavesNothing() async throws {
        await #expect(throws: BlobStoreError.tooLarge(sizeBytesMax: 5000)) {
            try await put(random.bytes(5001), sizeBytesMax: 5000)
        }
        _ = try await put(random.bytes(5000), sizeBytesMax: 5000)
        await #expect(throws: BlobStoreError.tooLarge(sizeBytesMax: 300_000)) {
            try await put(random.bytes(900_000), sizeBytesMax: 300_000)
        }
        let broken = AsyncThrowingStream<[UInt8], any Error> { continuation in
            for _ in 0..<400 { continuation.yield(random.bytes(1000)) }
            continuation.finish(throwing: Refusal(reason: 1))
        }
        await #expect(throws: Refusal(reason: 1)) {
            try await store.put(broken, for: EventLogTests.alice, sizeBytesMax: 1 << 20)
        }
        #expect(try files().count == 1)
    }

    @Test func twoUploadsOfTheSameBytesAreApart() async throws {
        let content = random.bytes(3000)
        let (one, two) = (try await put(content), try await put(content))
        #expect(one.cid == two.cid && one.location != two.location)
        try await store.delete(one.location)
        try await store.delete(one.location)
        await #expect(throws: BlobStoreError.notFound) { try await bytes(one.location) }
        #expect(try await bytes(two.location) == content)
    }

    @Test func quarantineIsOutOfReachAndComesBack() async throws {
        let content = random.bytes(3000)
        let blob = try await put(content)
        try await store.quarantine(blob.location)
        try await store.quarantine(blob.location)
        await #expect(throws: BlobStoreError.notFound) { try await bytes(blob.location) }
        #expect(try await store.list(after: nil, limit: 10).isEmpty)
        try await store.release(blob.location)
        try await store.release(blob.location)
        #expect(try await bytes(blob.location) == content)
        try await store.quarantine(blob.location)
        try await store.delete(blob.location)
        #expect(try files().isEmpty)
        await #expect(throws: BlobStoreError.notFound) { try await store.release(blob.location) }
    }

    @Test func anAccountIsRemovedWhole() async throws {
        var mine: [StoredBlob] = []
        for _ in 0..<5 { mine.append(try await put(random.bytes(100))) }
        let other = try await put([1, 2, 3], for: EventLogTests.bob)
        try await store.quarantine(mine[0].location)
        try await store.deleteAll(of: EventLogTests.alice)
        try await store.deleteAll(of: EventLogTests.alice)
        #expect(try files() == ["stored/" + other.location.string])
        // The directories are made anew.
        _ = try await put([4])
    }

    @Test func pagesListEveryBlobOnce() async throws {
        var expected: Set<BlobLocation> = []
        for index in 0..<40 {
            let did = DID(literal: "did:web:example.com")
            expected.insert(try await put([UInt8(index)], for: index % 3 == 0 ? did : EventLogTests.alice).location)
        }
        var listed: [BlobLocation] = []
        while true {
            let page = try await store.list(after: listed.last, limit: 7)
            if page.isEmpty { break }
            #expect(page.count <= 7 && page.allSatisfy { $0.sizeBytes == 1 })
            listed += page.map(\.location)
        }
        #expect(listed == listed.sorted() && Set(listed) == expected && listed.count == 40)
    }

    /// What a crash can leave: a part of an upload; a whole one that was not renamed; a stored one without its row.
    @Test func abandonedUploadsAreSwept() async throws {
        let incoming = directory.file("blobs/incoming")
        for (name, age) in [("old", 7200.0), ("older", 90_000), ("young", 60)] {
            let path = incoming + "/" + name
            _ = FileManager.default.createFile(atPath: path, contents: Data(random.bytes(10)))
            let date = Date(timeIntervalSince1970: 1_750_000_000 - age)
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        }
        let stored = try await put([1])
        let moment = Timestamp(seconds: 1_750_000_000 - 3600)
        #expect(try await store.removeAbandoned(before: moment) == 2)
        #expect(try files().sorted() == ["incoming/young", "stored/" + stored.location.string])
        // A store opened on what a crash left works on.
        let again = try DiskBlobStore(path: directory.file("blobs"), randomness: SeededRandomness(seed: 6))
        #expect(try await again.list(after: nil, limit: 5).map(\.location) == [stored.location])
    }

    @Test func onlyLocationsOfAStoreAreTaken() async throws {
        let good = try await put([1]).location.string
        let parts = good.split(separator: "/").map(String.init)
        for wrong in [
            "", "/", "//", good + "/", "/" + good, good + "x", String(good.dropLast()), good.uppercased(),
            "../../../etc/passwd", "aa/" + parts[1] + "/" + parts[2], parts[0] + "/" + parts[1] + "/../key",
            parts[0] + "/" + parts[1] + "/" + parts[2].replacing("-", with: "/"), good.replacing("-", with: "--"),
            good + "\0", parts[0] + "/" + parts[1] + "/-" + parts[2].suffix(13),
        ] {
            #expect(throws: BlobStoreError.invalidLocation, "\(wrong)") { try BlobLocation(parsing: wrong) }
        }
        let evil = try DID(parsing: "did:web:..%2F..%2Fetc")
        let blob = try await put([2], for: evil)
        #expect(try BlobLocation(parsing: blob.location.string) == blob.location)
    }

    @Test func aTruncatedFileIsNoticed() async throws {
        let blob = try await put(random.bytes(600_000))
        let contents = try await store.read(blob.location, range: nil)
        truncate(directory.file("blobs/stored/") + blob.location.string, 300_000)
        await #expect(throws: BlobStoreError.damaged) { for try await _ in contents {} }
    }
}

extension Array where Element: Sendable {
    func asAsync() -> AsyncStream<Element> {
        AsyncStream { continuation in
            for element in self { continuation.yield(element) }
            continuation.finish()
        }
    }
}
