/// Counters of a database since it was opened, for metrics.
package struct DatabaseStatistics: Sendable, Hashable {
    /// Groups committed; each is one transaction and one flush to disk.
    package var groups = 0
    /// Writes committed in those groups.
    package var items = 0
    /// Writes that failed alone, by what their body threw.
    package var itemsFailed = 0
    /// Groups that could not be committed.
    package var groupsFailed = 0
    /// Groups replayed one by one, because an append threw after its first change.
    package var groupsReplayed = 0
    /// Writes refused because the queue was full.
    package var overloads = 0
    /// Writes waiting at this moment.
    package var queued = 0
    /// The largest group.
    package var largestGroup = 0
    /// Time that groups spent waiting for their turn among those of other processes.
    package var waiting = Duration.zero
    /// Time spent in the bodies of writes.
    package var executing = Duration.zero
    /// Time spent committing, the flush to disk included.
    package var committing = Duration.zero
    /// The longest single commit.
    package var longestCommit = Duration.zero
    /// Checkpoints made: changes carried from the log into the file.
    package var checkpoints = 0
    /// Time spent on those.
    package var checkpointing = Duration.zero
    /// Size of the log of changes that are not in the file yet.
    package var logSizeBytes = 0
    /// Streams running at this moment.
    package var streams = 0
    /// Connections opened to a server; more than its threads means that some were lost.
    package var connections = 0
    /// Attempts to connect that failed.
    package var connectionFailures = 0

    package init() {}
}
