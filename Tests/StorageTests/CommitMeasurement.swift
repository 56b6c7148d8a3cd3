import ATProtocol
import Base
import Foundation
import Storage
import Synchronization
import TestDatabases
import Testing

/// Figures of the committer and of the readers on this machine. Run with `KITH_MEASURE=1`; it judges nothing.
///
/// `KITH_MEASURE_SECONDS` (4), `KITH_MEASURE_WRITERS` (64) and `KITH_MEASURE_REPOSITORIES` (100) change the load. Besides
/// the rate it prints where the time goes, so that a debug build tells something too: what the disk takes is the same.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["KITH_MEASURE"] == "1"), .serialized)
struct CommitMeasurement {
    private let seconds = Self.setting("KITH_MEASURE_SECONDS", 4)
    private let writers = Self.setting("KITH_MEASURE_WRITERS", 64)
    private let repositories = Self.setting("KITH_MEASURE_REPOSITORIES", 100)
    private let clock = ContinuousClock()

    private static func setting(_ name: String, _ fallback: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? fallback
    }

    private static let schema = Migration(
        room: "measured", number: 1,
        statements: [
            """
            CREATE TABLE record (
                repository BIGINT NOT NULL, path TEXT NOT NULL, cid BYTEA NOT NULL, bytes BYTEA NOT NULL,
                PRIMARY KEY (repository, path)
            ) CLUSTERED
            """,
            """
            CREATE TABLE node (
                repository BIGINT NOT NULL, cid BYTEA NOT NULL, bytes BYTEA NOT NULL, PRIMARY KEY (repository, cid)
            ) CLUSTERED
            """,
            "CREATE TABLE head (repository BIGINT PRIMARY KEY NOT NULL, cid BYTEA NOT NULL, rev TEXT NOT NULL)",
        ])

    /// What one repository has written so far, so that the next commit can replace its newest nodes.
    private final class Repository: Sendable {
        let number: Int64
        let did: DID
        private let nodes = Mutex<[[UInt8]]>([])
        let random: SeededRandomness

        init(number: Int) throws {
            self.number = Int64(number)
            did = try DID(parsing: "did:plc:measured\(number)")
            random = SeededRandomness(seed: UInt64(number))
        }

        func next() -> (added: [[UInt8]], removed: [[UInt8]]) {
            nodes.withLock { nodes in
                let added = (0..<6).map { _ in random.bytes(36) }
                let removed = Array(nodes.suffix(5))
                nodes.removeLast(removed.count)
                nodes += added
                return (added, removed)
            }
        }
    }

    /// What all tasks of one measurement have done.
    private final class Tally: Sendable {
        private let state = Mutex<(count: Int, durations: [Duration])>((0, []))

        var count: Int { state.withLock { $0.count } }
        var sorted: [Duration] { state.withLock { $0.durations.sorted() } }

        func next() -> Int {
            state.withLock { state in
                state.count += 1
                return state.count
            }
        }

        func add(_ durations: [Duration]) { state.withLock { $0.durations += durations } }
    }

