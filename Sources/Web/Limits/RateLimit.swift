package import Base

/// A named rate limit: a bucket of `points` that refills evenly over `window`.
///
/// A caller may spend a full bucket at once and then `points / window` on average; there is no window edge to wait for.
package struct RateLimit: Sendable, Hashable {
    /// Names the bucket. Limits of one name share their buckets, so two limits must not share a name by chance.
    package let name: String
    /// The bucket's size, 1 or more.
    package let points: Int
    /// How long an empty bucket takes to fill; at least a second.
    package let window: Duration

    package init(name: String, points: Int, window: Duration) {
        self.name = name
        self.points = max(1, points)
        self.window = max(.seconds(1), window)
    }

    /// The value of `RateLimit-Policy`, e.g. `30;w=300`.
    package var policy: String { "\(points);w=\(window.components.seconds)" }
}

/// How full a bucket is after a charge.
package struct RateLimitStatus: Sendable, Hashable {
    package let limit: RateLimit
    /// Points left, 0…`limit.points`.
    package let remaining: Int
    /// Seconds until the bucket is full again, rounded up.
    package let resetSeconds: Int

    /// The answer's headers (atproto's and the IETF draft's names).
    var headers: [WireFailure.Header] {
        [
            .init(name: "ratelimit-limit", value: String(limit.points)),
            .init(name: "ratelimit-remaining", value: String(remaining)),
            .init(name: "ratelimit-reset", value: String(resetSeconds)),
            .init(name: "ratelimit-policy", value: limit.policy),
        ]
    }
}

/// Refused: the bucket holds less than the call costs.
package struct RateLimitExceeded: WireConvertible, Hashable {
    /// The bucket that is short.
    package let status: RateLimitStatus
    /// Seconds until the call would pass, rounded up.
    package let retryAfterSeconds: Int

    package var wire: WireFailure {
        WireFailure(
            status: 429, error: "RateLimitExceeded", message: "Rate limit exceeded (\(status.limit.name))",
            headers: status.headers + [.init(name: "retry-after", value: String(retryAfterSeconds))])
    }
}

extension RateLimit {
    // The AT Protocol reference server's figures.

    /// All requests of one address, exports excepted.
    package static let global = RateLimit(name: "global", points: 3000, window: .seconds(300))
    /// `com.atproto.sync.getRepo` of one address; not counted in `global`.
    package static let export = RateLimit(name: "export", points: 6000, window: .seconds(300))
    /// Repository writes of one account: create 3 points, put 2, delete 1.
    package static let repositoryWritesHourly = RateLimit(
        name: "repository-writes-hourly", points: 5000, window: .seconds(3600))
    /// As `repositoryWritesHourly`, over a day.
    package static let repositoryWritesDaily = RateLimit(
        name: "repository-writes-daily", points: 35000, window: .seconds(86400))
    /// createAccount of one address.
    package static let createAccount = RateLimit(name: "create-account", points: 100, window: .seconds(300))
    /// createSession of one (identifier, address).
    package static let createSession = RateLimit(name: "create-session", points: 30, window: .seconds(300))
    /// As `createSession`, over a day.
    package static let createSessionDaily = RateLimit(
        name: "create-session-daily", points: 300, window: .seconds(86400))
    /// updateHandle of one account.
    package static let updateHandle = RateLimit(name: "update-handle", points: 10, window: .seconds(300))
    /// As `updateHandle`, over a day.
    package static let updateHandleDaily = RateLimit(name: "update-handle-daily", points: 50, window: .seconds(86400))
    /// uploadBlob of one account.
    package static let uploadBlob = RateLimit(name: "upload-blob", points: 1000, window: .seconds(86400))
    /// Mails one account may cause, of one kind: append the kind to the key.
    package static let mailHourly = RateLimit(name: "mail-hourly", points: 5, window: .seconds(3600))
    /// As `mailHourly`, over a day.
    package static let mailDaily = RateLimit(name: "mail-daily", points: 15, window: .seconds(86400))
    /// requestPasswordReset of one address.
    package static let requestPasswordReset = RateLimit(
        name: "request-password-reset", points: 15, window: .seconds(3600))
    /// As `requestPasswordReset`, over a day.
    package static let requestPasswordResetDaily = RateLimit(
        name: "request-password-reset-daily", points: 50, window: .seconds(86400))
    /// resetPassword and deleteAccount of one address.
    package static let accountRecovery = RateLimit(name: "account-recovery", points: 50, window: .seconds(300))

    // Our own figures.

    /// Wrong passwords of HTTP Basic `admin` from one address.
    package static let operatorGuesses = RateLimit(name: "operator-guesses", points: 10, window: .seconds(900))
    /// As `operatorGuesses`, from all addresses together.
    package static let operatorGuessesOfAll = RateLimit(
        name: "operator-guesses-of-all", points: 1000, window: .seconds(86400))

    // The OpenFederation server's figures.

    /// All `net.openfederation.*` requests of one address.
    package static let federation = RateLimit(name: "federation", points: 120, window: .seconds(60))
    /// Signing in through OpenFederation's methods, of one address.
    package static let authentication = RateLimit(name: "authentication", points: 20, window: .seconds(900))
    /// `net.openfederation.account.register` of one address.
    package static let registration = RateLimit(name: "registration", points: 5, window: .seconds(3600))
    /// Creating communities, of one address.
    package static let creation = RateLimit(name: "creation", points: 10, window: .seconds(3600))
    /// Public discovery, of one address.
    package static let discovery = RateLimit(name: "discovery", points: 60, window: .seconds(60))
    /// getServiceAuth of one account.
    package static let serviceAuth = RateLimit(name: "service-auth", points: 60, window: .seconds(60))

    /// Every limit named here, for documentation and tests.
    package static let all: [RateLimit] = [
        global, export, repositoryWritesHourly, repositoryWritesDaily, createAccount, createSession,
        createSessionDaily, updateHandle, updateHandleDaily, uploadBlob, mailHourly, mailDaily, requestPasswordReset,
        requestPasswordResetDaily, accountRecovery, federation, authentication, registration, creation, discovery,
        serviceAuth, operatorGuesses, operatorGuessesOfAll,
    ]
}
