import ATProtocol
import Base
import Contracts

/// A session: all tokens that descend from one sign-in, and how far their rotation has come.
///
/// Refresh tokens of a family are numbered: the first is 0, and each one's successor is the next number. Whoever shows
/// number `generation` is up to date; the one before may be shown again for a while, since the answer with its
/// successor may have been lost, or several tabs asked at once. Anything older was used by somebody who should not
/// have it any more: one of two holders stole it, and nobody knows which.
struct SessionFamily: Sendable, Hashable {
    /// 16 random bytes.
    var id: [UInt8]
    var did: DID
    var scope: SessionScope
    /// The name of the app password signed in with.
    var appPassword: String?
    /// The number of the newest refresh token.
    var generation: Int64
    /// When that token was made.
    var rotatedAt: Timestamp
    var createdAt: Timestamp

    /// How long a rotated token still leads to its successor.
    static let graceMax = Duration.seconds(2 * 3600)
    static let accessLifetime = Duration.seconds(120 * 60)
    static let refreshLifetime = Duration.seconds(90 * 86_400)

    /// When the newest refresh token expires, and the family with it.
    var expiresAt: Timestamp { rotatedAt.advanced(by: Self.refreshLifetime) }

    /// The text of `id` in tokens and in `AccountCaller.sessionID`.
    var sessionID: String { Base64URL.encode(id) }

    /// What showing a refresh token leads to.
    enum Outcome: Sendable, Hashable {
        /// A new token was made: the family as it is now.
        case rotated(SessionFamily)
        /// The successor made earlier is given again.
        case repeated(SessionFamily)
        /// The family ends.
        case ended
    }

    /// Shows the refresh token number `shown` at `now`.
    func showing(_ shown: Int64, now: Timestamp) -> Outcome {
        switch shown {
        case generation:
            var next = self
            next.generation += 1
            next.rotatedAt = now
            return .rotated(next)
        case generation - 1 where now.since(rotatedAt) <= Self.graceMax:
            return .repeated(self)
        default:
            // Also a number that was never given: the database is older than the token.
            return .ended
        }
    }
}
