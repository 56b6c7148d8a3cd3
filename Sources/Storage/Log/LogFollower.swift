package import Base

/// Why a follower can't go on.
package enum FollowerError: Error, Sendable, Hashable {
    /// Events it had not seen were removed by the hard limit of retention: what it keeps has to be rebuilt, and the
    /// follower registered anew.
    case outdated(name: String, position: Int64, oldest: Int64)
    /// Another process has moved the same cursor.
    case overtaken(name: String)
}

/// A loop that takes the events of the log in order and deals with each exactly once.
///
/// Effects that live in the database land in the transaction that moves the cursor. Effects outside it belong into a
/// job made by that transaction.
package struct LogFollower: Sendable {
    private let name: String
    private let log: EventLog
    private let clock: any WallClock
    private let sleeper: any Clock<Duration>
    private let batch: Int

    /// Waits after a failure that may pass: at first, and at most.
    private static let pauseMin = Duration.milliseconds(100)
    private static let pauseMax = Duration.seconds(10)

    /// - Parameters:
    ///   - name: the durable name of the follower, e.g. `outbox.delivery`.
    ///   - sleeper: what measures the pause after a failure.
    ///   - batch: events dealt with in one transaction, at most.
    package init(
        name: String, log: EventLog, clock: any WallClock, sleeper: any Clock<Duration> = ContinuousClock(),
        batch: Int = 100
    ) {
        self.name = name
        self.log = log
        self.clock = clock
        self.sleeper = sleeper
        self.batch = batch
    }

    /// Follows the log until the task is cancelled or the log is closed; both end it without an error.
    ///
    /// A follower that isn't registered starts with the oldest event there is. What may pass (`isTransient`) is tried
    /// again after a pause; every other error ends the loop.
    package func run(_ handle: @escaping @Sendable ([LogEvent], any WriteScope) throws -> Void) async throws {
        var pause = Self.pauseMin
        while !Task.isCancelled {
            do {
                try await follow(from: try await position(), handle) { pause = Self.pauseMin }
            } catch is CancellationError {
                return
            } catch StorageError.closed {
                return
            } catch let error as StorageError where error.isTransient {
                do { try await sleeper.sleep(for: pause) } catch { return }
                pause = min(pause * 2, Self.pauseMax)
            }
        }
    }

    private func position() async throws -> Int64 {
        let (name, now, start) = (name, clock.now(), log.oldest - 1)
        return try await log.database.write { scope in
            try FollowerCursors.register(name, at: start, now: now, in: scope)
            return try FollowerCursors.position(of: name, in: scope) ?? start
        }
    }

    private func follow(
        from start: Int64, _ handle: @escaping @Sendable ([LogEvent], any WriteScope) throws -> Void,
        succeeded: () -> Void
    ) async throws {
        var position = start
        while true {
            guard position >= log.oldest - 1 else {
                throw FollowerError.outdated(name: name, position: position, oldest: log.oldest)
            }
            let events = try await log.next(after: position, limitEvents: batch)
            guard let last = events.last else { continue }
            let (name, now) = (name, clock.now())
            try await log.database.write { scope in
                guard try FollowerCursors.advance(name, to: last.seq, now: now, in: scope) else {
                    throw FollowerError.overtaken(name: name)
                }
                try handle(events, scope)
            }
            position = last.seq
            succeeded()
        }
    }
}
