import ATProtocol
import Base
import Contracts
import Foundation
import Publishing
import Storage
import Synchronization
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
        let outcome = try await away.imports.run(Self.stream(archive), did: did, by: .owner)
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
            try await house.imports.run(Self.stream(damaged), did: did, by: .owner)
        }
        #expect(try await house.service.head(of: did) == before)
        #expect(try await house.events().count == events)
        #expect(try await house.archive(did) == archive)
        await house.discard()
    }

    /// An account taken down while its archive arrives: neither the tree nor an event lands behind the takedown.
    @Test(arguments: AccountStatus.allCases)
    func standingIsJudgedWhenTheTreeIsAdopted(status: AccountStatus) async throws {
        let house = try await House()
        let (did, archive) = try await source(house, count: 700)
        let (events, head) = (try await house.events().count, try await house.service.head(of: did))
        house.keys.asked.withLock { $0 = { house.accounts.set(status, of: did) } }
        switch status {
        case .approved, .deactivated:
            _ = try await house.imports.run(Self.stream(archive), did: did, by: .owner)
        case .pending, .rejected, .disabled, .suspended, .takendown, .confined:
            await #expect(throws: RepositoryWriteError.inactive(status)) {
                try await house.imports.run(Self.stream(archive), did: did, by: .owner)
            }
            #expect(try await house.service.head(of: did) == head)
            _ = try await house.imports.run(Self.stream(archive), did: did, by: .operator)
        }
        #expect(try await house.events().count == events + (status == .approved ? 1 : 0))
        await house.discard()
    }

    /// Whoever is active doesn't lose what they said since by an archive from before it.
    @Test func anOlderArchiveTakesADeactivatedAccount() async throws {
        let house = try await House()
        let (did, archive) = try await source(house, count: 3)
        let write = RepositoryWriterTests.write(.create(key: nil, record: [:]))
        _ = try await house.writer.apply([write], to: did, by: house.caller(did))
        let head = try #require(try await house.service.head(of: did))
        await #expect(throws: RepositoryImportError.older(than: head.rev)) {
            try await house.imports.run(Self.stream(archive), did: did, by: .owner)
        }
        #expect(try await house.service.head(of: did) == head)
        // The present one may be laid anew, and the operator may go back.
        _ = try await house.imports.run(Self.stream(try await house.archive(did)), did: did, by: .owner)
        #expect(try await house.imports.run(Self.stream(archive), did: did, by: .operator).recordCount == 3)
        house.accounts.set(.deactivated, of: did)
        #expect(try await house.imports.run(Self.stream(archive), did: did, by: .owner).recordCount == 3)
        await house.discard()
    }

    /// One import into a repository at a time, and no more memory than there is for all of them.
    @Test func importsAreAdmittedWithinBounds() async throws {
        var limits = ImportLimits()
        limits.blockCountMax = 20
        let house = try await House(importLimits: limits)
        let (did, archive) = try await source(house, count: 100)
        let other = try await house.account(2)
        let (held, hold) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
        let arrived = AsyncStream<Void>.makeStream()
        let waiting = held.map { piece in
            arrived.continuation.yield()
            return piece
        }
        async let first = house.imports.run(waiting, did: did, by: .owner)
        hold.yield(Array(archive.prefix(10)))
        for await _ in arrived.stream { break }
        await #expect(throws: RepositoryImportError.underway) {
            try await house.imports.run(Self.stream(archive), did: did, by: .owner)
        }
        await #expect(throws: RepositoryImportError.overloaded) {
            try await house.imports.run(Self.stream(archive), did: other, by: .owner)
        }
        hold.yield(Array(archive.dropFirst(10)))
        hold.finish()
        #expect(try await first.recordCount == 100)
        _ = try await house.imports.run(Self.stream(archive), did: did, by: .owner)
        await house.discard()
    }

    @Test func someoneElsesArchiveIsRefused() async throws {
        let house = try await House()
        let (_, archive) = try await source(house, count: 3)
        let other = try await house.account(2)
        await #expect(throws: RepositoryError.self) {
            try await house.imports.run(Self.stream(archive), did: other, by: .owner)
        }
        await house.discard()
    }
}
