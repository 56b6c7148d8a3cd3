import Synchronization

/// A copy under way: the steps of `DatabaseCopier`.
struct RunningCopy {
    /// What is known of the target when the source has moved, and read at leisure.
    typealias Confirmation = ByteStream

    let copier: DatabaseCopier
    let target: CopyTarget
    let capture: ChangeCapture
    let tables: [TransferTable]
    /// The generation from which on changes have not been carried yet.
    private var generation: Int64 = 1
    private var changeCount = 0
    private var roundCount = 0

    init(copier: DatabaseCopier, target: CopyTarget, capture: ChangeCapture, tables: [TransferTable]) {
        self.copier = copier
        self.target = target
        self.capture = capture
        self.tables = tables
    }

    private var source: any Database { copier.work.source }

    private func renew() throws {
        try Task.checkCancellation()
        capture.renew()
    }

    // MARK: Copying

    /// Every table, each as of a state of its own: what changes meanwhile is written down.
    mutating func copyAll() async throws {
        let total = try await rowCount()
        var before: Int64 = 0
        for table in tables {
            let stream = try await source.stream { scope, sink in
                _ = try TransferWriter.write(table, scope, to: sink)
            }
            var rows: Int64 = 0
            try await target.take(table, from: stream) { count in
                rows = count
                copier.report(
                    CopyProgress(phase: .copying, table: table.name, done: before + count, total: max(total, 1)))
                try renew()
            }
            before += rows
            try renew()
        }
    }

    private func rowCount() async throws -> Int64 {
        let (tables, capture) = (tables, capture)
        // A stream, for a read has little time.
        let stream = try await source.stream { scope, sink in
            var count: Int64 = 0
            for table in tables {
                capture.renew()
                count += try scope.first("SELECT COUNT(*) FROM \"\(table.name)\"")?.integer(0) ?? 0
            }
            var bytes: [UInt8] = []
            RowCodec.append64(UInt64(bitPattern: count), to: &bytes)
            try sink.write(bytes)
        }
        var bytes: [UInt8] = []
        for try await chunk in stream { bytes += chunk }
        return bytes.reduce(0) { $0 << 8 | Int64($1) }
    }

    // MARK: Following

    /// Rounds of changes until little comes; in between, both sides are compared as of one state.
    mutating func follow() async throws {
        try await followUntilCalm()
        try await round(sumsUp: true)
        try await followUntilCalm()
    }

    private mutating func followUntilCalm() async throws {
        for count in 1... {
            let keyCount = try await round(sumsUp: false)
            if DatabaseCopier.isCalm(keyCount, rounds: count) { return }
        }
    }

    @discardableResult
    private mutating func round(sumsUp: Bool) async throws -> Int {
        let next = try await capture.nextGeneration(.capturing)
        let keyCount = try await carry(sumsUp: sumsUp)
        generation = next
        return keyCount
    }

    private mutating func carry(sumsUp: Bool) async throws -> Int {
        copier.report(CopyProgress(phase: .following))
        let capture = capture
        let round = CopyRound(tables: tables, generation: generation, sumsUp: sumsUp) { capture.renew() }
        let stream = try await source.stream { try round.write($0, to: $1) }
        let (target, report, tables) = (target, copier.report, tables)
        // The target is read as soon as it has the source's state, while the source is still being read.
        let (changes, changed) = AsyncStream<Void>.makeStream()
        async let own: [TableSummary] = {
            for await _ in changes { return try await Self.summaries(tables, target.database, report, .comparing) }
            return []
        }()
        defer { changed.finish() }
        let taken = try await target.take(round: stream, keepingMax: 0) {
            if sumsUp { changed.yield() }
        } progress: { count in
            report(CopyProgress(phase: .following, done: Int64(count)))
            try renew()
        }
        changed.finish()
        count(taken.keyCount)
        let found = try await own
        guard found == taken.summaries else {
            throw CopyError.differs(table: zip(found, taken.summaries).first { $0 != $1 }?.0.table ?? "?")
        }
        return taken.keyCount
    }

    private mutating func count(_ keyCount: Int) {
        changeCount += keyCount
        roundCount += 1
    }

    private static func summaries(
        _ tables: [TransferTable], _ database: any Database, _ report: @escaping @Sendable (CopyProgress) -> Void,
        _ phase: CopyProgress.Phase
    ) async throws -> [TableSummary] {
        let stream = try await database.stream { scope, sink in
            for (index, table) in tables.enumerated() {
                report(
                    CopyProgress(phase: phase, table: table.name, done: Int64(index), total: Int64(tables.count)))
                try sink.write(TransferFrame.summary(try TransferWriter.summary(of: table, in: scope)))
            }
        }
        return try await read(stream)
    }

