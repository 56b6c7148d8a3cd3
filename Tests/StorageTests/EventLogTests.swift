import ATProtocol
import Base
import Storage
import TestDatabases
import Testing

@Suite struct EventLogTests {
    static let alice = DID(literal: "did:plc:aliceaaaaaaaaaaaaaaaaaaa")
    static let bob = DID(literal: "did:plc:bobbbbbbbbbbbbbbbbbbbbbb")
    static let start = Timestamp(seconds: 1_750_000_000)

    static func entry(
        _ did: DID = alice, kind: LogEventKind = .commit, at time: Timestamp = start, bytes: [UInt8] = [1, 2, 3]
    ) -> LogEntry {
        LogEntry(did: did, kind: kind, time: time, frame: PreparedFrame(prefix: [0xa1, 0x63], suffix: bytes))
    }

    @discardableResult
    static func append(_ entries: [LogEntry], to log: EventLog, _ database: any Database) async throws -> [Int64] {
        try await database.append { scope in try entries.map { try log.append($0, in: scope) } }
    }

    /// Everything after `seq`, page by page.
    static func all(_ log: EventLog, after seq: Int64 = 0, limit: Int = 7) async throws -> [LogEvent] {
        var events: [LogEvent] = []
        while true {
            let page = try await log.read(after: events.last?.seq ?? seq, limitEvents: limit)
            if page.isEmpty { return events }
            events += page
        }
    }

    @Test(arguments: Engine.all) func numbersStandInTheFramesAndGoOnAfterARestart(_ engine: Engine) async throws {
        var store = try await TestStore(engine)
        var log = try await EventLog.open(store.database)
        #expect(log.head == 0 && log.oldest == 1)
        let first = try await Self.append([Self.entry(), Self.entry(Self.bob)], to: log, store.database)
        #expect(first == [1, 2])
        let events = try await log.read(after: 0, limitEvents: 10)
        #expect(events.map(\.frame) == [[0xa1, 0x63, 1, 1, 2, 3], [0xa1, 0x63, 2, 1, 2, 3]])
        #expect(events.map(\.did) == [Self.alice, Self.bob])
        store = try await store.reopened()
        log = try await EventLog.open(store.database)
        #expect(log.head == 2)
        #expect(try await Self.append([Self.entry()], to: log, store.database) == [3])
        #expect(try await Self.all(log).prefix(2) == events[...])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func whatFailedIsNeverSeen(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let log = try await EventLog.open(store.database)
        let database = store.database
        try await Gate.holding(database, queued: 30) { database in
            _ = await outcomes(
                (1...30).map { id in
                    { @Sendable in
                        try await database.write { scope in
                            _ = try log.append(Self.entry(bytes: [UInt8(id)]), in: scope)
                            if id % 3 == 0 { throw Refusal(reason: id) }
                        }
                    }
                })
        }
        let events = try await Self.all(log)
        #expect(events.count == 20)
        #expect(events.allSatisfy { $0.frame.last.map { $0 % 3 != 0 } ?? false })
        #expect(events.map(\.seq) == events.map(\.seq).sorted())
        #expect(log.head == events.last?.seq)
        await database.close()
    }

    /// Whatever of it comes from memory and whatever from the table: the bytes are the same from every cursor.
    @Test(arguments: Engine.all, 1...12)
    func everyCursorGivesTheSameBytes(_ engine: Engine, seed: UInt64) async throws {
        let random = SeededRandomness(seed: seed)
        let store = try await TestStore(engine)
        var limits = LogLimits()
        limits.ringSizeBytesMax = 1000 + random.below(20_000)
        limits.pageSizeBytesMax = 500 + random.below(5000)
        let log = try await EventLog.open(store.database, limits: limits)
        var expected: [[UInt8]] = []
        for _ in 0..<40 {
            let entries = (0..<(1 + random.below(8))).map { _ in
                Self.entry(random.oneIn(2) ? Self.alice : Self.bob, bytes: random.bytes(random.below(900)))
            }
            let numbers = try await Self.append(entries, to: log, store.database)
            expected += zip(entries, numbers).map { $0.frame.frame(seq: $1) }
        }
        let fresh = try await EventLog.open(store.database, limits: limits)
        for _ in 0..<20 {
            let cursor = random.below(expected.count + 1)
            let (live, replayed) = (
                try await Self.all(log, after: Int64(cursor), limit: 1 + random.below(30)),
                try await Self.all(fresh, after: Int64(cursor), limit: 1 + random.below(30))
            )
            #expect(live.map(\.frame) == Array(expected.dropFirst(cursor)), "seed \(seed)")
            #expect(live == replayed, "seed \(seed)")
        }
        #expect(try await log.read(after: log.head, limitEvents: 5).isEmpty)
        #expect(try await log.read(after: .max, limitEvents: 5).isEmpty)
        #expect(try await log.read(after: .min, limitEvents: 5).first?.seq == 1)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func readersWaitAndAreWoken(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let log = try await EventLog.open(store.database)
        let database = store.database
        try await withThrowingTaskGroup(of: [Int64].self) { group in
            for _ in 0..<50 {
                group.addTask {
                    var seen: [Int64] = []
                    while seen.count < 200 {
                        seen += try await log.next(after: seen.last ?? 0, limitEvents: 1 + seen.count % 9).map(\.seq)
                    }
                    return seen
                }
            }
            while log.waiting < 50 { await Task.yield() }
            for _ in 0..<100 { try await Self.append([Self.entry(), Self.entry()], to: log, database) }
            for try await seen in group { #expect(seen == Array(1...200)) }
        }
        #expect(log.waiting == 0)
        await database.close()
    }

    @Test(arguments: Engine.all) func aWaitEndsWithItsTaskAndWithTheLog(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        var limits = LogLimits()
        limits.waitersMax = 2
        let log = try await EventLog.open(store.database, limits: limits)
        await withTaskGroup(of: (any Error)?.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    do { _ = try await log.next(after: 0, limitEvents: 1) } catch { return error }
                    return nil
                }
            }
            while log.waiting < 2 { await Task.yield() }
            await #expect(throws: StorageError.overloaded) { try await log.next(after: 0, limitEvents: 1) }
            group.cancelAll()
            for await error in group { #expect(error is CancellationError) }
        }
        #expect(log.waiting == 0)
        async let waiting = outcomes([{ @Sendable in try await log.next(after: 0, limitEvents: 1) }])
        while log.waiting < 1 { await Task.yield() }
        log.close()
        for result in await waiting {
            #expect(throws: StorageError.closed) { try result.get() }
        }
        await #expect(throws: StorageError.closed) { try await log.next(after: 0, limitEvents: 1) }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func eventsOfAnotherProcessAreSeenInOrder(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let (here, there) = (try await EventLog.open(store.database), try await EventLog.open(store.database))
        try await Self.append([Self.entry()], to: here, store.database)
        try await Self.append([Self.entry(Self.bob), Self.entry(Self.bob)], to: there, store.database)
        // Where processes share a database, one is told of the other's events sooner or later.
        #expect(here.head == 1 || engine == .postgresql)
        try await Self.append([Self.entry()], to: here, store.database)
        #expect(try await Self.all(here).map(\.seq) == [1, 2, 3, 4])
        try await Self.append([Self.entry(Self.bob)], to: there, store.database)
        #expect(try await Self.all(there).map(\.seq) == [1, 2, 3, 4, 5])
        try await here.refresh()
        #expect(here.head == 5)
        #expect(try await Self.all(here) == Self.all(there))
        await store.database.close()
    }
}
