import ATProtocol
import Base
import Contracts
import Crypto

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
    /// From where it was used last; nil when that isn't known.
    var device: SessionDevice?

    /// How long a rotated token still leads to its successor.
    static let graceMax = Duration.seconds(2 * 3600)
    static let accessLifetime = Duration.seconds(120 * 60)
    static let refreshLifetime = Duration.seconds(90 * 86_400)

    /// When the newest refresh token expires, and the family with it.
    var expiresAt: Timestamp { rotatedAt.advanced(by: Self.refreshLifetime) }

    /// The name that the session's owner sees: it opens nothing, and nothing in a token can be told from it.
    var publicName: String {
        Base64URL.encode(Array(SHA256.hash(data: Array("session name\n".utf8) + id).prefix(6)))
    }

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

/// From where a session is used.
package struct SessionDevice: Sendable, Hashable {
    /// The client's address in text form.
    package var address: String
    /// What the program calls itself; at most `agentLengthMax` bytes are kept.
    package var agent: String?

    private static let agentLengthMax = 256

    package init(address: String, agent: String? = nil) {
        self.address = address
        self.agent = agent.map {
            String(decoding: $0.replacing("\0", with: "").utf8.prefix(Self.agentLengthMax), as: UTF8.self)
        }
    }
}
