/// Bounds and sizes of a SQLite database. The defaults suit one instance on a small machine.
package struct SQLiteOptions: Sendable {
    /// The writer's page cache.
    package var writerCacheBytes = 16 << 20
    /// Reading connections, each on a thread of its own, made when first needed.
    package var readersMax = 4
    /// The page cache of each reading connection.
    package var readerCacheBytes = 1 << 20
    /// Reads that may wait; a further one is refused with `.overloaded`.
    package var readsWaitingMax = 4096
    /// A read that takes longer is interrupted with `.timedOut`.
    package var readDurationMax = Duration.seconds(10)
    /// Writes that may wait; a further one is refused with `.overloaded`.
    package var writesWaitingMax = 4096
    /// Writes that share one transaction and one flush to disk.
    package var groupMax = 256
    /// After this time no further write of a group is started: the rest forms the next group.
    package var groupDurationMax = Duration.milliseconds(25)
    /// How long to wait for another process that holds the database.
    package var busyTimeout = Duration.seconds(5)
    /// Changes are carried from the log into the file once the log holds so many bytes.
    package var checkpointSizeBytes = 64 << 20
    /// Streams are ended with `.stalled` when their snapshots let the log grow past this.
    package var logSizeBytesMax = 1 << 30
    /// What concerns streams.
    package var streams = StreamLimits()
    /// The size the file may have; writes past it fail with `.full`. Nil: as large as the disk allows.
    package var sizeBytesMax: Int64?

    package init() {}
}
