import ATProtocol
import Base
import Logging
import Storage
import Synchronization
import TestDatabases
import Testing

/// Several processes on one database, each played by a database value of its own.
@Suite struct ProcessesTests {
    private typealias Log = EventLogTests

    /// One process: its connections and its log.
    private struct Peer: Sendable {
        let database: any Database
        let log: EventLog

        init(_ scratch: ScratchDatabase, limits: LogLimits = LogLimits()) async throws {
            database = try scratch.open()
            _ = try await Migrator([TestStore.notes], clock: ManualClock()).migrate(database)
            log = try await EventLog.open(database, limits: limits)
        }

        func close() async {
            log.close()
            await database.close()
        }
    }

    /// Follows a log as a subscriber does, until it has seen the event with the number `last`.
    private static func follow(_ log: EventLog, through last: Int64) async throws -> [Storage.LogEvent] {
        var seen: [Storage.LogEvent] = []
        while (seen.last?.seq ?? 0) < last { seen += try await log.next(after: seen.last?.seq ?? 0, limitEvents: 50) }
        return seen
    }

    @Test(arguments: Engine.servers) func allSeeOneSequenceWithoutGaps(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let peers = [try await Peer(scratch), try await Peer(scratch)]
        let (writers, rounds, refused) = (40, 10, 8)
        let total = Int64(2 * writers * rounds)
        async let seen = outcomes(
            peers.map { peer in { @Sendable in try await Self.follow(peer.log, through: total) } })
        let numbers = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for writer in 0..<(writers + refused) {
                for (index, peer) in peers.enumerated() {
                    group.addTask {
                        var numbers: [Int64] = []
                        for round in 0..<rounds {
                            let entry = Log.entry(bytes: [UInt8(writer), UInt8(index), UInt8(round)])
                            if writer < writers {
                                numbers += try await Log.append([entry], to: peer.log, peer.database)
                            } else {
                                // Numbers of a body that fails are given again.
                                _ = try? await peer.database.write { scope in
                                    _ = try peer.log.append(entry, in: scope)
                                    throw Refusal(reason: round)
                                }
                            }
                        }
                        return numbers
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(numbers.sorted() == Array(1...total))
        let all = try await seen.map { try $0.get() }
        #expect(all[0].map(\.seq) == Array(1...total))
        #expect(all[0] == all[1])
        for peer in peers { await peer.close() }
    }

    @Test(arguments: Engine.servers) func whatOneAppendsWakesTheReadersOfTheOther(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let (here, there) = (try await Peer(scratch), try await Peer(scratch))
        for number in 1...30 {
            async let next = there.log.next(after: Int64(number - 1), limitEvents: 5)
            while there.log.waiting < 1 { await Task.yield() }
            try await Log.append([Log.entry(bytes: [UInt8(number)])], to: here.log, here.database)
            #expect(try await next.map(\.seq) == [Int64(number)])
        }
        for peer in [here, there] { await peer.close() }
    }

    @Test(arguments: Engine.servers) func whatOneRemovesLeavesTheMemoryOfTheOther(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        var limits = LogLimits()
        limits.ageMax = .seconds(60)
        let (here, there) = (try await Peer(scratch, limits: limits), try await Peer(scratch, limits: limits))
        for did in [Log.alice, Log.bob, Log.alice] {
            try await Log.append([Log.entry(did)], to: here.log, here.database)
        }
        _ = try await Self.follow(there.log, through: 3)
        try await here.log.purge(Log.alice)
        while try await Log.all(there.log).count > 1 { await Task.yield() }
        #expect(try await Log.all(there.log).map(\.seq) == [2])
        try await here.log.removeExpired(now: Log.start.advanced(by: .seconds(100)))
        while there.log.oldest < 3 { await Task.yield() }
        #expect(try await Log.all(there.log).isEmpty)
        for peer in [here, there] { await peer.close() }
    }

    @Test(arguments: Engine.servers) func aListenerThatWasCutHearsWhatItMissed(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let (here, there) = (try await Peer(scratch), try await Peer(scratch))
        for number in 1...3 {
            async let next = there.log.next(after: Int64(number - 1), limitEvents: 5)
            try scratch.administer(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'kith listen'
                """)
            try await Log.append([Log.entry()], to: here.log, here.database)
            #expect(try await next.map(\.seq) == [Int64(number)])
        }
        for peer in [here, there] { await peer.close() }
    }

    /// Notes what is heard of a topic.
    private final class Ear: Sendable {
        let heard = Mutex<[String?]>([])

        init(_ topic: AnnouncementTopic, _ database: any Database) {
            database.listen(to: topic) { [self] payload, _ in heard.withLock { $0.append(payload) } }
        }

        func wait(until isEnough: @Sendable ([String?]) -> Bool) async -> [String?] {
            while !isEnough(heard.withLock(\.self)) { await Task.yield() }
            return heard.withLock(\.self)
        }
    }

    @Test(arguments: Engine.servers) func everyPayloadIsHeardWhereAllCount(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let (here, there) = (try await Peer(scratch), try await Peer(scratch))
        let topic = AnnouncementTopic("test", payloads: .all)
        let ear = Ear(topic, there.database)
        // At first anything may have been said before.
        #expect(await ear.wait { !$0.isEmpty } == [nil])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    try await here.database.write { scope in
                        scope.announce(topic, "\(number)")
                        scope.announce(topic, "\(number) again")
                    }
                }
            }
            try await group.waitForAll()
        }
        let heard = await ear.wait { $0.count >= 101 }
        #expect(Set(heard.dropFirst()) == Set((0..<50).flatMap { ["\($0)", "\($0) again"] }))
        // What no notice can carry is told as anything.
        try await here.database.write { scope in
            scope.announce(topic, "before")
            scope.announce(topic, String(repeating: "x", count: 9000))
        }
        #expect(await ear.wait { $0.count >= 102 }.last == .some(nil))
        for peer in [here, there] { await peer.close() }
    }

    @Test(arguments: Engine.servers) func everyJobHasItsEffectOnce(_ engine: Engine) async throws {
        let scratch = try await ScratchDatabase(engine)
        let peers = [try await Peer(scratch), try await Peer(scratch), try await Peer(scratch)]
        let (clock, count) = (ManualClock(), 120)
        let jobs = JobStore(dialect: .postgreSQL, randomness: SeededRandomness(seed: 5))
        let now = clock.now()
        try await peers[0].database.write { scope in
            for id in 1...count { try jobs.enqueue(JobTests.kind, key: "\(id)", runAt: now, now: now, in: scope) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, peer) in peers.enumerated() {
                let worker = JobWorker(
                    kind: JobTests.kind, database: peer.database, signal: WakeSignal(), clock: clock,
                    sleeper: ParkedClock(), randomness: SeededRandomness(seed: UInt64(index)),
                    logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
                group.addTask {
                    await worker.run { job in
                        let id = Int64(job.key) ?? 0
                        return .doneWith { scope in
                            try scope.execute(
                                "INSERT INTO note (id, body) VALUES ($1, $2)", [.integer(id), .text(job.key)])
                        }
                    }
                }
            }
            let database = peers[0].database
            while try await database.read({ try jobs.nextDue(JobTests.kind, in: $0) }) != nil { await Task.yield() }
            group.cancelAll()
            try await group.waitForAll()
        }
        let done = try await peers[1].database.read { try $0.first("SELECT COUNT(*) FROM note")?.integer(0) }
        #expect(done == Int64(count))
        for peer in peers { await peer.close() }
    }
}
