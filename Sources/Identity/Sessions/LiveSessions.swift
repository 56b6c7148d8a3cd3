import ATProtocol
import Base
import Storage

/// The sessions known not to have ended, in memory: what makes an access token end with its session.
final class LiveSessions: Sendable {
    /// A session ended: its identifier.
    private static let ended = AnnouncementTopic("sessions", payloads: .all)

    private let database: any Database
    private let known: BoundedCache<String, DID>

    init(database: any Database, limits: IdentityLimits) {
        self.database = database
        known = BoundedCache(countMax: limits.sessionsCachedMax)
        database.listen(to: Self.ended) { [known] sessionID, _ in
            if let sessionID { known.forget(sessionID) } else { known.forgetAll() }
        }
    }

    /// Whether the session is known to live; false says nothing. Never waits.
    func isRemembered(_ sessionID: String, of did: DID) -> Bool {
        known.value(for: sessionID) == did
    }

    /// Whether the session lives.
    func isAlive(_ sessionID: String, of did: DID) async throws -> Bool {
        if isRemembered(sessionID, of: did) { return true }
        guard let id = Base64URL.decode(sessionID) else { return false }
        let ticket = known.ticket()
        guard try await database.read({ try SessionStore.family(did, id: id, in: $0) }) != nil else { return false }
        known.keep(did, for: sessionID, ticket: ticket)
        return true
    }

    /// Has memory forget sessions once the transaction of `scope` is on disk; that of other processes a moment later.
    func forget(_ sessionIDs: [String], after scope: any WriteScope) {
        for sessionID in sessionIDs { scope.announce(Self.ended, sessionID) }
        scope.afterCommit { [known] in
            for sessionID in sessionIDs { known.forget(sessionID) }
        }
    }
}
