package import Base

/// The rows of jobs. A claim takes a job's lease until a moment; a job whose worker died can then be claimed anew.
///
/// One column holds both when a waiting job is due and when a lease runs out, so that one index finds both.
package struct JobStore: Sendable {
    /// What to do when a job of the same kind and key is there already.
    package enum Existing: Sendable {
        /// Leave it as it is. One that was given up starts over.
        case keep
        /// Take the new payload and moment; a claim that is under way counts no more, and the job runs again.
        case replace
    }

    private let dialect: SQLDialect
    private let randomness: any Randomness

    /// The moment of jobs that were given up: later than any other.
    private static let never = Int64.max
    /// Bytes kept of the reason for a failure.
    private static let reasonSizeBytesMax = 500

    package init(dialect: SQLDialect, randomness: any Randomness) {
        self.dialect = dialect
        self.randomness = randomness
    }

    /// Queues a job as part of the transaction of `scope`.
    /// - Returns: whether a row was added or changed.
    @discardableResult
    package func enqueue(
        _ kind: JobKind, key: String, payload: [UInt8] = [], runAt: Timestamp, now: Timestamp,
        existing: Existing = .keep, in scope: any WriteScope
    ) throws(StorageError) -> Bool {
        let condition =
            switch existing {
            case .keep: " WHERE job.failed_at IS NOT NULL"
            case .replace: ""
            }
        return try scope.execute(
            """
            INSERT INTO job (kind, key, payload, run_at, attempts, created_at) VALUES ($1, $2, $3, $4, 0, $5)
            ON CONFLICT (kind, key) DO UPDATE SET
                payload = excluded.payload, run_at = excluded.run_at, attempts = 0, lease = NULL, failed_at = NULL,
                last_error = NULL
            """ + condition,
            [
                .text(kind.rawValue), .text(key), .blob(payload), .integer(min(runAt.microseconds, Self.never - 1)),
                .integer(now.microseconds),
            ]) > 0
    }

    /// Takes up to `limit` jobs that are due, the longest due first, until `now + lease`.
    package func claim(
        _ kind: JobKind, limit: Int, lease: Duration, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) -> [Job] {
        let token = Hex.encode(randomness.bytes(12))
        let rows = try scope.query(
            """
            UPDATE job SET run_at = $1, attempts = attempts + 1, lease = $2
            WHERE kind = $3 AND key IN (
                SELECT key FROM job WHERE kind = $3 AND run_at <= $4 ORDER BY run_at LIMIT $5\(dialect.claimSuffix)
            )
            RETURNING key, payload, attempts, created_at
            """,
            [
                .integer(now.advanced(by: lease).microseconds), .text(token), .text(kind.rawValue),
                .integer(min(now.microseconds, Self.never - 1)), .integer(limit),
            ])
        var jobs: [Job] = []
        for row in rows {
            jobs.append(
                Job(
                    kind: kind, key: try row.text(0), payload: try row.blob(1), attempts: Int(try row.integer(2)),
                    createdAt: Timestamp(microseconds: try row.integer(3)), lease: token))
        }
        return jobs
    }

    /// Removes a job that is done. To be called in the transaction of its effects, where those are in the database.
    /// - Returns: false when the lease was lost meanwhile; the effects of this transaction must then be undone.
    package func complete(_ job: Job, in scope: any WriteScope) throws(StorageError) -> Bool {
        try scope.execute(
            "DELETE FROM job WHERE kind = $1 AND key = $2 AND lease = $3",
            [.text(job.kind.rawValue), .text(job.key), .text(job.lease)]) == 1
    }

    /// Keeps the lease until `until`.
    /// - Returns: false when the lease was lost meanwhile.
    package func extend(_ job: Job, until: Timestamp, in scope: any WriteScope) throws(StorageError) -> Bool {
        try scope.execute(
            "UPDATE job SET run_at = $4 WHERE kind = $1 AND key = $2 AND lease = $3",
            [.text(job.kind.rawValue), .text(job.key), .text(job.lease), .integer(until.microseconds)]) == 1
    }

    /// Gives a job back: to be tried again at `retryAt`, or given up when that is nil.
    /// - Returns: false when the lease was lost meanwhile; nothing was changed then.
    @discardableResult
    package func fail(
        _ job: Job, reason: String, retryAt: Timestamp?, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) -> Bool {
        let runAt = retryAt.map { min($0.microseconds, Self.never - 1) } ?? Self.never
        return try scope.execute(
            """
            UPDATE job SET run_at = $4, lease = NULL, last_error = $5, failed_at = $6
            WHERE kind = $1 AND key = $2 AND lease = $3
            """,
            [
                .text(job.kind.rawValue), .text(job.key), .text(job.lease), .integer(runAt), .text(Self.short(reason)),
                .integer(optional: retryAt == nil ? now.microseconds : nil),
            ]) == 1
    }

    /// When the next job of the kind is due, or a lease of it runs out; nil when there is none.
    package func nextDue(_ kind: JobKind, in scope: any ReadScope) throws(StorageError) -> Timestamp? {
        try scope.first(
            "SELECT run_at FROM job WHERE kind = $1 AND run_at < $2 ORDER BY run_at LIMIT 1",
            [.text(kind.rawValue), .integer(Self.never)]
        )?.integer(0).asTimestamp
    }

    /// Jobs of the kind that were given up, the latest first.
    package func failed(_ kind: JobKind, limit: Int, in scope: any ReadScope) throws(StorageError) -> [FailedJob] {
        var jobs: [FailedJob] = []
        for row in try scope.query(
            """
            SELECT key, attempts, failed_at, last_error FROM job
            WHERE kind = $1 AND run_at = $2 AND failed_at IS NOT NULL ORDER BY failed_at DESC, key LIMIT $3
            """, [.text(kind.rawValue), .integer(Self.never), .integer(limit)])
        {
            jobs.append(
                FailedJob(
                    kind: kind, key: try row.text(0), attempts: Int(try row.integer(1)),
                    failedAt: Timestamp(microseconds: try row.integer(2)), reason: try row.optionalText(3) ?? ""))
        }
        return jobs
    }

    /// Removes jobs of the kind that were given up before `before`; at most `limit`.
    @discardableResult
    package func removeFailed(
        _ kind: JobKind, before: Timestamp, limit: Int, in scope: any WriteScope
    ) throws(StorageError) -> Int {
        try scope.execute(
            """
            DELETE FROM job WHERE kind = $1 AND key IN (
                SELECT key FROM job WHERE kind = $1 AND run_at = $2 AND failed_at < $3 LIMIT $4
            )
            """,
            [.text(kind.rawValue), .integer(Self.never), .integer(before.microseconds), .integer(limit)])
    }

    private static func short(_ reason: String) -> String {
        let kept = reason.replacing("\0", with: " ").utf8.prefix(reasonSizeBytesMax)
        return String(decoding: kept, as: UTF8.self)
    }
}

extension Int64 {
    fileprivate var asTimestamp: Timestamp { Timestamp(microseconds: self) }
}
