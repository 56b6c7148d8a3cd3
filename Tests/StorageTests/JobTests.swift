import Base
import Logging
import Storage
import TestDatabases
import Testing

@Suite struct JobTests {
    static let kind = JobKind(rawValue: "test.mail")
    private let clock = ManualClock()
    private let jobs = JobStore(dialect: .sqlite, randomness: SeededRandomness(seed: 7))

    private func enqueue(
        _ store: TestStore, _ key: String, in delay: Duration = .zero, existing: JobStore.Existing = .keep,
        payload: [UInt8] = []
    ) async throws -> Bool {
        let (jobs, now) = (jobs, clock.now())
        return try await store.database.write { scope in
            try jobs.enqueue(
                Self.kind, key: key, payload: payload, runAt: now.advanced(by: delay), now: now, existing: existing,
                in: scope)
        }
    }

    private func claim(_ store: TestStore, limit: Int = 10, lease: Duration = .seconds(60)) async throws -> [Job] {
        let (jobs, now) = (jobs, clock.now())
        return try await store.database.write {
            try jobs.claim(Self.kind, limit: limit, lease: lease, now: now, in: $0).sorted { $0.key < $1.key }
        }
    }

    @Test(arguments: Engine.all) func aKeyIsQueuedOnceAndClaimedOnce(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        #expect(try await enqueue(store, "a", payload: [1]))
        #expect(try await !enqueue(store, "a", payload: [2]))
        #expect(try await enqueue(store, "b", in: .seconds(10)))
        let claimed = try await claim(store)
        #expect(claimed.map(\.key) == ["a"] && claimed.first?.payload == [1] && claimed.first?.attempts == 1)
        #expect(try await claim(store).isEmpty)
        clock.advance(by: .seconds(10))
        #expect(try await claim(store).map(\.key) == ["b"])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aLeaseThatRanOutIsLost(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        _ = try await enqueue(store, "a")
        let first = try #require(try await claim(store).first)
        clock.advance(by: .seconds(59))
        #expect(try await claim(store).isEmpty)
        clock.advance(by: .seconds(1))
        let second = try #require(try await claim(store).first)
        #expect(second.attempts == 2)
        let (jobs, now) = (jobs, clock.now())
        let late = try await store.database.write { scope in
            try [
                jobs.complete(first, in: scope), jobs.extend(first, until: now, in: scope),
                jobs.fail(first, reason: "x", retryAt: nil, now: now, in: scope),
            ]
        }
        #expect(late == [false, false, false])
        #expect(try await store.database.write { try jobs.complete(second, in: $0) })
        #expect(try await store.database.read { try jobs.nextDue(Self.kind, in: $0) } == nil)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func anExtendedLeaseHolds(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        _ = try await enqueue(store, "a")
        let job = try #require(try await claim(store).first)
        let (jobs, until) = (jobs, clock.now().advanced(by: .seconds(300)))
        #expect(try await store.database.write { try jobs.extend(job, until: until, in: $0) })
        clock.advance(by: .seconds(299))
        #expect(try await claim(store).isEmpty)
        #expect(try await store.database.read { try jobs.nextDue(Self.kind, in: $0) } == until)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func whatFailedComesBackOrIsGivenUp(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        _ = try await enqueue(store, "a")
        let jobs = jobs
        var job = try #require(try await claim(store).first)
        var now = clock.now()
        try await store.database.write { [job, now] in
            try jobs.fail(job, reason: "peer", retryAt: now.advanced(by: .seconds(5)), now: now, in: $0)
        }
        #expect(try await claim(store).isEmpty)
        clock.advance(by: .seconds(5))
        job = try #require(try await claim(store).first)
        now = clock.now()
        let reason = String(repeating: "ü", count: 1000) + "\0"
        try await store.database.write { [job, now] in
            try jobs.fail(job, reason: reason, retryAt: nil, now: now, in: $0)
        }
        clock.advance(by: .seconds(1_000_000))
        #expect(try await claim(store).isEmpty)
        let failed = try await store.database.read { try jobs.failed(Self.kind, limit: 10, in: $0) }
        #expect(failed.map(\.key) == ["a"] && failed.first?.attempts == 2 && failed.first?.failedAt == now)
        #expect(failed.first?.reason == String(repeating: "ü", count: 250))
        // Queued anew, it starts over.
        #expect(try await enqueue(store, "a"))
        #expect(try await claim(store).first?.attempts == 1)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func replacingOvertakesAClaim(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        _ = try await enqueue(store, "a", payload: [1])
        let job = try #require(try await claim(store).first)
        #expect(try await enqueue(store, "a", existing: .replace, payload: [2]))
        let jobs = jobs
        #expect(try await !store.database.write { try jobs.complete(job, in: $0) })
        #expect(try await claim(store).first?.payload == [2])
        await store.database.close()
    }

