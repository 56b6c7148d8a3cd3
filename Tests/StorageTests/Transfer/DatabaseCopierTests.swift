import Base
import Storage
import Synchronization
import TestDatabases
import Testing

/// A database is copied while it is written to, and from one moment on the copy counts.
@Suite struct DatabaseCopierTests {
    private static let migrations = [TestStore.notes, TransferTests.samples]

    private static func work(_ source: any Database, _ target: any Database) -> DatabaseCopier.Work {
        DatabaseCopier.Work(source: source, target: target, targetName: "elsewhere", migrations: migrations)
    }

    private static func copier(
        _ work: DatabaseCopier.Work, switchOver: @escaping @Sendable () -> Void = {},
        report: @escaping @Sendable (CopyProgress) -> Void = { _ in }
    ) -> DatabaseCopier {
        DatabaseCopier(
            work, clock: ManualClock(), randomness: SystemRandomness(), switchOver: switchOver, report: report)
    }

    private static func source(_ engine: Engine) async throws -> TestStore {
        let store = try await TestStore(engine, migrations)
        try await TransferTests.insert(SampleRow.some(300, SeededRandomness(seed: 5)), store.database)
        for id in 0..<50 { try await store.insert(Int64(id), "start \(id)") }
        return store
    }

    @Test(arguments: Engine.pairs) func nothingIsLostOrDoubledUnderLoad(_ from: Engine, _ to: Engine) async throws {
        let source = try await Self.source(from)
        let scratch = try await ScratchDatabase(to)
        let target = try scratch.open()
        let database = SwitchingDatabase(source.database)
        let load = NoteLoad(database)
        let report = try await load.run(writers: 4) { [database] in
            try await Self.copier(Self.work(source.database, target)) { database.switchOver(to: target) }.run()
        }
        #expect(report.differing.isEmpty)
        #expect(report.tables.contains { $0.source.table == "sample" && $0.source.rowCount == 300 })
        #expect(report.changeCount > 0)
        let notes = try await target.read { scope in
            try scope.query("SELECT id, body FROM note WHERE id >= 1000 ORDER BY id").map {
                "\(try $0.integer(0)) \(try $0.text(1))"
            }
        }
        #expect(notes == load.expected)
        #expect(load.writesAfterSwitch > 0)
        // Every number was given once, the one after the last included.
        #expect(try await target.write { try $0.advance(NoteLoad.numbers, by: 1) } == load.writeCount + 1)

        // The source refuses whoever comes, and says why; the target is as any other.
        await #expect(throws: StorageError.held) { try await source.insert(99_999, "late") }
        await #expect(throws: StorageError.held) {
            try await source.database.write { try $0.execute("DELETE FROM sample") }
        }
        await #expect(throws: CopyError.moved(to: "elsewhere")) {
            try await CopyMark.confirmUse(of: source.database, isAlone: true)
        }
        try await CopyMark.confirmUse(of: target, isAlone: true)
        #expect(try await CopyMark.find(in: target) == nil)
        await #expect(throws: CopyError.targetBusy) {
            try await Self.copier(Self.work(target, source.database)).run()
        }
        await database.close()
    }

    @Test(arguments: Engine.pairs) func aCopyThatIsBrokenOffLeavesTheSourceAndBeginsAnew(
        _ from: Engine, _ to: Engine
    ) async throws {
        let source = try await Self.source(from)
        let scratch = try await ScratchDatabase(to)
        let target = try scratch.open()
        let before = try await TransferTests.dump(source.database)
        for phase in [CopyProgress.Phase.preparing, .copying, .following, .comparing, .holding] {
            let stop = Mutex<Task<Void, any Error>?>(nil)
            let (started, start) = AsyncStream<Void>.makeStream()
            let task = Task {
                for await _ in started { break }
                let report: @Sendable (CopyProgress) -> Void = { progress in
                    if progress.phase == phase { stop.withLock { $0?.cancel() } }
                }
                _ = try await Self.copier(Self.work(source.database, target), report: report).run()
            }
            stop.withLock { $0 = task }
            start.finish()
            await #expect(throws: (any Error).self, "\(phase)") { try await task.value }
            #expect(try await CopyMark.find(in: source.database) == nil, "\(phase)")
            let left = try await source.database.read { scope in
                try TableCatalog.tables(in: scope, source.database.dialect).count
            }
            #expect(left == 10, "\(phase)")
            #expect(try await TransferTests.dump(source.database) == before, "\(phase)")
        }
        try await source.insert(777, "still writable")
        let report = try await Self.copier(Self.work(source.database, target)).run()
        #expect(report.differing.isEmpty)
        #expect(try await TransferTests.dump(target) == TransferTests.dump(source.database))
        await source.database.close()
        await target.close()
    }

    @Test(arguments: Engine.all) func unsuitableTargetsAreRefused(_ engine: Engine) async throws {
        let source = try await Self.source(.sqlite)
        func refusal(_ prepare: (any Database) async throws -> Void) async throws -> (any Error)? {
            let scratch = try await ScratchDatabase(engine)
            let target = try scratch.open()
            try await prepare(target)
            defer { withExtendedLifetime(scratch) {} }
            do {
                _ = try await Self.copier(Self.work(source.database, target)).run()
                await target.close()
                return nil
            } catch {
                await target.close()
                return error
            }
        }
        func migrate(_ target: any Database, _ more: [Migration] = []) async throws {
            _ = try await Migrator(Self.migrations + more, clock: ManualClock()).migrate(target)
        }
        let foreign = try await refusal { try await $0.write { _ = try $0.execute("CREATE TABLE other (id INTEGER)") } }
        #expect(foreign != nil)
        let full = try await refusal { target in
            try await migrate(target)
            try await target.write { _ = try $0.execute("INSERT INTO note (id, body) VALUES (1, 'a')") }
        }
        #expect(full as? CopyError == .targetNotEmpty(table: "note"))
        let other = try await refusal { target in
            try await migrate(target)
            try await target.write {
                _ = try $0.execute("INSERT INTO storage_meta (name, value) VALUES ('vault.key', 'other')")
            }
        }
        #expect(other as? CopyError == .otherInstance)
        let newer = try await refusal { target in
            try await migrate(target, [Migration(room: "later", number: 1, statements: ["SELECT 1"])])
        }
        #expect(newer as? MigrationError == .newer(room: "later", number: 1))
        #expect(try await CopyMark.find(in: source.database) == nil)
        try await source.insert(777, "still writable")
        await source.database.close()
    }
}

