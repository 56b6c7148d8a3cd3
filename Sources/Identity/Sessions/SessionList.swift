package import ATProtocol
package import Base
package import Contracts
import Storage

/// The sessions of an account as its owner sees them.
extension SessionService {
    /// One of them.
    package struct Listed: Sendable, Hashable {
        /// Names the session here and nowhere else.
        package var id: String
        package var scope: SessionScope
        /// The name of the app password signed in with.
        package var appPassword: String?
        package var createdAt: Timestamp
        /// When it got its newest tokens.
        package var lastUsedAt: Timestamp
        package var expiresAt: Timestamp
        /// From where that was, if it is known.
        package var device: SessionDevice?
        /// Whether it is the one that asks.
        package var isPresent: Bool
    }

    /// Which sessions are to end.
    package enum Choice: Sendable, Hashable {
        /// The one of this name, or whose name begins so: 4 characters or more.
        case one(String)
        /// All, the present one included.
        case all
    }

    /// The fewest characters of a name that are taken for it.
    static let nameLengthMin = 4

    /// The sessions of an account, the one used last first.
    ///
    /// - Parameter present: the session that asks.
    /// - Throws: `AccountError.notFound`; storage errors.
    package func list(of did: DID, present: String?) async throws -> [Listed] {
        let families = try await database.read { scope in
            guard try AccountStore.account(did, in: scope) != nil else { throw AccountError.notFound }
            return try SessionStore.families(of: did, in: scope)
        }
        let now = clock.now()
        return families.reversed().filter { $0.expiresAt > now }.map { family in
            Listed(
                id: family.publicName, scope: family.scope, appPassword: family.appPassword,
                createdAt: family.createdAt, lastUsedAt: family.rotatedAt, expiresAt: family.expiresAt,
                device: family.device, isPresent: family.sessionID == present)
        }
    }

    /// Ends sessions of an account: their tokens of both kinds are worth nothing from then on.
    ///
    /// - Returns: how many ended.
    /// - Throws: `SessionError.invalidInput` for a name that is too short or begins several; `AccountError.notFound`;
    ///   storage errors.
    package func revoke(
        _ choice: Choice, of did: DID, by actor: AuditEntry.Actor
    ) async throws -> Int {
        if case .one(let name) = choice, name.utf8.count < Self.nameLengthMin {
            throw SessionError.invalidInput("sessionId: at least \(Self.nameLengthMin) characters are needed")
        }
        let now = clock.now()
        return try await database.write { [self] write in
            guard try AccountStore.account(did, in: write) != nil else { throw AccountError.notFound }
            var families = try SessionStore.families(of: did, in: write)
            if case .one(let name) = choice {
                families = families.filter { $0.publicName.hasPrefix(name) }
                guard families.count <= 1 else {
                    throw SessionError.invalidInput("sessionId: several sessions begin so")
                }
            }
            guard !families.isEmpty else { return 0 }
            try end(families, in: write)
            try AuditStore.append(
                AuditEntry(
                    .sessionRevoke, by: actor, target: did.string,
                    meta: ["count": .integer(Int64(families.count))], time: now), in: write)
            return families.count
        }
    }
}
