package import ATProtocol
package import Base

extension EventLog {
    /// Removes the events of a deleted account, all but its newest of kind `account`, a few hundred in a transaction.
    ///
    /// Each transaction is whole by itself; a purge that was interrupted is done again. Nothing of that account may be
    /// appended meanwhile, besides its `account` event.
    /// - Returns: the number of events removed.
    /// - Complexity: O(events of the account).
    @discardableResult
    package func purge(_ did: DID) async throws -> Int {
        let batch = limits.removalsMax
        var total = 0
        while true {
            let removed = try await database.write { [self] scope in
                let removed = try scope.execute(
                    """
                    DELETE FROM log_event WHERE seq IN (
                        SELECT seq FROM log_event WHERE did = $1 AND seq <> COALESCE(
                            (SELECT MAX(seq) FROM log_event WHERE did = $1 AND kind = 'account'), 0)
                        ORDER BY seq LIMIT $2
                    )
                    """, [.text(did.string), .integer(batch)])
                scope.afterCommit { self.forgetRecent() }
                scope.announce(Self.removed, "0")
                return removed
            }
            total += removed
            if removed < batch { return total }
        }
    }

    /// Removes the oldest events that are too old or too much, a few hundred in a transaction; to be called now and
    /// then by a background loop.
    ///
    /// What a registered follower has not seen stays, until the log outgrows `sizeBytesHardMax`.
    /// - Returns: the number of events removed.
    @discardableResult
    package func removeExpired(now: Timestamp) async throws -> Int {
        var total = 0
        while true {
            let (removed, isDone) = try await removeBatch(now: now)
            total += removed
            if isDone { return total }
        }
    }

    private func removeBatch(now: Timestamp) async throws -> (removed: Int, isDone: Bool) {
        let cutoff = now.advanced(by: .zero - limits.ageMax).microseconds
        let limits = limits
        return try await database.write { [self] scope in
            let newest =
                try scope.first(
                    "SELECT value FROM storage_sequence WHERE name = $1", [.text(Self.bytes.name)])?.integer(0) ?? 0
            let lowest = try FollowerCursors.lowest(in: scope) ?? .max
            var last: Int64?
            var seen = 0
            try scope.forEach(
                "SELECT seq, time, log_offset FROM log_event ORDER BY seq LIMIT $1", [.integer(limits.removalsMax)]
            ) { row in
                let (seq, time, end) = (try row.integer(0), try row.integer(1), try row.integer(2))
                // `log_offset` is where the event's bytes end, so that the difference is what came after it.
                let isExpired = time < cutoff || newest - end >= limits.sizeBytesMax
                let isForced = newest - end >= limits.sizeBytesHardMax
                guard isForced || (isExpired && seq <= lowest) else { return false }
                last = seq
                seen += 1
                return true
            }
            guard let last else { return (0, true) }
            let removed = try scope.execute("DELETE FROM log_event WHERE seq <= $1", [.integer(last)])
            try scope.execute(
                """
                INSERT INTO log_removed (id, seq) VALUES (1, $1)
                ON CONFLICT (id) DO UPDATE SET seq = excluded.seq WHERE log_removed.seq < excluded.seq
                """, [.integer(last)])
            scope.afterCommit { self.markRemoved(through: last) }
            scope.announce(Self.removed, String(last))
            return (removed, seen < limits.removalsMax)
        }
    }
}
