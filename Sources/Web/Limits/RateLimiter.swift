package import Base
import Synchronization

/// Token buckets for any number of limits, in bounded memory.
///
/// Each bucket is one number, the moment at which it will be full again (the generic cell rate algorithm). A bucket
/// that was never charged needs no memory. When `bucketCountMax` is reached the least recently charged bucket is
/// forgotten, that is: refilled. Safe to call from anywhere; a charge takes well under 1 µs.
package final class RateLimiter: Sendable {
    private struct Key: Hashable {
        let limit: String
        let owner: String
    }

    private let clock: any WallClock
    private let state: Mutex<LeastRecentlyUsed<Key, Int64>>

    /// - Parameter bucketCountMax: how many buckets are remembered, about 200 bytes each.
    package init(clock: any WallClock, bucketCountMax: Int = 100_000) {
        self.clock = clock
        state = Mutex(LeastRecentlyUsed(countMax: bucketCountMax))
    }

    /// Takes `points` from the bucket of `limit` that belongs to `key`.
    ///
    /// - Parameter points: 0 asks for the status only.
    /// - Returns: what is left.
    /// - Throws: `RateLimitExceeded`; then nothing was taken.
    @discardableResult
    package func charge(
        _ limit: RateLimit,
        key: String,
        points: Int = 1
    ) throws(RateLimitExceeded) -> RateLimitStatus {
        let now = clock.now().microseconds
        let window = limit.window.wholeMicroseconds
        let bucket = Key(limit: limit.name, owner: key)
        return try state.withLock { buckets throws(RateLimitExceeded) in
            // A clock that stepped back must not leave a bucket empty for longer than one window.
            let fullAt = min(max(buckets.value(for: bucket) ?? now, now), now + window)
            let cost = Self.time(of: points, in: limit)
            let missing = fullAt + cost - (now + window)
            guard missing <= 0 else {
                throw RateLimitExceeded(
                    status: Self.status(limit, fullAt: fullAt, now: now),
                    retryAfterSeconds: Self.seconds(min(missing, window)))
            }
            if points > 0 { buckets.set(fullAt + cost, for: bucket) }
            return Self.status(limit, fullAt: fullAt + cost, now: now)
        }
    }

    /// How many buckets are remembered now.
    package var bucketCount: Int { state.withLock { $0.count } }

    /// The time in which `points` refill, in microseconds; more points than the bucket has take more than the window.
    private static func time(of points: Int, in limit: RateLimit) -> Int64 {
        let bounded = Double(min(max(0, points), 1_000_000_000))
        return Int64(bounded * Double(limit.window.wholeMicroseconds) / Double(limit.points))
    }

    private static func status(_ limit: RateLimit, fullAt: Int64, now: Int64) -> RateLimitStatus {
        let window = limit.window.wholeMicroseconds
        let share = Double(window - (fullAt - now)) / Double(window)
        // The small term makes up for rounding in `time(of:in:)`, which would hide a point.
        let remaining = Int(share * Double(limit.points) + 1e-3)
        return RateLimitStatus(
            limit: limit, remaining: min(max(0, remaining), limit.points), resetSeconds: seconds(fullAt - now))
    }

    private static func seconds(_ microseconds: Int64) -> Int {
        Int((max(0, microseconds) + 999_999) / 1_000_000)
    }
}
