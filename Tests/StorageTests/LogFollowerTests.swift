import ATProtocol
import Base
import Storage
import TestDatabases
import Testing

@Suite struct LogFollowerTests {
    private typealias Log = EventLogTests

    private static func schema() -> [Migration] {
        [
            Migration(
                room: "seen", number: 1,
                statements: ["CREATE TABLE seen (position BIGINT PRIMARY KEY NOT NULL, seq BIGINT NOT NULL)"])
        ]
    }

    @Test(arguments: Engine.all) func everyEventIsDealtWithOnceOverFailuresAndRestarts(_ engine: Engine) async throws {
        let store = try await TestStore(engine, Self.schema())
        let log = try await EventLog.open(store.database)
        let database = store.database
        let failures = Ran()
        for round in 0..<3 {
            for _ in 0..<30 { try await Log.append([Log.entry(), Log.entry()], to: log, database) }
            let goal = Int64(60 * (round + 1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                let follower = LogFollower(
                    name: "test", log: log, clock: ManualClock(), sleeper: ImmediateClock(), batch: 7)
                group.addTask {
                    try await follower.run { events, scope in
                        for event in events {
                            try scope.execute(
                                "INSERT INTO seen (position, seq) VALUES ($1, $1)", [.integer(event.seq)])
                        }
                        // Now and then the database is busy, after the effects were written.
                        failures.add(1)
                        if failures.all.count % 3 == 0 { throw StorageError.busy }
                    }
                }
                while try await database.read({ try FollowerCursors.position(of: "test", in: $0) }) != goal {
                    await Task.yield()
                }
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        let seen = try await database.read {
            try $0.query("SELECT seq FROM seen ORDER BY seq").map { try $0.integer(0) }
        }
        #expect(seen == Array(1...180))
        await database.close()
    }

    @Test(arguments: Engine.all) func aFollowerThatLostEventsIsTold(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        var limits = LogLimits()
        limits.sizeBytesMax = 1
        limits.sizeBytesHardMax = 1
        let log = try await EventLog.open(store.database, limits: limits)
        try await store.database.write { try FollowerCursors.register("late", at: 0, now: Log.start, in: $0) }
        for _ in 0..<5 { try await Log.append([Log.entry()], to: log, store.database) }
        try await log.removeExpired(now: Log.start)
        let follower = LogFollower(name: "late", log: log, clock: ManualClock(), sleeper: ImmediateClock())
        await #expect(throws: FollowerError.outdated(name: "late", position: 0, oldest: 5)) {
            try await follower.run { _, _ in }
        }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func theLogsEndIsTheFollowersEnd(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let log = try await EventLog.open(store.database)
        let follower = LogFollower(name: "f", log: log, clock: ManualClock(), sleeper: ImmediateClock())
        async let done: Void = follower.run { _, _ in }
        while log.waiting < 1 { await Task.yield() }
        log.close()
        try await done
        await store.database.close()
    }
}

/// A clock on which every pause is over at once.
struct ImmediateClock: Clock {
    struct Instant: InstantProtocol {
        let offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    var now: Instant { Instant(offset: .zero) }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        await Task.yield()
    }
}
