import Base
import Storage
import Synchronization
import TestDatabases
import Testing

@Suite struct CommitterTests {
    private static let insert = "INSERT INTO note (id, body) VALUES ($1, $2)"

    /// Groups that end for no reason but the test's own, however slow the machine is.
    private static var patient: TestOptions {
        var options = TestOptions()
        options.groupDurationMax = .seconds(60)
        return options
    }

    @Test(arguments: Engine.all) func writesThatWaitShareOneGroup(_ engine: Engine) async throws {
        let store = try await TestStore(engine, options: Self.patient)
        let before = store.database.statistics()
        try await Gate.holding(store.database, queued: 100) { database in
            let results = await outcomes(
                (1...100).map { id in
                    { @Sendable in
                        try await database.append { try $0.execute(Self.insert, [.integer(id), .text("\(id)")]) }
                    }
                })
            for result in results { #expect((try? result.get()) == 1) }
        }
        let after = store.database.statistics()
        #expect(after.groups - before.groups == 2)
        #expect(after.items - before.items == 101)
        #expect(after.largestGroup == 100)
        #expect(try await store.bodies().count == 100)
        await store.database.close()
    }

    @Test(arguments: Engine.all, [true, false])
    func aBodyThatThrowsAfterItsChangesLosesOnlyThose(_ engine: Engine, usesAppend: Bool) async throws {
        let store = try await TestStore(engine, options: Self.patient)
        let results = try await Gate.holding(store.database, queued: 9) { database in
            await outcomes(
                (1...9).map { id in
                    { @Sendable in
                        let body: @Sendable (any WriteScope) throws -> Int = { scope in
                            try scope.execute(Self.insert, [.integer(id), .text("\(id)")])
                            if id % 3 == 0 { throw Refusal(reason: id) }
                            return id
                        }
                        return usesAppend ? try await database.append(body) : try await database.write(body)
                    }
                })
        }
        for (index, result) in results.enumerated() {
            let id = index + 1
            switch result {
            case .success(let value): #expect(value == id && id % 3 != 0)
            case .failure(let error): #expect(error as? Refusal == Refusal(reason: id))
            }
        }
        #expect(try await Set(store.bodies()) == ["1", "2", "4", "5", "7", "8"])
        #expect(store.database.statistics().groupsReplayed == (usesAppend ? 1 : 0))
        #expect(store.database.statistics().itemsFailed == 3)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func anAppendThatThrowsBeforeItsFirstChangeCostsNoReplay(_ engine: Engine) async throws
    {
        let store = try await TestStore(engine)
        await #expect(throws: Refusal(reason: 1)) {
            try await store.database.append { scope in
                _ = try scope.query("SELECT id FROM note")
                throw Refusal(reason: 1)
            }
        }
        // A statement that a constraint refuses has changed nothing.
        try await store.insert(1, "one")
        await #expect(throws: StorageError.self) {
            try await store.database.append { try $0.execute(Self.insert, [1, "again"]) }
        }
        // On PostgreSQL, though, the whole transaction is lost with it.
        #expect(store.database.statistics().groupsReplayed == (engine == .sqlite ? 0 : 1))
        #expect(try await store.bodies() == ["one"])
        await store.database.close()
    }

