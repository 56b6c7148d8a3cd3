import Base
import Publishing
import Storage
import Web

/// What `/metrics` tells of an instance beside its requests.
enum InstanceMetrics {
    static func register(_ store: InstanceStore, _ firehose: FirehoseService, in registry: MetricRegistry) {
        ProcessMetrics.register(in: registry)
        let (database, log) = (store.database, store.log)
        registry.gauge("kith_log_head", help: "The number of the newest event.") { Double(log.head) }
        registry.gauge("kith_log_oldest", help: "The number of the oldest event that can be replayed.") {
            Double(log.oldest)
        }
        registry.gauge("kith_firehose_subscribers", help: "Subscribers of the firehose.") {
            Double(firehose.subscriberCount)
        }
        for one in counted {
            registry.counter("kith_database_\(one.name)_total", help: one.help) { one.value(database.statistics()) }
        }
        for one in present {
            registry.gauge("kith_database_" + one.name, help: one.help) { one.value(database.statistics()) }
        }
    }

    /// A figure of the database.
    private struct Figure: Sendable {
        let name: String
        let help: String
        let value: @Sendable (DatabaseStatistics) -> Double
    }

    private static let counted: [Figure] = [
        Figure(name: "groups", help: "Groups committed: one transaction and one flush each.") { Double($0.groups) },
        Figure(name: "writes", help: "Writes committed in groups.") { Double($0.items) },
        Figure(name: "writes_failed", help: "Writes that failed alone.") { Double($0.itemsFailed) },
        Figure(name: "groups_failed", help: "Groups that could not be committed.") { Double($0.groupsFailed) },
        Figure(name: "groups_replayed", help: "Groups replayed one by one.") { Double($0.groupsReplayed) },
        Figure(name: "overloads", help: "Writes refused because too many waited.") { Double($0.overloads) },
        Figure(name: "executing_seconds", help: "Time in the bodies of writes.") { $0.executing.inSeconds },
        Figure(name: "committing_seconds", help: "Time in commits, the flush to disk included.") {
            $0.committing.inSeconds
        },
        Figure(name: "checkpoints", help: "Checkpoints made.") { Double($0.checkpoints) },
        Figure(name: "checkpointing_seconds", help: "Time in checkpoints.") { $0.checkpointing.inSeconds },
    ]

    private static let present: [Figure] = [
        Figure(name: "writes_waiting", help: "Writes that wait.") { Double($0.queued) },
        Figure(name: "group_writes_max", help: "The largest group since the start.") { Double($0.largestGroup) },
        Figure(name: "commit_seconds_max", help: "The longest commit since the start.") { $0.longestCommit.inSeconds },
        Figure(name: "log_bytes", help: "Size of the changes that are not in the file yet.") {
            Double($0.logSizeBytes)
        },
        Figure(name: "streams", help: "Long reads that run.") { Double($0.streams) },
    ]
}
