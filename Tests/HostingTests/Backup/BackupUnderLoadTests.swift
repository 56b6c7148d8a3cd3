import Base
import Hosting
import Storage
import Synchronization
import TestDatabases
import Testing

/// A database that changes too fast to be read at once.
struct BackupUnderLoadTests {
    @Test(arguments: [1, 3]) func readingIsTriedAgain(_ failures: Int) async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(20_000)
        try await source.addBlob(3000)
        let busy = BusyDatabase(base: source.database, failures: failures, sizeBytesMax: 3 << 20)
        let sleeper = InstantClock()
        let made = try await source.backUp(busy, sleeper)
        #expect(busy.streamCount == failures + 1 && sleeper.sleepCount >= failures)
        #expect(made.manifest.number == 1 && made.manifest.blobCount == 1)
        // Nothing is there that belongs to no backup.
        #expect(try await source.inspect(source.key).faults.isEmpty)
        let target = try await Workshop(.sqlite, migrated: false)
        _ = try await source.restore(into: target)
        #expect(try await target.notes() == source.notes())
        await target.close()
        await source.close()
    }

    @Test func inTheEndItSaysWhatToDo() async throws {
        let source = try await Workshop(.sqlite)
        try await source.addNotes(20_000)
        try await source.backUp()
        let busy = BusyDatabase(base: source.database, failures: .max, sizeBytesMax: 1 << 20)
        await #expect(throws: BackupError.tooBusy(attempts: 4)) { try await source.backUp(busy, InstantClock()) }
        #expect(busy.streamCount == 4)
        #expect("\(BackupError.tooBusy(attempts: 4))".contains("quieter hour"))
        let target = try await Workshop(.sqlite, migrated: false)
        _ = try await source.restore(1, into: target)
        #expect(try await source.backUp().manifest.number == 2)
        await target.close()
        await source.close()
    }
}

extension Workshop {
    fileprivate func backUp(
        _ database: any Database, _ sleeper: any Clock<Duration>
    ) async throws -> BackupCreation.Summary {
        try await BackupCreation(
            database: database, blobs: blobs, holdings: NoteHoldings(), clock: clock, randomness: random,
            sleeper: sleeper
        ).run(
            in: place, key: key.sealing,
            instance: BackedUpInstance(name: "kith.test", did: "did:web:kith.test", version: "1"), secrets: [],
            progress: { _ in })
    }
}

/// Sleeps of a few seconds end at once, longer ones not before they are cancelled.
private final class InstantClock: Clock {
    typealias Duration = Swift.Duration
    typealias Instant = ContinuousClock.Instant

    private let count = Mutex(0)

    var sleepCount: Int { count.withLock { $0 } }
    var now: Instant { .now }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        count.withLock { $0 += 1 }
        if deadline - now > .seconds(60) {
            try await ContinuousClock().sleep(until: deadline)
        }
    }
}

/// Ends the first streams after some bytes, as SQLite does when its log grows too long.
private final class BusyDatabase: Database {
    private let base: any Database
    private let sizeBytesMax: Int
    private let failures: Int
    private let count = Mutex(0)

    init(base: any Database, failures: Int, sizeBytesMax: Int) {
        self.base = base
        self.failures = failures
        self.sizeBytesMax = sizeBytesMax
    }

    var streamCount: Int { count.withLock { $0 } }
    var dialect: SQLDialect { base.dialect }

    func read<T: Sendable>(_ body: @escaping @Sendable (any ReadScope) throws -> T) async throws -> T {
        try await base.read(body)
    }

    func write<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await base.write(body)
    }

    func append<T: Sendable>(_ body: @escaping @Sendable (any WriteScope) throws -> T) async throws -> T {
        try await base.append(body)
    }

    func submit<T: Sendable>(
        _ body: @escaping @Sendable (any WriteScope) throws -> T, failing failure: BodyFailure,
        asking questions: [BodyQuestion], settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) { base.submit(body, failing: failure, asking: questions, settled: settled) }

    func stream(
        for client: String?, _ freshness: ReadFreshness,
        _ body: @escaping @Sendable (any ReadScope, any ByteSink) throws -> Void
    ) async throws(StorageError) -> ByteStream {
        let number = count.withLock { count in
            count += 1
            return count
        }
        guard number <= failures else { return try await base.stream(for: client, freshness, body) }
        let limit = sizeBytesMax
        return try await base.stream(for: client, freshness) { try body($0, ShortSink(sink: $1, left: limit)) }
    }

    func listen(to topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {
        base.listen(to: topic, action)
    }

    func statistics() -> DatabaseStatistics { base.statistics() }

    func close() async { await base.close() }
}

/// Takes so many bytes and no more. Used by one thread.
private final class ShortSink: ByteSink {
    private let sink: any ByteSink
    private var left: Int

    init(sink: any ByteSink, left: Int) {
        self.sink = sink
        self.left = left
    }

    func write(_ bytes: [UInt8]) throws(StorageError) {
        left -= bytes.count
        guard left >= 0 else { throw .stalled }
        try sink.write(bytes)
    }
}
