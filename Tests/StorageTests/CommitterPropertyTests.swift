import ATProtocol
import Base
import Storage
import Synchronization
import TestDatabases
import Testing

/// Many tasks at once, with bodies that fail at every stage: what remains is what the successful ones did, in one order.
@Suite struct CommitterPropertyTests {
    private static let insert = "INSERT INTO note (id, body) VALUES ($1, $2)"

    @Test(arguments: Engine.all, 1...15)
    func whatRemainsIsWhatSucceeded(_ engine: Engine, seed: UInt64) async throws {
        let random = SeededRandomness(seed: seed)
        var options = TestOptions()
        options.groupMax = 1 + random.below(40)
        options.sqlite.checkpointSizeBytes = 64 << 10
        let store = try await TestStore(engine, options: options)
        let log = try await EventLog.open(store.database)
        let (database, published) = (store.database, Ran())
        let results = await outcomes(
            (0..<200).map { id in
                let (isAppend, failsEarly, failsLate) = (random.oneIn(2), random.oneIn(8), random.oneIn(8))
                let clashes = random.oneIn(8) && id > 0
                let size = random.below(3000)
                return { @Sendable in
                    let body: @Sendable (any WriteScope) throws -> Int64 = { scope in
                        if failsEarly { throw Refusal(reason: id) }
                        let text = "\(id) " + String(repeating: "p", count: size)
                        try scope.execute(Self.insert, [.integer(id), .text(text)])
                        let seq = try log.append(
                            EventLogTests.entry(bytes: [UInt8](repeating: 1, count: size)), in: scope)
                        scope.afterCommit { published.add(id) }
                        if clashes { try scope.execute(Self.insert, [.integer(id), .text("again")]) }
                        if failsLate { throw Refusal(reason: -id) }
                        return seq
                    }
                    return isAppend ? try await database.append(body) : try await database.write(body)
                }
            })
        var expected: [Int64: Int] = [:]
        for (id, result) in results.enumerated() {
            guard case .success(let seq) = result else { continue }
            #expect(expected.updateValue(id, forKey: seq) == nil, "seed \(seed): number \(seq) was given twice")
        }
        let inOrder = expected.sorted { $0.key < $1.key }
        let notes = try await database.read {
            try $0.query("SELECT id FROM note ORDER BY id").map { try $0.integer(0) }
        }
        let events = try await EventLogTests.all(log, limit: 1 + random.below(50))
        #expect(notes == expected.values.sorted().map(Int64.init), "seed \(seed)")
        #expect(events.map(\.seq) == inOrder.map(\.key), "seed \(seed)")
        #expect(published.all == inOrder.map(\.value), "seed \(seed)")
        let reopened = try await store.reopened()
        let fresh = try await EventLog.open(reopened.database)
        #expect(try await EventLogTests.all(fresh) == events, "seed \(seed)")
        #expect(fresh.head >= events.last?.seq ?? 0, "seed \(seed)")
        await reopened.database.close()
    }
}
