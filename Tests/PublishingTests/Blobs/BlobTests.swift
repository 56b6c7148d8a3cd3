import ATProtocol
import Base
import Contracts
import Publishing
import Storage
import Testing

@Suite struct BlobTests {
    private func bytes(_ content: [UInt8]) -> AsyncThrowingStream<[UInt8], any Error> {
        RepositoryImportTests.stream(content)
    }

    private func read(_ house: House, _ cid: CID, _ did: DID, range: Range<Int64>? = nil) async throws -> [UInt8] {
        let row = try await house.blobs.blob(cid, of: did, for: .anonymous)
        var content: [UInt8] = []
        for try await piece in try await house.blobs.contents(row, range: range) { content += piece }
        return content
    }

    private func write(_ house: House, _ did: DID, key: String, blob: BlobReference?) async throws {
        let record: DataValue = blob.map { ["file": $0.value] } ?? ["n": 1]
        let write = RepositoryWriterTests.write(.put(key: try RecordKey(parsing: key), record: record))
        _ = try await house.writer.apply([write], to: did, by: house.caller(did))
    }

    @Test func aBlobLivesAsLongAsRecordsMentionIt() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let content = Array("hello, blob".utf8)
        let blob = try await house.blobs.upload(bytes(content), declaredType: "text/plain", for: did)
        #expect(blob.cid == CID.of(raw: content) && blob.sizeBytes == 11 && blob.mimeType == "text/plain")
        await #expect(throws: BlobError.notFound, "temporary blobs are not served") {
            try await read(house, blob.cid, did)
        }
        try await write(house, did, key: "a", blob: blob)
        try await write(house, did, key: "b", blob: blob)
        #expect(try await read(house, blob.cid, did) == content)
        #expect(try await read(house, blob.cid, did, range: 7..<11) == Array("blob".utf8))
        #expect(try await house.blobs.list(did, since: nil, cursor: nil, limit: 10, for: .anonymous) == [blob.cid])
        try await write(house, did, key: "a", blob: nil)
        #expect(try await read(house, blob.cid, did) == content)
        try await write(house, did, key: "b", blob: nil)
        await #expect(throws: BlobError.notFound) { try await read(house, blob.cid, did) }
        #expect(try await house.blobs.sweep() == 1)
        await house.discard()
    }

    /// The counters of `figures` against a count of what they stand for.
    @Test func figuresAreTrue() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let seed = SystemRandomness().uint64()
        let random = SeededRandomness(seed: seed)
        var blobs: [BlobReference] = []
        func check(_ line: String) async throws {
            let figures = try #require(try await house.service.figures(of: did))
            let row = try #require(try await house.service.head(of: did))
            let counts = try await house.database.read { scope in
                try [
                    "SELECT COUNT(*) FROM record r JOIN repository p ON p.tree = r.tree",
                    "SELECT COUNT(*) FROM node n JOIN repository p ON p.tree = n.tree",
                    "SELECT COUNT(DISTINCT f.cid) FROM blob_reference f JOIN repository p ON p.tree = f.tree",
                    "SELECT COUNT(*) FROM blob",
                ].map { try scope.first($0)?.integer(0) ?? 0 }
            }
            #expect(figures.head == row)
            #expect(
                [
                    figures.recordCount, figures.blockCount - 1 - figures.recordCount, figures.expectedBlobCount,
                    figures.heldBlobCount,
                ] == counts, "seed \(seed): \(line)")
        }
        try await check("empty")
        #expect(try await house.service.figures(of: did)?.blockCount == 2)
        for step in 0..<60 {
            if blobs.isEmpty || step % 4 == 0 {
                let content: [UInt8] = [UInt8(step)]
                blobs.append(try await house.blobs.upload(bytes(content), declaredType: "text/plain", for: did))
            }
            let key = "k\(random.uint64() % 6)"
            let isPlain = random.uint64() % 3 == 0
            let blob = isPlain ? nil : blobs[Int(random.uint64() % UInt64(blobs.count))]
            do {
                try await write(house, did, key: key, blob: blob)
            } catch RepositoryWriteError.blobNotFound {
                // It went with its last mention.
            }
            try await check("step \(step): \(key)")
        }
        let archive = try await house.archive(did)
        let expected = try await house.service.figures(of: did)?.expectedBlobCount
        _ = try await house.imports.run(
            RepositoryImportTests.stream(archive), did: did, by: .owner)
        #expect(try await house.service.figures(of: did)?.expectedBlobCount == expected)
        try await check("imported")
        await house.discard()
    }

    @Test func mentionsMustMatchTheUpload() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let missing = BlobReference(cid: CID.of(raw: [1, 2] as [UInt8]), mimeType: "text/plain", sizeBytes: 2)
        await #expect(throws: RepositoryWriteError.blobNotFound(missing.cid)) {
            try await write(house, did, key: "a", blob: missing)
        }
        var blob = try await house.blobs.upload(bytes([1, 2, 3]), declaredType: "text/plain", for: did)
        blob.sizeBytes = 4
        await #expect(throws: RepositoryWriteError.self) { try await write(house, did, key: "a", blob: blob) }
        let stranger = try await house.account(2)
        blob.sizeBytes = 3
        await #expect(throws: RepositoryWriteError.self) { try await write(house, stranger, key: "a", blob: blob) }
        await #expect(throws: BlobError.empty) {
            try await house.blobs.upload(bytes([]), declaredType: nil, for: did)
        }
        await house.discard()
    }

    @Test func uploadsNobodyMentionsGo() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let blob = try await house.blobs.upload(bytes([1, 2, 3]), declaredType: nil, for: did)
        #expect(try await house.blobs.sweep() == 0)
        house.clock.advance(by: .seconds(25 * 3600))
        #expect(try await house.blobs.sweep() == 1)
        await #expect(throws: RepositoryWriteError.self) { try await write(house, did, key: "a", blob: blob) }
        await house.discard()
    }

    @Test func anAccountHoldsItsShare() async throws {
        var limits = BlobLimits()
        #expect(limits.accountSizeBytesMax > limits.sizeBytesMax, "there is a bound unless one is set")
        limits.accountSizeBytesMax = 10
        let house = try await House(blobLimits: limits)
        let did = try await house.account(1)
        let first = try await house.blobs.upload(bytes([1, 2, 3, 4, 5, 6]), declaredType: nil, for: did)
        let refusal = BlobError.overQuota(sizeBytesMax: 10)
        await #expect(throws: refusal) {
            try await house.blobs.upload(bytes([1, 2, 3, 4, 5]), declaredType: nil, for: did)
        }
        #expect(refusal.wire.status == 413 && refusal.wire.error == "QuotaExceeded")
        let again = try await house.blobs.upload(bytes([1, 2, 3, 4, 5, 6]), declaredType: nil, for: did)
        #expect(again == first, "what is held already takes no more room")
        _ = try await house.blobs.upload(bytes([1, 2, 3, 4]), declaredType: nil, for: did)
        await #expect(throws: refusal) { try await house.blobs.upload(bytes([9]), declaredType: nil, for: did) }
        // Another account has its own share, and what goes makes room.
        let other = try await house.account(2)
        _ = try await house.blobs.upload(bytes([9]), declaredType: nil, for: other)
        house.clock.advance(by: .seconds(25 * 3600))
        _ = try await house.blobs.sweep()
        _ = try await house.blobs.upload(bytes([9]), declaredType: nil, for: did)
        await house.discard()
    }

    @Test func theTypeIsWhatTheBytesSay() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0]
        let blob = try await house.blobs.upload(bytes(png), declaredType: "text/html", for: did)
        #expect(blob.mimeType == "image/png")
        await house.discard()
    }

    /// What a client calls its bytes is kept only when it is one media type.
    @Test(arguments: [
        ("text/plain", "text/plain"), (" Text/PLAIN ; charset=utf-8", "text/plain"),
        ("application/vnd.x+json", "application/vnd.x+json"), ("*/*", "application/octet-stream"),
        ("image/*", "application/octet-stream"), ("junk", nil), ("", nil), ("a/", nil), ("/b", nil), ("*/b", nil),
        ("image/png, text/html", nil), ("a/b/c", nil), ("a/b c", nil),
        ("a/" + String(repeating: "b", count: 3000), nil),
    ])
    func declaredTypesAreParsed(declared: String, kept: String?) async throws {
        let house = try await House()
        let did = try await house.account(1)
        if let kept {
            let blob = try await house.blobs.upload(bytes([1, 2, 3]), declaredType: declared, for: did)
            #expect(blob.mimeType == kept)
        } else {
            await #expect(throws: BlobError.invalidType) {
                try await house.blobs.upload(bytes([1, 2, 3]), declaredType: declared, for: did)
            }
        }
        await house.discard()
    }
}