    private static func read(_ stream: ByteStream) async throws -> [TableSummary] {
        var decoder = TransferDecoder(isRound: true)
        decoder.append(TransferFrame.end(count: 0))
        _ = try decoder.next()
        var summaries: [TableSummary] = []
        for try await chunk in stream {
            decoder.append(chunk)
            while case .summary(let summary) = try decoder.next() { summaries.append(summary) }
        }
        try decoder.finish()
        return summaries
    }

    // MARK: Moving

    /// Holds writes, carries what is left, compares it, and has the target count.
    /// - Returns: how long writes were held, and the target as of the move, still to be read.
    mutating func move() async throws -> (Duration, Confirmation) {
        for attempt in 1... {
            try Task.checkCancellation()
            let began = copier.time.now
            let held = try await capture.nextGeneration(.held)
            do {
                try await carryLast()
                try await target.complete(token: copier.token)
                let confirmation = try await openConfirmation()
                try await capture.seal(tables, since: held)
                try await target.open(token: copier.token)
                copier.switchOver()
                return (copier.time.now - began, confirmation)
            } catch let error where Self.mayTryAgain(error) {
                guard attempt < DatabaseCopier.attempts else { throw error }
                try await followUntilCalm()
            }
        }
        throw CopyError.cannotCatchUp
    }

    private static func mayTryAgain(_ error: any Error) -> Bool {
        switch error {
        case CopyError.holdLapsed, CopyError.cannotCatchUp: true
        case StorageError.overloaded, StorageError.timedOut, StorageError.held: true
        default: false
        }
    }

    /// Carries what is left while writes are held, and compares it. It is little, and must not wait for a turn among
    /// downloads: hence a read, and memory.
    private mutating func carryLast() async throws {
        copier.report(CopyProgress(phase: .holding))
        let round = CopyRound(tables: tables, generation: generation, sumsUp: false)
        let bytes = try await source.read { scope in
            let sink = MemorySink(sizeBytesMax: DatabaseCopier.keepingMax)
            try round.write(scope, to: sink)
            return sink.bytes
        }
        let (chunks, chunk) = AsyncStream<[UInt8]>.makeStream()
        chunk.yield(bytes)
        chunk.finish()
        let taken = try await target.take(round: chunks, keepingMax: DatabaseCopier.keepingMax) { _ in }
        count(taken.keyCount)
        guard let delta = taken.delta else { throw CopyError.cannotCatchUp }
        try await target.database.read { try delta.confirm(in: $0) }
    }

    /// Takes hold of the target's state now, to sum it up later.
    private func openConfirmation() async throws -> Confirmation {
        let (opened, opening) = AsyncStream<Void>.makeStream()
        let (tables, report) = (tables, copier.report)
        let stream = try await target.database.stream { scope, sink in
            defer { opening.finish() }
            // The state is that of the first question.
            _ = try scope.first("SELECT 1 FROM storage_meta LIMIT 1")
            opening.yield()
            for (index, table) in tables.enumerated() {
                report(
                    CopyProgress(
                        phase: .confirming, table: table.name, done: Int64(index), total: Int64(tables.count)))
                try sink.write(TransferFrame.summary(try TransferWriter.summary(of: table, in: scope)))
            }
        }
        for await _ in opened { break }
        return stream
    }

    /// Sums up both sides: the source stands still for good, of the target the state of the move is still to be had.
    func confirm(
        _ confirmation: Confirmation, held: Duration, since started: ContinuousClock.Instant
    ) async -> CopyReport {
        var pairs: [CopyReport.Table] = []
        do {
            async let before = Self.summaries(tables, source, { _ in }, .confirming)
            let after = try await Self.read(confirmation)
            pairs = zip(try await before, after).map { CopyReport.Table(source: $0, target: $1) }
        } catch {
            // It has moved all the same, and was compared before.
        }
        return CopyReport(
            tables: pairs, held: held, took: copier.time.now - started, changeCount: changeCount,
            roundCount: roundCount)
    }
}

/// Keeps what is written to it, up to a bound.
private final class MemorySink: ByteSink {
    private let sizeBytesMax: Int
    private(set) var bytes: [UInt8] = []

    init(sizeBytesMax: Int) {
        self.sizeBytesMax = sizeBytesMax
    }

    func write(_ more: [UInt8]) throws(StorageError) {
        guard bytes.count + more.count <= sizeBytesMax else { throw .overloaded }
        bytes += more
    }
}
