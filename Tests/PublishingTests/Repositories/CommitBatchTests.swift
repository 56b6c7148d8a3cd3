import ATProtocol
import Base
import Contracts
import Publishing
import Storage
import Testing

/// Commits of one repository that go to disk together leave the rows that they would have left one by one.
@Suite struct CommitBatchTests {
    private typealias Writer = RepositoryWriterTests

    /// What one of many writers tries, again and again over few keys, so that nodes vanish and come back.
    private func tries(_ random: SeededRandomness) throws -> [RecordWrite] {
        if random.oneIn(9) {
            let missing = BlobReference(cid: CID.of(raw: [9] as [UInt8]), mimeType: "a/b", sizeBytes: 1)
            return [Writer.write(.create(key: nil, record: ["file": missing.value]))]
        }
        return try (0...random.below(2)).map { number in
            let key = try RecordKey(parsing: "k\(number)\(random.below(12))")
            if random.oneIn(2) { return Writer.write(.delete(key: key, mustExist: false)) }
            return Writer.write(.put(key: key, record: Writer.record(random.below(2))))
        }
    }

    /// - Parameter processes: as many writers that know nothing of each other work on the database.
    @Test(arguments: 0..<8, [1, 3]) func theRowsAreThoseOfTheTree(seed: UInt64, processes: Int) async throws {
        let house = try await House()
        let doors = try [house.writer] + (1..<processes).map { try house.anotherWriter(seed: UInt64($0)) }
        let did = try await house.account(1)
        let key = try #require(house.keys.key(of: did))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<24 {
                let random = SeededRandomness(seed: seed << 8 | UInt64(writer))
                group.addTask {
                    for _ in 0..<12 {
                        do {
                            _ = try await doors[writer % processes].apply(
                                try tries(random), to: did, by: house.caller(did))
                        } catch RepositoryWriteError.blobNotFound {}
                    }
                }
            }
            try await group.waitForAll()
        }
        var last: (rev: TID, data: CID)?
        for event in try await house.events() { last = try Writer.accept(event, after: last, key: key) }
        let head = try #require(try await house.service.head(of: did))
        #expect(head.data == last?.data, "seed \(seed)")

        let (roots, blocks) = try CARReader.read(try await house.archive(did))
        let records = try await house.database.read { scope in
            try scope.query("SELECT cid FROM record", []).map { try $0.blob(0) }
        }
        let nodes = try await house.database.read { scope in
            try scope.query("SELECT cid FROM node", []).map { try $0.blob(0) }
        }
        let counted = try await house.database.read { scope in
            try scope.query("SELECT record_count, node_count FROM repository", []).map {
                [Int(try $0.integer(0)), Int(try $0.integer(1))]
            }
        }
        let expected = Set(blocks.map(\.cid.bytes)).subtracting(records).subtracting(roots.map(\.bytes))
        #expect(Set(nodes) == expected, "seed \(seed)")
        #expect(counted == [[records.count, nodes.count]], "seed \(seed)")
        await house.discard()
    }
}