    @Test(arguments: Engine.all) func commits(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.schema])
        let log = try await EventLog.open(store.database)
        let all = try (0..<repositories).map { try Repository(number: $0) }
        let frame = [UInt8](repeating: 0x55, count: 5000)
        let (database, tally) = (store.database, Tally())
        let end = clock.now + .seconds(seconds)
        let before = database.statistics()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask { [clock] in
                    var mine: [Duration] = []
                    var turn = writer
                    while clock.now < end {
                        let started = clock.now
                        let id = tally.next()
                        try await Self.commit(all[turn % all.count], id: id, frame: frame, to: database, log)
                        mine.append(clock.now - started)
                        turn += writer % 7 + 1
                    }
                    tally.add(mine)
                }
            }
            try await group.waitForAll()
        }
        report(engine, database.statistics(), since: before, tally.sorted)
        await database.close()
    }

    private static func commit(
        _ repository: Repository, id: Int, frame: [UInt8], to database: any Database, _ log: EventLog
    ) async throws {
        let (added, removed) = repository.next()
        let entry = LogEntry(
            did: repository.did, kind: .commit, time: Timestamp(seconds: 0),
            frame: PreparedFrame(prefix: [], suffix: frame))
        let path = "app.bsky.feed.post/\(1_000_000_000_000 + id)"
        try await database.append { scope in
            let number = SQLValue.integer(repository.number)
            try scope.enqueue(
                "INSERT INTO record (repository, path, cid, bytes) VALUES ($1, $2, $3, $4)",
                [number, .text(path), .blob(added[0]), .blob(Array(frame.prefix(250)))])
            for (index, cid) in added.enumerated() {
                try scope.enqueue(
                    "INSERT INTO node (repository, cid, bytes) VALUES ($1, $2, $3)",
                    [number, .blob(cid), .blob(Array(frame.prefix(200 + 120 * index)))])
            }
            for cid in removed {
                try scope.enqueue("DELETE FROM node WHERE repository = $1 AND cid = $2", [number, .blob(cid)])
            }
            try scope.enqueue(
                """
                INSERT INTO head (repository, cid, rev) VALUES ($1, $2, $3)
                ON CONFLICT (repository) DO UPDATE SET cid = excluded.cid, rev = excluded.rev
                """, [number, .blob(added[0]), .text("3jzfcijpj2z2a")])
            _ = try log.append(entry, in: scope)
        }
    }

    private func report(
        _ engine: Engine, _ after: DatabaseStatistics, since before: DatabaseStatistics, _ latencies: [Duration]
    ) {
        let items = Double(max(after.items - before.items, 1))
        let groups = Double(max(after.groups - before.groups, 1))
        let (bodies, commits) = ((after.executing - before.executing), (after.committing - before.committing))
        func milliseconds(_ duration: Duration) -> String { String(format: "%.1f ms", duration.inSeconds * 1000) }
        func quantile(_ part: Double) -> Duration {
            latencies.isEmpty ? .zero : latencies[min(Int(part * Double(latencies.count)), latencies.count - 1)]
        }
        print(
            """
            \(engine)
            commits    \(Int(items / Double(seconds)))/s by \(writers) writers over \(repositories) repositories
            groups     \(String(format: "%.1f", items / groups)) commits each, the largest \(after.largestGroup)
            bodies     \(String(format: "%.0f", bodies.inSeconds / items * 1e6)) µs a commit
            waiting    \(milliseconds((after.waiting - before.waiting) / max(Int(groups), 1))) a group
            flush      \(milliseconds(commits / max(Int(groups), 1))) a group, at worst \(milliseconds(after.longestCommit))
            checkpoint \(after.checkpoints), \(milliseconds(after.checkpointing)) of the committer's time in all
            log        \(after.logSizeBytes >> 20) MiB
            latency    p50 \(milliseconds(quantile(0.5))), p99 \(milliseconds(quantile(0.99)))
            """)
    }

    @Test(arguments: Engine.all) func reads(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        for id in 1...1000 { try await store.insert(Int64(id), "\(id) " + String(repeating: "r", count: 300)) }
        let (database, tally) = (store.database, Tally())
        let end = clock.now + .seconds(seconds)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in 0..<writers {
                group.addTask { [clock] in
                    var id = reader
                    while clock.now < end {
                        id = (id * 31 + 7) % 1000
                        let key = SQLValue.integer(id + 1)
                        _ = try await database.read { try $0.first("SELECT id, body FROM note WHERE id = $1", [key]) }
                        _ = tally.next()
                    }
                }
            }
            try await group.waitForAll()
        }
        print("\(engine)\nreads      \(tally.count / seconds)/s by \(writers) readers")
        await database.close()
    }

    @Test(arguments: Engine.all) func streams(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        let body = String(repeating: "s", count: 500)
        try await store.database.write { scope in
            for id in 1...100_000 {
                try scope.execute(
                    "INSERT INTO note (id, body) VALUES ($1, $2)", [.integer(id), .text("\(id) \(body)")])
            }
        }
        let started = clock.now
        let stream = try await store.database.stream { scope, sink in
            try scope.forEach("SELECT body FROM note ORDER BY id", []) { row in
                try sink.write(Array(try row.text(0).utf8))
                return true
            }
        }
        var bytes = 0
        for try await chunk in stream { bytes += chunk.count }
        let rate = Double(bytes) / 1e6 / (clock.now - started).inSeconds
        print("\(engine)\nstream     \(String(format: "%.0f", rate)) MB/s, rows of 500 bytes")
        await store.database.close()
    }
}
