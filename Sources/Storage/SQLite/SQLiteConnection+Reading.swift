import GRDBSQLite
import Synchronization

/// A flag that another thread raises to end a long read.
final class StopFlag: Sendable {
    private let raised = Atomic(false)

    var isRaised: Bool { raised.load(ordering: .relaxed) }

    func raise() { raised.store(true, ordering: .relaxed) }
}

extension SQLiteConnection: ReadScope {
    /// Virtual machine steps between two looks at the clock: about a tenth of a millisecond.
    private static let stepsBetweenChecks: Int32 = 5000

    /// Runs `body` inside one read transaction, interrupted when the deadline passes or `stop` is raised.
    func reading<T>(
        deadline: ContinuousClock.Instant? = nil, stop: StopFlag? = nil, _ body: () throws -> T
    ) throws -> T {
        let watch = ReadWatch(deadline: deadline, stop: stop)
        return try withExtendedLifetime(watch) {
            sqlite3_progress_handler(
                handle, Self.stepsBetweenChecks,
                { context in
                    guard let context else { return 0 }
                    return Unmanaged<ReadWatch>.fromOpaque(context).takeUnretainedValue().mustEnd ? 1 : 0
                }, Unmanaged.passUnretained(watch).toOpaque())
            defer { sqlite3_progress_handler(handle, 0, nil, nil) }
            try execute("BEGIN", [])
            defer { endReading() }
            return try body()
        }
    }

    private func endReading() {
        // The watch may have run out; ending must not be interrupted by it.
        sqlite3_progress_handler(handle, 0, nil, nil)
        if isInTransaction { _ = try? execute("ROLLBACK", []) }
    }
}

/// Says when a read has to end.
private final class ReadWatch {
    let deadline: ContinuousClock.Instant?
    let stop: StopFlag?

    init(deadline: ContinuousClock.Instant?, stop: StopFlag?) {
        self.deadline = deadline
        self.stop = stop
    }

    var mustEnd: Bool {
        if let stop, stop.isRaised { return true }
        guard let deadline else { return false }
        return ContinuousClock().now > deadline
    }
}