    /// What is sent without waiting may fail when its body is long over: still nobody but that body fails.
    @Test(arguments: Engine.all, [true, false])
    func whatFailsBehindItsBodyFailsThatBodyAlone(_ engine: Engine, usesAppend: Bool) async throws {
        let store = try await TestStore(engine, options: Self.patient)
        let results = try await Gate.holding(store.database, queued: 12) { database in
            await outcomes(
                (1...12).map { id in
                    { @Sendable in
                        let body: @Sendable (any WriteScope) throws -> Int = { scope in
                            try scope.enqueue(Self.insert, [.integer(id), .text(id % 4 == 0 ? "same" : "\(id)")])
                            if id % 5 == 0 { _ = try scope.first("SELECT count(*) FROM note") }
                            return id
                        }
                        return usesAppend ? try await database.append(body) : try await database.write(body)
                    }
                })
        }
        var failed: [StorageError] = []
        for result in results {
            if case .failure(let error) = result { failed.append(try #require(error as? StorageError)) }
        }
        #expect(failed.count == 2)
        for error in failed {
            guard case .constraintViolation(.unique, _) = error else { throw error }
        }
        #expect(try await store.bodies().count == 10)
        await store.database.close()
    }

    /// Engines differ in what a transaction is worth after that; bodies can't tell.
    @Test(arguments: Engine.all, [true, false])
    func aBodyThatGoesOnAfterAFailedStatementFails(_ engine: Engine, usesAppend: Bool) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "one")
        let body: @Sendable (any WriteScope) throws -> Int = { scope in
            try scope.execute(Self.insert, [2, "two"])
            _ = try? scope.execute(Self.insert, [3, "one"])
            _ = try? scope.execute(Self.insert, [4, "four"])
            return 4
        }
        do {
            _ = usesAppend ? try await store.database.append(body) : try await store.database.write(body)
            Issue.record("it was committed")
        } catch StorageError.constraintViolation(.unique, _) {}
        #expect(try await store.bodies() == ["one"])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func constraintsAreTold(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "one")
        var cases: [([SQLValue], StorageError.ConstraintKind)] = [
            ([1, "two"], .primaryKey), ([2, "one"], .unique), ([3, nil], .notNull),
        ]
        // PostgreSQL writes any value as a text where a text is wanted, and is as strict the other way round.
        cases.append(engine == .sqlite ? ([4, .blob([1])], .type) : ([.blob([1]), "four"], .type))
        for (values, kind) in cases {
            do {
                try await store.database.write { try $0.execute(Self.insert, values) }
                Issue.record("\(values) was accepted")
            } catch StorageError.constraintViolation(let found, _) {
                #expect(found == kind)
            }
        }
        await #expect(throws: StorageError.invalidParameter(index: 2, reason: "a text with U+0000")) {
            try await store.database.write { try $0.execute(Self.insert, [5, "a\0b"]) }
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func actionsRunInOrderAfterTheCommitAndOnlyForWhatLanded(_ engine: Engine) async throws
    {
        let store = try await TestStore(engine, options: Self.patient)
        let ran = Ran()
        try await Gate.holding(store.database, queued: 20) { database in
            _ = await outcomes(
                (1...20).map { id in
                    { @Sendable in
                        try await database.write { scope in
                            let position = try scope.advance(SequenceName("order"), by: 1)
                            scope.afterCommit { ran.add(Int(position)) }
                            scope.afterGroup(ObjectIdentifier(ran)) { ran.add(-1) }
                            try scope.execute(Self.insert, [.integer(id), .text("\(id)")])
                            if id % 5 == 0 { throw Refusal(reason: id) }
                        }
                    }
                })
        }
        let order = ran.all
        #expect(order.count == 17 && order.last == -1)
        #expect(order.dropLast() == order.dropLast().sorted()[...])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func actionsAreOverWhenWriteReturns(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let ran = Ran()
        for id in 1...50 {
            try await store.database.write { scope in
                try scope.execute(Self.insert, [.integer(id), .text("\(id)")])
                scope.afterCommit { ran.add(id) }
            }
            #expect(ran.all.last == id)
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func sequencesGoOnOverRestartsAndFailures(_ engine: Engine) async throws {
        var store = try await TestStore(engine)
        let name = SequenceName("test")
        var last: Int64 = 0
        for round in 1...5 {
            for step in 1...4 {
                let value = try? await store.database.write { scope in
                    let value = try scope.advance(name, by: Int64(step))
                    if step == 3 { throw Refusal(reason: round) }
                    return value
                }
                guard let value else { continue }
                #expect(value >= last + Int64(step))
                last = value
            }
            store = try await store.reopened()
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aFullQueueRefusesAndChangesNothing(_ engine: Engine) async throws {
        var options = TestOptions()
        options.writesWaitingMax = 10
        let store = try await TestStore(engine, options: options)
        let results = try await Gate.holding(store.database, queued: 10) { database in
            await outcomes(
                (1...30).map { id in
                    { @Sendable in
                        try await database.write { try $0.execute(Self.insert, [.integer(id), .text("\(id)")]) }
                    }
                })
        }
        let refused = results.filter { if case .failure(StorageError.overloaded) = $0 { true } else { false } }
        let landed = results.filter { if case .success = $0 { true } else { false } }
        #expect(refused.count >= 1 && refused.count + landed.count == 30)
        #expect(try await store.bodies().count == landed.count)
        #expect(store.database.statistics().overloads == refused.count)
        #expect(StorageError.overloaded.wire.status == 503)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aCancelledTaskChangesNothingOrAll(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let database = store.database
        await withTaskGroup(of: Bool.self) { group in
            for id in 1...200 {
                group.addTask {
                    do {
                        try await database.write { scope in
                            try scope.execute(Self.insert, [.integer(id), .text("\(id)")])
                            try scope.execute(Self.insert, [.integer(1000 + id), .text("second \(id)")])
                        }
                        return true
                    } catch {
                        #expect(error is CancellationError)
                        return false
                    }
                }
            }
            group.cancelAll()
            var landed = 0
            for await result in group where result { landed += 1 }
            let count = try? await database.read { try $0.first("SELECT count(*) FROM note")?.integer(0) }
            #expect(count == Int64(2 * landed))
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func closingFinishesWhatWasAcceptedAndRefusesTheRest(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let database = store.database
        let results = try await Gate.holding(database, queued: 20) { database in
            let results = await outcomes(
                (1...20).map { id in
                    { @Sendable in
                        try await database.write { try $0.execute(Self.insert, [.integer(id), .text("\(id)")]) }
                    }
                })
            await database.close()
            return results
        }
        #expect(results.allSatisfy { (try? $0.get()) == 1 })
        await #expect(throws: StorageError.closed) { try await database.write { _ in } }
        await #expect(throws: StorageError.closed) { try await database.read { _ in } }
        await database.close()
        let again = try await TestStore(on: store.scratch)
        #expect(try await again.bodies().count == 20)
        await again.database.close()
    }

    @Test(arguments: Engine.all) func readersSeeOnlyWholeCommits(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let database = store.database
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for id in 1...300 {
                    try await database.write { scope in
                        try scope.execute(Self.insert, [.integer(2 * id), .text("a\(id)")])
                        try scope.execute(Self.insert, [.integer(2 * id + 1), .text("b\(id)")])
                    }
                }
            }
            for _ in 1...4 {
                group.addTask {
                    for _ in 1...300 {
                        let (first, second) = try await database.read { scope in
                            let first = try scope.first("SELECT count(*) FROM note")?.integer(0) ?? 0
                            let second = try scope.first("SELECT count(*) FROM note")?.integer(0) ?? 0
                            return (first, second)
                        }
                        #expect(first % 2 == 0)
                        #expect(first == second)
                    }
                }
            }
            try await group.waitForAll()
        }
        await database.close()
    }

    @Test(arguments: Engine.all) func whatABodyThatFailsAdvancedIsNotWritten(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "taken")
        let (kept, dropped) = (SequenceName("kept"), SequenceName("dropped"))
        let numbers = try await Gate.holding(store.database, queued: 3) { database in
            async let first = database.write { try $0.advance(kept, by: 1) }
            async let refused: Int64? = try? database.write { scope in
                // Neither what it advanced alone nor what it had written down early remains.
                _ = try scope.advance(dropped, by: 1)
                try scope.writeSequences()
                try scope.execute("INSERT INTO note (id, body) VALUES (1, 'again')")
                return 0
            }
            async let second = database.write { try $0.advance(kept, by: 1) }
            #expect(await refused == nil)
            return Set(try await [first, second])
        }
        #expect(numbers == [1, 2])
        let names = try await store.database.read { scope in
            try scope.query("SELECT name, value FROM storage_sequence").map { "\(try $0.text(0)) \(try $0.integer(1))" }
        }
        #expect(names == ["kept 2"])
        await store.database.close()
    }
}

final class Ran: Sendable {
    private let values = Mutex<[Int]>([])

    var all: [Int] { values.withLock { $0 } }
    func add(_ value: Int) { values.withLock { $0.append(value) } }
}
