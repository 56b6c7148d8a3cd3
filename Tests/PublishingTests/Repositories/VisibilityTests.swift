import ATProtocol
import Contracts
import Publishing
import Testing

/// What strangers may learn of repositories whose accounts aren't active.
@Suite struct VisibilityTests {
    /// Somebody who waits to be let in, or was turned away, is nobody to the world.
    @Test(arguments: [AccountStatus.pending, .rejected])
    func accountsThatWereNeverLetInAreNotShown(status: AccountStatus) async throws {
        let house = try await House()
        let (known, hidden) = (try await house.account(1), try await house.account(2))
        for did in [known, hidden] {
            let write = RepositoryWriterTests.write(.create(key: nil, record: RepositoryWriterTests.record(1)))
            _ = try await house.writer.apply([write], to: did, by: house.caller(did))
        }
        house.accounts.set(status, of: hidden)
        let reader = house.reader
        let all = try await reader.list(cursor: nil, limit: 100).entries
        #expect(all.map { $0["did"]?.stringValue } == [known.string])
        #expect(try await reader.list(with: RepositoryWriterTests.collection, cursor: nil, limit: 9).dids == [known])
        await #expect(throws: RepositoryReadError.repositoryNotFound) { try await reader.status(hidden) }
        await #expect(throws: RepositoryReadError.repositoryNotFound) { try await reader.describe(.did(hidden)) }
        await #expect(throws: RepositoryReadError.repositoryNotFound) {
            try await reader.repository(hidden, for: .anonymous)
        }
        await #expect(throws: RepositoryReadError.repositoryNotFound) {
            try await house.blobs.list(hidden, since: nil, cursor: nil, limit: 9, for: house.caller(known))
        }
        #expect(try await reader.repository(hidden, for: .operator).did == hidden)
        await house.discard()
    }

    /// What the network was told of stays known: its state says why nothing is served.
    @Test(arguments: [AccountStatus.deactivated, .suspended, .takendown, .disabled])
    func othersAreListedWithTheirState(status: AccountStatus) async throws {
        let house = try await House()
        let did = try await house.account(1)
        house.accounts.set(status, of: did)
        let listed = try #require(try await house.reader.list(cursor: nil, limit: 100).entries.first)
        #expect(listed["active"] == false && listed["status"]?.stringValue == status.hosting.wireName)
        #expect(try await house.reader.status(did).status == status.hosting)
        await #expect(throws: RepositoryReadError.repositoryInactive(status.hosting)) {
            try await house.reader.repository(did, for: .anonymous)
        }
        // `repo.*` does not tell states apart.
        let identifier = ATIdentifier.did(did)
        await #expect(throws: RepositoryReadError.invalidRequest("Could not find repo: \(did)")) {
            try await house.reader.records(
                identifier, RepositoryWriterTests.collection, cursor: nil, isAscending: false, limit: 1)
        }
        await house.discard()
    }

    @Test func blocksAskedForAtOnceAreBounded() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let head = try #require(try await house.service.head(of: did)).commit
        let most = [CID](repeating: head, count: RepositoryExport.blockCountMax)
        #expect(try CARReader.read(try await house.export.blocks(most, of: did)).blocks.count == most.count)
        await #expect(throws: RepositoryReadError.self) { try await house.export.blocks(most + [head], of: did) }
        await house.discard()
    }
}
