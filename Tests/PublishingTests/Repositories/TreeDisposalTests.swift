import ATProtocol
import Base
import Logging
import Storage
import Testing

@testable import Publishing

/// Trees that another process may be laying down are left alone until their age tells that nobody is.
@Suite struct TreeDisposalTests {
    private func trees(_ house: House) async throws -> [Int64] {
        try await house.database.read { scope in
            try scope.query("SELECT tree FROM tree_disposal ORDER BY tree", []).map { try $0.integer(0) }
        }
    }

    @Test func onlyAgeTellsWhatWasLeftBehind() async throws {
        let house = try await House()
        let did = try await house.account(1)
        let before = try #require(try await house.database.read { try RepositoryStore.repository(did, in: $0) })
        let disposal = TreeDisposal(database: house.database, clock: house.clock, logger: Logger(label: "test"))
        let begun = house.clock.now()
        let tree = try await house.database.write { try RepositoryStore.beginTree(now: begun, in: $0) }
        try await disposal.round()
        #expect(try await trees(house) == [tree])

        house.clock.advance(by: TreeDisposal.abandonedAfter + .seconds(1))
        let late = try await house.database.write { try RepositoryStore.beginTree(now: house.clock.now(), in: $0) }
        try await disposal.round()
        #expect(try await trees(house) == [late])
        // Whoever was late after all does not put a tree in place whose rows are gone.
        let head = try Commit(bytes: before.commitBytes)
        let adopted = try await house.database.write {
            try RepositoryStore.adopt(tree, commit: head, recordCount: 0, nodeCount: 1, over: before, in: $0)
        }
        #expect(!adopted)
        #expect(try await house.database.read { try RepositoryStore.repository(did, in: $0) }?.tree == before.tree)
        await house.discard()
    }
}