    @Test(arguments: Engine.all) func oldFailuresAreRemoved(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let jobs = jobs
        for key in ["a", "b", "c"] {
            _ = try await enqueue(store, key)
            let job = try #require(try await claim(store).first)
            let now = clock.now()
            try await store.database.write { try jobs.fail(job, reason: key, retryAt: nil, now: now, in: $0) }
            clock.advance(by: .seconds(100))
        }
        let before = clock.now().advanced(by: .seconds(-100))
        #expect(
            try await store.database.write { try jobs.removeFailed(Self.kind, before: before, limit: 9, in: $0) } == 2)
        await store.database.close()
    }

    @Test func pausesGrowToTheirBoundAndEnd() {
        let retry = JobRetry(attemptsMax: 20, pauseMin: .seconds(4), pauseMax: .seconds(100))
        let random = SeededRandomness(seed: 3)
        for attempts in 1..<20 {
            let nominal = min(4.0 * Double(1 << (attempts - 1)), 100)
            let pause = retry.next(after: attempts, now: clock.now(), randomness: random)?.since(clock.now()).inSeconds
            #expect(pause.map { $0 >= nominal * 0.74 && $0 <= nominal * 1.26 } == true)
        }
        #expect(retry.next(after: 20, now: clock.now(), randomness: random) == nil)
    }
}

@Suite struct JobWorkerTests {
    private let clock = ManualClock()

    private func worker(_ store: TestStore, _ signal: WakeSignal, lease: Duration = .seconds(60)) -> JobWorker {
        var limits = JobWorker.Limits()
        limits.concurrency = 3
        limits.lease = lease
        return JobWorker(
            kind: JobTests.kind, database: store.database, signal: signal, clock: clock,
            sleeper: ParkedClock(), randomness: SeededRandomness(seed: 1), limits: limits,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    @Test(arguments: Engine.all) func everyJobIsDoneWithItsEffects(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let database = store.database
        let signal = WakeSignal()
        let jobs = JobStore(dialect: .sqlite, randomness: SeededRandomness(seed: 2))
        let now = clock.now()
        try await withThrowingTaskGroup(of: Void.self) { group in
            let worker = worker(store, signal)
            group.addTask {
                await worker.run { job in
                    let id = Int64(job.key) ?? 0
                    if id % 10 == 0 { return .giveUp(reason: "ten") }
                    return .doneWith { scope in
                        try scope.execute(
                            "INSERT INTO note (id, body) VALUES ($1, $2)", [.integer(id), .text(job.key)])
                    }
                }
            }
            for id in 1...50 {
                try await database.write { scope in
                    try jobs.enqueue(JobTests.kind, key: "\(id)", runAt: now, now: now, in: scope)
                    scope.afterCommit { signal.wake() }
                }
            }
            while try await database.read({ try jobs.nextDue(JobTests.kind, in: $0) }) != nil { await Task.yield() }
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(try await store.bodies().count == 45)
        #expect(try await database.read { try jobs.failed(JobTests.kind, limit: 100, in: $0).count } == 5)
        await database.close()
    }

    @Test(arguments: Engine.all) func whatThrowsIsTriedAgain(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let database = store.database
        let signal = WakeSignal()
        let jobs = JobStore(dialect: .sqlite, randomness: SeededRandomness(seed: 2))
        let (now, attempts, clock) = (clock.now(), Ran(), clock)
        try await database.write { try jobs.enqueue(JobTests.kind, key: "a", runAt: now, now: now, in: $0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let worker = worker(store, signal)
            group.addTask {
                await worker.run { job in
                    attempts.add(job.attempts)
                    if job.attempts < 4 { throw Refusal(reason: job.attempts) }
                    return .done
                }
            }
            while try await database.read({ try jobs.nextDue(JobTests.kind, in: $0) }) != nil {
                clock.advance(by: .seconds(1))
                signal.wake()
                await Task.yield()
            }
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(attempts.all == [1, 2, 3, 4])
        await database.close()
    }
}

/// A clock on which no pause ever ends by itself.
struct ParkedClock: Clock {
    var now: ImmediateClock.Instant { .init(offset: .zero) }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: ImmediateClock.Instant, tolerance: Duration?) async throws {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        for await _ in stream {}
        continuation.finish()
        throw CancellationError()
    }
}
