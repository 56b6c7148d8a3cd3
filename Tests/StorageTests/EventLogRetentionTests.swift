import ATProtocol
import Base
import Storage
import TestDatabases
import Testing

@Suite struct EventLogRetentionTests {
    private typealias Log = EventLogTests

    @Test(arguments: Engine.all) func aDeletedAccountLeavesOnlyItsAccountEvents(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        var limits = LogLimits()
        limits.removalsMax = 10
        let log = try await EventLog.open(store.database, limits: limits)
        for _ in 0..<40 { try await Log.append([Log.entry(), Log.entry(Log.bob)], to: log, store.database) }
        try await Log.append([Log.entry(kind: .account)], to: log, store.database)
        #expect(try await log.purge(Log.alice) == 40)
        let left = try await Log.all(log)
        #expect(left.count == 41 && left.last?.kind == .account && left.last?.did == Log.alice)
        #expect(left.dropLast().allSatisfy { $0.did == Log.bob })
        #expect(log.oldest == 1)
        #expect(try await log.purge(Log.alice) == 0)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aReaderWaitsOnWhenAllThatItMissedWasPurged(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let log = try await EventLog.open(store.database)
        try await Log.append([Log.entry(), Log.entry()], to: log, store.database)
        try await log.purge(Log.alice)
        async let next = log.next(after: 0, limitEvents: 5)
        while log.waiting < 1 { await Task.yield() }
        try await Log.append([Log.entry(Log.bob)], to: log, store.database)
        #expect(try await next.map(\.seq) == [3])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func oldEventsGoAndTheirNumbersAreNotUsedAgain(_ engine: Engine) async throws {
        var store = try await TestStore(engine)
        var limits = LogLimits()
        limits.ageMax = .seconds(60)
        limits.removalsMax = 3
        var log = try await EventLog.open(store.database, limits: limits)
        let clock = ManualClock(Log.start)
        for _ in 0..<20 {
            try await Log.append([Log.entry(at: clock.now())], to: log, store.database)
            clock.advance(by: .seconds(10))
        }
        // The last was written 10 seconds ago; the 7th from the end 70 seconds ago.
        #expect(try await log.removeExpired(now: clock.now()) == 14)
        #expect(log.oldest == 15 && log.head == 20)
        #expect(try await Log.all(log).map(\.seq) == Array(15...20))
        clock.advance(by: .seconds(1000))
        #expect(try await log.removeExpired(now: clock.now()) == 6)
        store = try await store.reopened()
        log = try await EventLog.open(store.database, limits: limits)
        #expect(log.oldest == 21 && log.head == 20)
        #expect(try await Log.append([Log.entry()], to: log, store.database) == [21])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aLogThatIsTooLargeIsCutUnlessAFollowerNeedsIt(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        var limits = LogLimits()
        limits.sizeBytesMax = 5000
        limits.sizeBytesHardMax = 20_000
        let log = try await EventLog.open(store.database, limits: limits)
        let bytes = [UInt8](repeating: 7, count: 997)
        // Frames of 1000 bytes each: two of prefix, one of number.
        for _ in 0..<10 { try await Log.append([Log.entry(bytes: bytes)], to: log, store.database) }
        try await store.database.write { try FollowerCursors.register("f", at: 2, now: Log.start, in: $0) }
        #expect(try await log.removeExpired(now: Log.start) == 2)
        #expect(log.oldest == 3)
        let moved = try await store.database.write { scope in
            try [4, 4, 1].map { try FollowerCursors.advance("f", to: $0, now: Log.start, in: scope) }
        }
        #expect(moved == [true, false, false])
        #expect(try await log.removeExpired(now: Log.start) == 2)
        for _ in 0..<13 { try await Log.append([Log.entry(bytes: bytes)], to: log, store.database) }
        #expect(try await log.removeExpired(now: Log.start) == 0)
        for _ in 0..<5 { try await Log.append([Log.entry(bytes: bytes)], to: log, store.database) }
        #expect(try await log.removeExpired(now: Log.start) > 0)
        #expect(log.oldest > 5)
        try await store.database.write { try FollowerCursors.remove("f", in: $0) }
        try await log.removeExpired(now: Log.start)
        #expect(try await Log.all(log).count == 5)
        await store.database.close()
    }
}