/// Tasks that write notes of their own, in every way, and know what must be there in the end.
private final class NoteLoad: Sendable {
    private struct State {
        var notes: [Int64: String] = [:]
        var isOver = false
        var hasSwitched = false
        var writesAfterSwitch = 0
        var writeCount: Int64 = 0
    }

    static let numbers = SequenceName("notes.writes")

    private let database: SwitchingDatabase
    private let state = Mutex(State())
    private static let writesAtEnd = 20

    init(_ database: SwitchingDatabase) {
        self.database = database
    }

    var expected: [String] {
        state.withLock { state in state.notes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" } }
    }

    var writeCount: Int64 { state.withLock { $0.writeCount } }

    var writesAfterSwitch: Int { state.withLock { $0.writesAfterSwitch } }

    /// Runs `body` under load, and lets every writer write on for a while after it.
    func run<T: Sendable>(writers: Int, _ body: @Sendable () async throws -> T) async throws -> T {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers { group.addTask { try await self.write(UInt64(writer)) } }
            do {
                let result = try await body()
                state.withLock { ($0.isOver, $0.hasSwitched) = (true, true) }
                try await group.waitForAll()
                return result
            } catch {
                state.withLock { $0.isOver = true }
                throw error
            }
        }
    }

    private func write(_ writer: UInt64) async throws {
        let random = SeededRandomness(seed: writer + 1)
        let first = 1000 * Int64(writer + 1)
        var left = Self.writesAtEnd
        for turn in 0... {
            if state.withLock({ $0.isOver }) { left -= 1 }
            if left < 0 { return }
            let (one, two) = (first + Int64(random.below(40)), first + Int64(random.below(40)))
            let isAppend = random.oneIn(2)
            let kind = random.below(4)
            let change: @Sendable (any WriteScope) throws -> [Int64: String?] = { scope in
                let bodies = try [one, two].map { id in
                    try scope.first("SELECT body FROM note WHERE id = $1", [.integer(id)])?.text(0)
                }
                _ = try scope.advance(Self.numbers, by: 1)
                switch (kind, bodies[0], bodies[1]) {
                case (0, _?, _):
                    try scope.execute("DELETE FROM note WHERE id = $1", [.integer(one)])
                    return [one: nil]
                case (1, let here?, let there?) where one != two:
                    // Two rows exchange what must be unique.
                    try scope.execute("UPDATE note SET body = 'nobody''s' WHERE id = $1", [.integer(one)])
                    try scope.execute("UPDATE note SET body = $1 WHERE id = $2", [.text(here), .integer(two)])
                    try scope.execute("UPDATE note SET body = $1 WHERE id = $2", [.text(there), .integer(one)])
                    return [one: there, two: here]
                default:
                    let body = "\(writer) \(turn)"
                    try scope.execute(
                        """
                        INSERT INTO note (id, body) VALUES ($1, $2)
                        ON CONFLICT (id) DO UPDATE SET body = excluded.body
                        """, [.integer(one), .text(body)])
                    return [one: body]
                }
            }
            do {
                let changes = isAppend ? try await database.append(change) : try await database.write(change)
                state.withLock { state in
                    for (id, body) in changes { state.notes[id] = body }
                    state.writeCount += 1
                    if state.hasSwitched { state.writesAfterSwitch += 1 }
                }
            } catch StorageError.held {
                await Task.yield()
            } catch StorageError.busy {}
        }
    }
}
