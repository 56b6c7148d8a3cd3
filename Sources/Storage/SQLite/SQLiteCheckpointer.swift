import Dispatch
import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// Carries changes from the write-ahead log into the file, so that the log starts over instead of growing.
///
/// The bulk is carried by a thread of its own while the committer goes on. What was added meanwhile is little, and is
/// carried by the committer between two groups: only then is the whole log in the file, and the next group starts it
/// over. A reader that still needs the log delays that; the next attempt is made once the log has grown further.
final class SQLiteCheckpointer: Sendable {
    private struct State {
        var checkpoints = 0
        var checkpointing = Duration.zero
        var logPages = 0
        /// The bulk is to be carried once the log has so many pages.
        var nextBulkPages: Int
        var isBulkRunning = false
        /// The bulk has been carried; the committer has to carry the rest.
        var isRestDue = false
        var isClosed = false
    }

    /// Passes over the log that the thread makes before it leaves the rest to the committer.
    private static let passesMax = 5
    /// So many pages are a matter of a few milliseconds.
    private static let restPagesMax = 512

    private let options: SQLiteOptions
    private let streams: RunningStreams
    private let state: Mutex<State>
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let clock = ContinuousClock()

    private var thresholdPages: Int { max(options.checkpointSizeBytes / SQLiteFile.pageSizeBytes, 16) }
    private var boundPages: Int { max(options.logSizeBytesMax / SQLiteFile.pageSizeBytes, thresholdPages * 2) }

    init(options: SQLiteOptions, streams: RunningStreams) {
        self.options = options
        self.streams = streams
        let threshold = max(options.checkpointSizeBytes / SQLiteFile.pageSizeBytes, 16)
        state = Mutex(State(nextBulkPages: threshold))
    }

    func report(into statistics: inout DatabaseStatistics) {
        state.withLock { state in
            statistics.checkpoints = state.checkpoints
            statistics.checkpointing = state.checkpointing
            statistics.logSizeBytes = state.logPages * SQLiteFile.pageSizeBytes
        }
    }

    /// Starts the thread that carries the bulk, with a connection of its own.
    func start(_ queue: DatabaseQueue) {
        let thread = Thread { [self] in
            queue.inDatabase { db in
                guard let handle = db.sqliteConnection else { return }
                while waitForBulk() {
                    carryBulk(on: handle)
                    state.withLock { state in
                        state.isBulkRunning = false
                        state.isRestDue = true
                    }
                }
            }
            try? queue.close()
            ended.signal()
        }
        thread.name = "kith-checkpoint"
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// Ends the thread; returns once it has closed its connection.
    func stop() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        wake.signal()
        ended.wait()
    }

    /// Called by the committer after each group: `logPages` is the size of the log, `handle` the writing connection.
    func afterGroup(logPages: Int, on handle: OpaquePointer) {
        let (startsBulk, carriesRest, outgrown) = state.withLock { state in
            state.logPages = logPages
            let carriesRest = state.isRestDue
            state.isRestDue = false
            let startsBulk = !carriesRest && !state.isBulkRunning && logPages >= state.nextBulkPages
            if startsBulk { state.isBulkRunning = true }
            return (startsBulk, carriesRest, logPages > boundPages)
        }
        if startsBulk { wake.signal() }
        if carriesRest { carryRest(on: handle) }
        if outgrown { streams.stopAll(with: .stalled) }
    }

    /// Carries until little is left: what a pass leaves is what the committer added while it ran, so that each pass
    /// is shorter than the one before.
    private func carryBulk(on handle: OpaquePointer) {
        for _ in 0..<Self.passesMax {
            guard let result = checkpoint(handle) else { return }
            // A reader needs the log: another pass would carry nothing more.
            guard result.carried == result.total else { return }
            let (left, isClosed) = state.withLock { ($0.logPages - Int(result.carried), $0.isClosed) }
            guard left > Self.restPagesMax, !isClosed else { return }
        }
    }

    private func carryRest(on handle: OpaquePointer) {
        let started = clock.now
        let result = checkpoint(handle)
        let duration = clock.now - started
        state.withLock { state in
            state.checkpoints += 1
            state.checkpointing += duration
            // Complete: the next group starts the log over. Else a reader is in the way, or the disk; as every
            // attempt costs a flush, the next one waits until there is more to carry.
            let isComplete = result.map { $0.carried == $0.total } ?? false
            state.nextBulkPages = isComplete ? thresholdPages : state.logPages + thresholdPages / 2
        }
    }

    /// A passive checkpoint: carries what no reader needs, waits for nobody.
    private func checkpoint(_ handle: OpaquePointer) -> (total: Int32, carried: Int32)? {
        var (total, carried): (Int32, Int32) = (0, 0)
        let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, &total, &carried)
        return code == SQLITE_OK ? (total, carried) : nil
    }

    private func waitForBulk() -> Bool {
        while true {
            wake.wait()
            let (isClosed, isBulkRunning) = state.withLock { ($0.isClosed, $0.isBulkRunning) }
            if isClosed { return false }
            if isBulkRunning { return true }
        }
    }
}
