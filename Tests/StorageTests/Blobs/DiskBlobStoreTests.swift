import ATProtocol
import Base
import Foundation
import Storage
import TestDatabases
import Testing

/// What only files can show; the contract of every store is in BlobStoreContractTests.
@Suite struct DiskBlobStoreTests {
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
