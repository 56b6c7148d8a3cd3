import Storage
import TestDatabases
import Testing

/// Questions that are asked ahead of the bodies that will ask them.
@Suite struct AskingAheadTests {
    private static let question = "SELECT body FROM note WHERE id = $1"
    private static let insert = "INSERT INTO note (id, body) VALUES ($1, $2)"

    private static func submit<T: Sendable>(
        _ database: any Database, asking id: Int64, _ body: @escaping @Sendable (any WriteScope) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            database.submit(
                body, failing: .early, asking: [{ _ = try $0.first(question, [.integer(id)]) }],
                settled: { continuation.resume(with: $0) })
        }
    }

    /// Whatever ran in between: the answer is that of the moment at which the body asks.
    @Test(arguments: Engine.all) func answersAreThoseOfTheMoment(_ engine: Engine) async throws {
        var options = TestOptions()
        options.groupDurationMax = .seconds(60)
        let store = try await TestStore(engine, options: options)
        for id: Int64 in 1...4 { try await store.insert(id, "first of \(id)") }
        let results = try await Gate.holding(store.database, queued: 60) { database in
            await outcomes(
                (0..<60).map { number in
                    { @Sendable in
                        let id = Int64(number % 4 + 1)
                        if number % 5 == 0 {
                            return try await database.write { scope in
                                try scope.execute(
                                    "UPDATE note SET body = $2 WHERE id = $1", [.integer(id), .text("\(number)")])
                                return true
                            }
                        }
                        return try await Self.submit(database, asking: id) { scope in
                            let asked = try scope.first(Self.question, [.integer(id)])?.text(0)
                            let now = try scope.first("SELECT body, id FROM note WHERE id = $1", [.integer(id)])?.text(
                                0)
                            // Seen by those who ask the same after this one.
                            try scope.enqueueForOneRow(
                                "UPDATE note SET body = $2 WHERE id = $1", [.integer(id), .text("\(number)")])
                            return asked == now
                        }
                    }
                })
        }
        for result in results { #expect(try result.get()) }
        #expect(store.database.statistics().groupsReplayed == 0)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func whatChangesAnotherNumberOfRowsFailsAlone(_ engine: Engine) async throws {
        var options = TestOptions()
        options.groupDurationMax = .seconds(60)
        let store = try await TestStore(engine, options: options)
        let results = try await Gate.holding(store.database, queued: 10) { database in
            await outcomes(
                (1...10).map { id in
                    { @Sendable in
                        try await Self.submit(database, asking: Int64(id)) { scope in
                            try scope.enqueue(Self.insert, [.integer(id), .text("\(id)")])
                            let target = id == 7 ? 1000 : id
                            try scope.enqueueForOneRow(
                                "UPDATE note SET body = body WHERE id = $1", [.integer(target)])
                        }
                    }
                })
        }
        for (index, result) in results.enumerated() { #expect(((try? result.get()) == nil) == (index == 6)) }
        #expect(try await store.bodies().count == 9)
        await store.database.close()
    }
}
