import Synchronization

/// What one request gathers on its way: the tightest rate limit it touched.
final class RequestScope: Sendable {
    private let limiter: RateLimiter?
    private let tightest = Mutex<RateLimitStatus?>(nil)

    /// - Parameter limiter: nil when rate limits are switched off.
    init(limiter: RateLimiter?) { self.limiter = limiter }

    func charge(_ limit: RateLimit, key: String, points: Int) throws(RateLimitExceeded) {
        guard let limiter else { return }
        let status = try limiter.charge(limit, key: key, points: points)
        tightest.withLock { tightest in
            guard let known = tightest else { return tightest = status }
            let share = Double(status.remaining) / Double(status.limit.points)
            if share <= Double(known.remaining) / Double(known.limit.points) { tightest = status }
        }
    }

    /// The status to tell the client, or nil when no limit was touched.
    var rateLimitStatus: RateLimitStatus? { tightest.withLock { $0 } }
}
