/// Bounds of the log.
package struct LogLimits: Sendable {
    /// The newest events kept in memory for all readers, in bytes of frames.
    package var ringSizeBytesMax = 16 << 20
    /// Bytes of one page given to a reader. A page holds at least one event.
    package var pageSizeBytesMax = 1 << 20
    /// Readers that may wait for the next event; a further one is refused with `.overloaded`.
    package var waitersMax = 10_000
    /// Events older than this are removed, except those a follower has not seen.
    package var ageMax = Duration.seconds(72 * 3600)
    /// Past so many bytes of frames the oldest are removed, except those a follower has not seen.
    package var sizeBytesMax: Int64 = 8 << 30
    /// Past so many bytes of frames the oldest are removed whether or not every follower has seen them: a follower
    /// that died must not fill the disk. It learns of it (`LogFollower`) and has to rebuild what it keeps.
    package var sizeBytesHardMax: Int64 = 32 << 30
    /// Events removed by one transaction.
    package var removalsMax = 500

    package init() {}
}
