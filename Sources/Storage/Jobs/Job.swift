package import Base

/// What a job is about; one kind of worker takes one kind. Open: each room declares its own.
package struct JobKind: Sendable, Hashable, RawRepresentable {
    /// Lowercase words joined by dots, e.g. `blobs.delete`.
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }
}

/// Work that must survive a crash: one row, done by whoever holds its lease.
package struct Job: Sendable, Hashable {
    package let kind: JobKind
    /// Unique within the kind: the same work is queued once.
    package let key: String
    /// Whatever the worker needs; the room's own encoding.
    package let payload: [UInt8]
    /// How often it has been claimed, this time included: 1 or more.
    package let attempts: Int
    package let createdAt: Timestamp
    /// Whose claim this is. A claim that has been overtaken changes nothing any more.
    let lease: String
}

/// A job that was given up, for the operator to see.
package struct FailedJob: Sendable, Hashable {
    package let kind: JobKind
    package let key: String
    package let attempts: Int
    package let failedAt: Timestamp
    /// One line, for logs and the operator; never for the outside.
    package let reason: String
}

/// How a failed job is tried again: the pause doubles from `pauseMin` to `pauseMax`, give or take a quarter.
package struct JobRetry: Sendable, Hashable {
    package var attemptsMax: Int
    package var pauseMin: Duration
    package var pauseMax: Duration

    package init(
        attemptsMax: Int = 12, pauseMin: Duration = .seconds(5), pauseMax: Duration = .seconds(6 * 3600)
    ) {
        self.attemptsMax = attemptsMax
        self.pauseMin = pauseMin
        self.pauseMax = pauseMax
    }

    /// When a job that failed `attempts` times runs next; nil when it is to be given up.
    package func next(after attempts: Int, now: Timestamp, randomness: any Randomness) -> Timestamp? {
        guard attempts < attemptsMax else { return nil }
        var pause = max(pauseMin.wholeMicroseconds, 1)
        let longest = max(pauseMax.wholeMicroseconds, pause)
        for _ in 1..<max(attempts, 1) where pause < longest { pause = min(pause * 2, longest) }
        let spread = Int64(randomness.uint64() % UInt64(pause / 2 + 1)) - pause / 4
        return now.advanced(by: .microseconds(pause + spread))
    }
}
