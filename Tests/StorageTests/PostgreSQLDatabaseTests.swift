import Base
import Storage
import Synchronization
import TestDatabases
import Testing

/// What only a server does: connections that break, processes that wait for one another, servers that don't suit.
@Suite struct PostgreSQLDatabaseTests {
    private static let insert = "INSERT INTO note (id, body) VALUES ($1, $2)"
    private static let terminate = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'kith write'
        """

    /// Runs `body` until it succeeds; what it throws on the way must be worth trying again.
    private func persistently<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        while true {
            do {
                return try await body()
            } catch let error as StorageError where error.isTransient {
                await Task.yield()
            }
        }
    }

    @Test(arguments: Engine.servers) func aGroupWhoseConnectionIsEndedFailsOrLandsWhole(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let (database, scratch) = (store.database, store.scratch)
        for usesAppend in [true, false] {
            let first = usesAppend ? 1 : 101
            let results = await outcomes(
                (0..<20).map { index in
                    { @Sendable in
                        let id = first + index
                        let body: @Sendable (any WriteScope) throws -> Void = { scope in
                            try scope.execute(Self.insert, [.integer(id), .text("\(id)")])
                            if index == 10 { try scratch.administer(Self.terminate) }
                            try scope.enqueue(
                                "UPDATE note SET body = $2 WHERE id = $1", [.integer(id), .text("\(id)!")])
                        }
                        _ = usesAppend ? try await database.append(body) : try await database.write(body)
                    }
                })
            var landed = 0
            for (index, result) in results.enumerated() {
                let id = first + index
                let body = try await persistently {
                    try await database.read {
                        try $0.first("SELECT body FROM note WHERE id = $1", [.integer(id)])?.text(0)
                    }
                }
                switch result {
                case .success:
                    landed += 1
                    #expect(body == "\(id)!")
                case .failure(let error):
                    #expect((error as? StorageError)?.isTransient == true, "\(error)")
                    #expect(body == nil)
                }
            }
            #expect(landed < 20)
        }
        try await persistently { try await store.insert(1000, "after") }
        #expect(try await store.bodies().last == "after")
        await database.close()
    }

    @Test(arguments: Engine.servers) func aCommitWhoseAnswerIsLostIsNotAcknowledged(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let cutter = try AnswerCutter(serverURL: store.scratch.url)
        let database = try PostgreSQLDatabase(url: cutter.url(store.scratch.url))
        for round in 1...4 {
            let ran = Ran()
            cutter.arm()
            await #expect(throws: StorageError.outcomeUnknown) {
                let body: @Sendable (any WriteScope) throws -> Void = { scope in
                    try scope.enqueue(Self.insert, [.integer(2 * round), .text("unknown \(round)")])
                    scope.afterCommit { ran.add(round) }
                }
                _ = round % 2 == 0 ? try await database.append(body) : try await database.write(body)
            }
            #expect(ran.all.isEmpty)
            // Here it landed; trying again is refused by what landed, and everything else goes on.
            _ = try await persistently {
                try await database.write {
                    try $0.execute(Self.insert, [.integer(2 * round + 1), .text("known \(round)")])
                }
            }
        }
        #expect(try await store.bodies() == (1...4).flatMap { ["unknown \($0)", "known \($0)"] })
        #expect(StorageError.outcomeUnknown.isTransient && StorageError.outcomeUnknown.wire.status == 503)
        await database.close()
        cutter.close()
        await store.database.close()
    }

    @Test(arguments: Engine.servers) func readsGoOnAfterTheirConnectionsWereEnded(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "one")
        for _ in 0..<5 {
            #expect(try await persistently { try await store.bodies() } == ["one"])
            try store.scratch.administer(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'kith read'
                """)
            #expect(try await persistently { try await store.bodies() } == ["one"])
        }
        await store.database.close()
    }

    @Test(arguments: Engine.servers) func aServerThatIsGoneIsToldAndFoundAgain(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await store.insert(1, "one")
        try store.scratch.setReachable(false)
        for id in 2...4 {
            for body in [{ _ = try await store.bodies() }, { try await store.insert(Int64(id), "\(id)") }] {
                do {
                    try await body()
                    Issue.record("it worked")
                } catch let error as StorageError {
                    #expect(error.isTransient && error.wire.status == 503, "\(error)")
                }
            }
        }
        #expect(store.database.statistics().connectionFailures > 0)
        try store.scratch.setReachable(true)
        try await persistently { try await store.insert(5, "five") }
        #expect(try await persistently { try await store.bodies() } == ["one", "five"])
        await store.database.close()
    }

    /// Writes two notes, and stands still between them until the gate opens. Run again, it goes straight through.
    private static func holding(_ gate: Gate, _ isHeld: Ran) -> @Sendable (any WriteScope) throws -> Void {
        { scope in
            try scope.execute(insert, [1, "held"])
            isHeld.add(1)
            if isHeld.all.count == 1 { gate.wait() }
            try scope.execute(insert, [2, "held too"])
        }
    }

    @Test(arguments: Engine.servers) func whoeverWaitsTooLongIsTold(_ engine: Engine) async throws {
        var options = TestOptions()
        options.postgreSQL.idleInTransactionTimeout = .seconds(600)
        let store = try await TestStore(engine, options: options)
        options.postgreSQL.lockTimeout = .milliseconds(20)
        let hasty = try store.scratch.open(options)
        let (gate, isHeld) = (Gate(), Ran())
        async let held: Void = store.database.write(Self.holding(gate, isHeld))
        while isHeld.all.isEmpty { await Task.yield() }
        await #expect(throws: StorageError.busy) {
            try await hasty.write { try $0.execute(Self.insert, [3, "hasty"]) }
        }
        gate.open()
        try await held
        _ = try await persistently { try await hasty.write { try $0.execute(Self.insert, [3, "hasty"]) } }
        #expect(try await store.bodies() == ["held", "held too", "hasty"])
        for database in [hasty, store.database] { await database.close() }
    }

    @Test(arguments: Engine.servers) func whoeverHoldsTheDatabaseTooLongIsCut(_ engine: Engine) async throws {
        var options = TestOptions()
        options.postgreSQL.lockTimeout = .seconds(600)
        let store = try await TestStore(engine, options: options)
        options.postgreSQL.idleInTransactionTimeout = .milliseconds(100)
        let frozen = try store.scratch.open(options)
        let (gate, isHeld) = (Gate(), Ran())
        async let held = outcomes([{ @Sendable in try await frozen.write(Self.holding(gate, isHeld)) }])
        while isHeld.all.isEmpty { await Task.yield() }
        // Waits for as long as the server lets the frozen one be.
        try await store.insert(4, "patient")
        gate.open()
        for result in await held {
            guard case .failure(let error as StorageError) = result else { throw Refusal(reason: 1) }
            #expect(error.isTransient)
        }
        #expect(try await store.bodies() == ["patient"])
        _ = try await persistently { try await frozen.write { try $0.execute(Self.insert, [5, "awake"]) } }
        for database in [frozen, store.database] { await database.close() }
    }

    @Test(arguments: Engine.servers) func processesThatStartAtOnceMigrateOnce(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let steps = (1...6).map {
            Migration(room: "things", number: $0, statements: ["CREATE TABLE thing\($0) (id BIGINT PRIMARY KEY)"])
        }
        let results = await outcomes(
            (0..<4).map { _ in
                { @Sendable in
                    let database = try scratch.open()
                    let done = try await Migrator(steps, clock: ManualClock()).migrate(database)
                    await database.close()
                    return done
                }
            })
        let done = try results.flatMap { try $0.get() }
        #expect(Set(done).count == done.count && Set(steps).isSubset(of: done))
    }

    @Test(arguments: Engine.servers) func textIsComparedBytewiseWhateverTheDatabaseDoes(_ engine: Engine) async throws {
        let clause = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
        let store = try await TestStore(on: try await ScratchDatabase(engine, clause: clause))
        for (id, text) in ["b", "a", "B", "ä", "Z", "aa", ""].enumerated() { try await store.insert(Int64(id), text) }
        let sorted = try await store.database.read {
            try $0.query("SELECT body FROM note ORDER BY body").map { try $0.text(0) }
        }
        #expect(sorted == ["", "B", "Z", "a", "aa", "b", "ä"])
        await store.database.close()
    }

    @Test(arguments: Engine.servers) func databasesThatDoNotSuitAreRefused(_ engine: Engine) async throws {
        let latin = try await ScratchDatabase(engine, clause: "ENCODING 'LATIN1' LOCALE 'C'")
        for (url, part) in [
            (latin.url, "ENCODING 'UTF8'"), (latin.url.replacing("kith_test", with: "kith_none"), "does not exist"),
            (latin.url.replacing("://kith@", with: "://nobody@"), "nobody"),
            ("postgresql://127.0.0.1:1/kith", "refused"), ("postgresql://127.0.0.1:1/kith?color=red", "color"),
        ] {
            do {
                _ = try PostgreSQLDatabase(url: url)
                Issue.record("\(url) was taken")
            } catch {
                guard case .unavailable(let detail) = error else { throw error }
                #expect(detail.contains(part), "\(url): \(detail)")
            }
        }
    }

    @Test(arguments: Engine.servers) func numbersOfEveryKindAreRead(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let row = try await store.database.read {
            try $0.first(
                """
                SELECT SUM(x), -SUM(x), SUM(x) * 0, 1 = 1, CAST(7 AS SMALLINT), COUNT(*), SUM(y), MIN(x) + 1, $1 + 1
                FROM (VALUES (9223372036854775000::BIGINT, 10000::BIGINT), (807, 90000000)) AS v (x, y)
                """, [41])
        }
        #expect(
            row?.values == [
                .integer(.max), .integer(-.max), 0, 1, 7, 2, 90_010_000, 808, 42,
            ])
        await #expect(throws: StorageError.self) {
            try await store.database.read {
                try $0.first("SELECT SUM(x) FROM (VALUES ($1), ($1)) AS v (x)", [.integer(Int64.max)])
            }
        }
        await store.database.close()
    }
}
