package import Base

/// What a backup asks of the log, and does to it.
extension EventLog {
    /// The newest number in the state that `scope` sees; 0 when there never was an event.
    package static func newest(in scope: any ReadScope) throws(StorageError) -> Int64 { try head(in: scope) }

    /// When the newest event that is kept was made; nil when none is.
    package static func newestTime(in scope: any ReadScope) throws(StorageError) -> Timestamp? {
        try scope.first("SELECT time FROM log_event ORDER BY seq DESC LIMIT 1")
            .map { row throws(StorageError) in Timestamp(microseconds: try row.integer(0)) }
    }

    /// Leaves `count` numbers out, 1 or more: after a restore, those that may have been given after the backup.
    /// - Returns: the newest number that is used up.
    @discardableResult
    package static func skip(_ count: Int64, in scope: any WriteScope) throws(StorageError) -> Int64 {
        try scope.advance(events, by: count)
    }

    /// How many numbers to leave out so that none is given twice, if the backup was made at `backup` and is restored at
    /// `now`: for each second between them more than one database can commit, and a million besides, for clocks that differ.
    ///
    /// Restoring one backup twice leaves out more the second time, by as much as could be given in between.
    package static func skipCount(backup: Timestamp, now: Timestamp) -> Int64 {
        let seconds = max(0, now.microseconds / 1_000_000 - backup.microseconds / 1_000_000)
        return skipCountMin + seconds * eventsPerSecondMax
    }

    /// Numbers left out at least.
    package static let skipCountMin: Int64 = 1_000_000
    /// More events than one database commits in a second.
    package static let eventsPerSecondMax: Int64 = 10_000
}
