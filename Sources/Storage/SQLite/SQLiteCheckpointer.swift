import GRDBSQLite
import Synchronization

/// Carries changes from the write-ahead log into the file, between two groups.
final class SQLiteCheckpointer: Sendable {
    private struct State {
        var checkpoints = 0
        var checkpointing = Duration.zero
        var logPages = 0
    }

    private let options: SQLiteOptions
    private let streams: RunningStreams
    private let state = Mutex(State())

    init(options: SQLiteOptions, streams: RunningStreams) {
        self.options = options
        self.streams = streams
    }

    func report(into statistics: inout DatabaseStatistics) {
        state.withLock { state in
            statistics.checkpoints = state.checkpoints
            statistics.checkpointing = state.checkpointing
            statistics.logSizeBytes = state.logPages * SQLiteFile.pageSizeBytes
        }
    }

    /// Called by the committer after each group.
    func run(on connection: SQLiteConnection) {
    }
}
