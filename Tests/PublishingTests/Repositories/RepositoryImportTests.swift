import ATProtocol
import Base
import Contracts
import Foundation
import Publishing
import Storage
import Testing

@Suite struct RepositoryImportTests {
    static func stream(_ bytes: [UInt8], pieceBytes: Int = 1000) -> AsyncThrowingStream<[UInt8], any Error> {
        AsyncThrowingStream { continuation in
            for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
                continuation.yield(Array(bytes[start..<min(start + pieceBytes, bytes.count)]))
            }
            continuation.finish()
        }
    }

    /// A repository of `count` records and its archive.
    private func source(_ house: House, count: Int) async throws -> (did: DID, archive: [UInt8]) {
        let did = try await house.account(1)
        for start in stride(from: 0, to: count, by: 200) {
            let writes = (start..<min(start + 200, count)).map { number in
                RepositoryWriterTests.write(
                    .create(key: RecordKey(TID(value: UInt64(number) << 10)), record: ["n": .integer(Int64(number))]))
            }
            _ = try await house.writer.apply(writes, to: did, by: house.caller(did))
        }
        return (did, try await house.archive(did))
    }

    @Test func anArchiveComesBackWithTheSameRoot() async throws {
        let house = try await House()
        let (did, archive) = try await source(house, count: 1500)
        let before = try #require(try await house.service.head(of: did))
        let away = try await House()
        #expect(try await away.account(1) == did)
        let outcome = try await away.imports.run(Self.stream(archive), did: did, announced: true)
        #expect(outcome.data == before.data && outcome.recordCount == 1500)
        let again = Set(try CARReader.read(try await away.archive(did)).blocks.map(\.cid))
        let original = Set(try CARReader.read(archive).blocks.map(\.cid))
        #expect(again.subtracting([outcome.commit]) == original.subtracting([before.commit]))
        // Writing goes on where the import ended.
        let write = RepositoryWriterTests.write(.create(key: nil, record: [:]))
        let next = try await away.writer.apply([write], to: did, by: away.caller(did))
        #expect(try #require(next.rev) > outcome.rev)
        await house.discard()
        await away.discard()
    }

    @Test(arguments: 0..<60) func aDamagedArchiveChangesNothing(seed: UInt64) async throws {
        let house = try await House()
        let (did, archive) = try await source(house, count: 30)
        let before = try await house.service.head(of: did)
        let events = try await house.events().count
        let random = SeededRandomness(seed: seed)
        var damaged = archive
        if seed % 4 == 0 {
            damaged = Array(damaged[..<random.below(damaged.count)])
        } else {
            damaged[random.below(damaged.count)] ^= 1 << UInt8(random.below(8))
        }
        await #expect(throws: (any Error).self, "seed \(seed)") {
            try await house.imports.run(Self.stream(damaged), did: did, announced: true)
        }
        #expect(try await house.service.head(of: did) == before)
        #expect(try await house.events().count == events)
        #expect(try await house.archive(did) == archive)
        await house.discard()
    }

    @Test func someoneElsesArchiveIsRefused() async throws {
        let house = try await House()
        let (_, archive) = try await source(house, count: 3)
        let other = try await house.account(2)
        await #expect(throws: RepositoryError.self) {
            try await house.imports.run(Self.stream(archive), did: other, announced: true)
        }
        await house.discard()
    }
}
