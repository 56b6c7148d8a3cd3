/// Bounds and times of a PostgreSQL database. The defaults suit several processes on one server.
package struct PostgreSQLOptions: Sendable {
    /// Reading connections, each on a thread of its own, made when first needed.
    package var readersMax = 8
    /// Reads that may wait; a further one is refused with `.overloaded`.
    package var readsWaitingMax = 4096
    /// A read that takes longer is cancelled with `.timedOut`.
    package var readDurationMax = Duration.seconds(10)
    /// Writes that may wait; a further one is refused with `.overloaded`.
    package var writesWaitingMax = 4096
    /// Writes that share one transaction and one flush to disk.
    package var groupMax = 256
    /// After this time no further write of a group is started: the rest forms the next group.
    package var groupDurationMax = Duration.milliseconds(25)
    /// How long to try to connect.
    package var connectTimeout = Duration.seconds(3)
    /// When nothing was heard from the server for so long, although somebody waits for it, it is asked for a sign of life.
    package var silenceMax = Duration.milliseconds(750)
    /// A server that gives none within this time stands still: whoever waits for it is told that it is unavailable. With
    /// `silenceMax` and `connectTimeout` this bounds how long a request may wait.
    package var knockTimeout = Duration.seconds(2)
    /// How long to wait for the groups of other processes; then `.busy`.
    package var lockTimeout = Duration.seconds(4)
    /// A statement that takes longer is ended by the server. Reads have a limit of their own.
    package var statementTimeout = Duration.seconds(30)
    /// The server ends the session of a process that holds a group open for so long without a word: it stands still,
    /// and all others wait for it.
    package var idleInTransactionTimeout = Duration.seconds(10)
    /// Pauses between attempts to connect: they double from the first to the last, give or take a half.
    package var pauseMin = Duration.milliseconds(50)
    /// See `pauseMin`.
    package var pauseMax = Duration.seconds(2)
    /// What other processes announced is looked up at least so often, should a notification have been lost.
    package var pollInterval = Duration.seconds(5)
    /// What concerns streams.
    package var streams = StreamLimits()
    /// A server that follows the first, for streams that may see a state a little older. Nil: the first serves all.
    package var replicaURL: String?

    package init() {}
}
