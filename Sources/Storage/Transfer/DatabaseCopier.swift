package import Base

/// How far a copy is.
package struct CopyProgress: Sendable, Hashable {
    /// What is being done.
    package enum Phase: String, Sendable {
        case preparing
        /// Every table, from its first row to its last.
        case copying
        /// What changed since.
        case following
        /// Both sides are read whole.
        case comparing
        /// Writes are refused for a moment.
        case holding
        /// The target counts; both sides are read whole once more.
        case confirming
    }

    package let phase: Phase
    /// The table at work, if there is one.
    package var table: String?
    /// Rows, keys or tables so far.
    package var done: Int64 = 0
    /// Of how many; 0 while nobody knows.
    package var total: Int64 = 0

    package init(phase: Phase, table: String? = nil, done: Int64 = 0, total: Int64 = 0) {
        self.phase = phase
        self.table = table
        self.done = done
        self.total = total
    }
}

/// How a copy ended.
package struct CopyReport: Sendable, Hashable {
    /// A table on both sides, as of the moment of the move.
    package struct Table: Sendable, Hashable {
        package let source: TableSummary
        package let target: TableSummary
    }

    /// By name. Empty when only the last step of an earlier copy was left to do, or the two sides could not be read once
    /// more afterwards; they were compared before in either case.
    package let tables: [Table]
    /// How long writes were refused.
    package let held: Duration
    /// How long all of it took.
    package let took: Duration
    /// Rows that changed while it ran, each as often as a round carried it.
    package let changeCount: Int
    /// Rounds of changes, the last one included.
    package let roundCount: Int

    /// The tables that differ. Anything but empty means that something is badly wrong.
    package var differing: [String] { tables.filter { $0.source != $0.target }.map(\.source.table) }
}

/// Copies a database to an empty one while it is served, and has the other one count from one moment on.
///
/// Copy, follow, compare, hold, switch: docs/decisions/0009-copying-while-serving.md. Whatever ends it before the switch
/// leaves the source as it was; whatever ends it after the switch leaves the last step to the next run.
package struct DatabaseCopier: Sendable {
    /// The two databases and what has to be known of them.
    package struct Work: Sendable {
        package var source: any Database
        package var target: any Database
        /// Where the target is, for people; without a password.
        package var targetName: String
        /// Those of the source.
        package var migrations: [Migration]

        package init(source: any Database, target: any Database, targetName: String, migrations: [Migration]) {
            self.source = source
            self.target = target
            self.targetName = targetName
            self.migrations = migrations
        }
    }

    /// With so few changes in a round, the next one may be made while writes are held.
    private static let calmKeys = 300
    /// Rounds after which writes are held although there are more.
    private static let roundsMax = 40
    /// Attempts with writes held.
    private static let holdsMax = 5
    /// Bytes of changes that the last round may carry.
    private static let deltaSizeBytesMax = 64 << 20

    let work: Work
    let clock: any WallClock
    let token: String
    let switchOver: @Sendable () -> Void
    let report: @Sendable (CopyProgress) -> Void
    let time = ContinuousClock()

    /// - Parameters:
    ///   - switchOver: called while writes are held, once the target counts: has the server use it.
    ///   - report: takes word of how far it is; called often.
    package init(
        _ work: Work, clock: any WallClock, randomness: any Randomness, switchOver: @escaping @Sendable () -> Void,
        report: @escaping @Sendable (CopyProgress) -> Void = { _ in }
    ) {
        self.work = work
        self.clock = clock
        self.switchOver = switchOver
        self.report = report
        token = Hex.encode(randomness.bytes(16))
    }

    /// Does all of it.
    ///
    /// - Throws: `CopyError`, `TransferError`, `MigrationError`, storage errors, `CancellationError`: the source is as
    ///   it was. `CopyError.unclear`: run it again.
    package func run() async throws -> CopyReport {
        let started = time.now
        report(CopyProgress(phase: .preparing))
        let target = CopyTarget(work.target)
        let dialect = work.source.dialect
        let (mark, tables, identity) = try await work.source.read { scope in
            let tables = try TableCatalog.tables(in: scope, dialect)
            guard tables.contains(where: { $0.name == "storage_meta" }) else { throw CopyError.otherSchema }
            let key = try scope.first("SELECT value FROM storage_meta WHERE name = 'vault.key'")?.text(0)
            return (try CopyMark.find(in: scope, dialect), tables, key ?? "none")
        }
        if let mark, mark.phase == .moved { return try await finish(mark, target, since: started) }
        try await target.prepare(work.migrations, clock: clock, token: token, identity: identity)
        try await compareSchemas(tables)
        let capture = ChangeCapture(work.source, token: token)
        do {
            try await capture.install(tables, peer: work.targetName)
            var copy = RunningCopy(copier: self, target: target, capture: capture, tables: tables)
            try await copy.copyAll()
            try await copy.follow()
            let (held, confirmation) = try await copy.move()
            // The source has moved from here on: nothing is taken back.
            return await copy.confirm(confirmation, held: held, since: started)
        } catch {
            // Does nothing where the source has moved.
            await capture.remove()
            throw error
        }
    }

    /// The last step of a copy whose source has moved already.
    private func finish(
        _ mark: CopyMark, _ target: CopyTarget, since started: ContinuousClock.Instant
    ) async throws -> CopyReport {
        let other = try await CopyMark.find(in: work.target)
        guard let other, other.phase == .complete, other.token == mark.token else {
            throw CopyError.moved(to: mark.peer)
        }
        try await target.open(token: mark.token)
        switchOver()
        return CopyReport(tables: [], held: .zero, took: time.now - started, changeCount: 0, roundCount: 0)
    }

    private func compareSchemas(_ tables: [TransferTable]) async throws {
        let steps: @Sendable (any ReadScope) throws -> [Row] = { scope in
            try scope.query("SELECT room, number, digest FROM storage_migration ORDER BY room, number")
        }
        let dialect = work.target.dialect
        let others = try await work.target.read { try TableCatalog.tables(in: $0, dialect) }
        guard try await work.source.read(steps) == work.target.read(steps), tables == others else {
            throw CopyError.otherSchema
        }
    }

    // MARK: What a running copy may know

    static func isCalm(_ keyCount: Int, rounds: Int) -> Bool { keyCount <= calmKeys || rounds >= roundsMax }
    static var attempts: Int { holdsMax }
    static var keepingMax: Int { deltaSizeBytesMax }
}
