import ATProtocol
import App
import Base
import Foundation
import TestDatabases
import Testing

@testable import Storage

/// The stores that the contract is tested on.
enum BlobStoreKind: String, CaseIterable, CustomTestStringConvertible {
    case disk
    /// A bucket in memory, whose pages and parts are tiny.
    case memory
    /// A real server, where `KITH_TEST_S3_URL` names one.
    case server

    static let present: [BlobStoreKind] = allCases.filter { $0 != .server || TestServerBucket.url != nil }

    var testDescription: String { rawValue }
}

/// A bucket on a real server, e.g. moto's (`scripts/with-s3`).
enum TestServerBucket {
    static let url = ProcessInfo.processInfo.environment["KITH_TEST_S3_URL"]
    static let credentials = S3Credentials(accessKey: "testing", secretKey: "testing-secret")

    /// A place of its own in the bucket.
    static func location(_ name: String) throws -> S3Location {
        let parts = try #require(url).split(separator: "?", maxSplits: 1)
        return try S3Location(parsing: "\(parts[0])/\(name)?\(parts[1])")
    }
}

/// An empty store and a look behind its back.
struct StoreUnderTest {
    let store: any BlobStore
    private let random: SeededRandomness
    /// Every key there is, e.g. `stored/…`, in order.
    let keys: @Sendable () async throws -> [String]
    private let directory: ScratchDirectory

    init(_ kind: BlobStoreKind, seed: UInt64 = 5) async throws {
        random = SeededRandomness(seed: seed)
        directory = try ScratchDirectory()
        let root = directory.file("blobs")
        switch kind {
        case .disk:
            store = try DiskBlobStore(path: root, randomness: random)
            keys = {
                try FileManager.default.subpathsOfDirectory(atPath: root).filter { path in
                    var isDirectory: ObjCBool = false
                    return FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isDirectory)
                        && !isDirectory.boolValue
                }.sorted()
            }
        case .memory:
            let bucket = MemoryBucket()
            store = try bucket.store(spool: directory, randomness: random)
            keys = { bucket.keys.map { String($0.dropFirst(MemoryBucket.prefix.count)) } }
        case .server:
            let location = try TestServerBucket.location(Hex.encode(SystemRandomness().bytes(6)))
            let transport = try BucketTransport(location, userAgent: "test", limits: S3Limits())
            let opened = S3BlobStore(
                location, credentials: TestServerBucket.credentials, transport: transport,
                spoolDirectory: directory.path, clock: SystemClock(), randomness: SystemRandomness())
            try await opened.check()
            store = opened
            let bucket = opened.bucket
            keys = {
                let found = Kept<String>()
                try await bucket.list(location.prefix, after: nil, pageSize: 1000) { page in
                    for object in page { found.keep(String(object.key.dropFirst(location.prefix.count))) }
                    return true
                }
                return found.all
            }
        }
    }

    func put(
        _ bytes: [UInt8], chunk: Int = 1000, for did: DID = EventLogTests.alice, sizeBytesMax: Int64 = 1 << 20
    ) async throws -> StoredBlob {
        let chunks = stride(from: 0, to: bytes.count, by: chunk).map { Array(bytes[$0..<min($0 + chunk, bytes.count)]) }
        return try await store.put(chunks.asAsync(), for: did, sizeBytesMax: sizeBytesMax)
    }

    func bytes(_ location: BlobLocation, _ range: Range<Int64>? = nil) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in try await store.read(location, range: range) {
            #expect(!chunk.isEmpty && chunk.count <= 256 << 10)
            bytes += chunk
        }
        return bytes
    }
}
