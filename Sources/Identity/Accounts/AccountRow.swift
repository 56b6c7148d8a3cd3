import ATProtocol
import Base
import Contracts
import Storage

/// An account as its table holds it.
struct AccountRow: Sendable, Hashable {
    var did: DID
    var handle: Handle
    var email: EmailAddress?
    var emailConfirmedAt: Timestamp?
    /// The stored hash; nil for an account that nobody signs in to with a password.
    var password: String?
    var state: AccountState
    var statusAt: Timestamp
    var roles: Set<ServerRole>
    /// Whether the network was ever told of the account: only then is it told of changes.
    var isAnnounced: Bool
    var createdAt: Timestamp
    var approvedAt: Timestamp?
    /// When a deactivated account is to be deleted.
    var deleteAfter: Timestamp?
    /// The invite code it was made with.
    var invite: String?
    var kind = AccountKind.person

    var status: AccountStatus { state.status }

    var standing: AccountStanding {
        AccountStanding(
            did: did, handle: handle, status: status, roles: roles, kind: kind,
            isConfined: state.presence == .confined, isAnnounced: isAnnounced)
    }
}

extension AccountRow {
    /// The columns `init(_:)` reads, in order.
    static let columns = """
        did, handle, email, email_confirmed_at, password, status, status_at, roles, announced, created_at, \
        approved_at, delete_after, invite, state, kind
        """

    init(_ row: Row) throws {
        did = try DID(parsing: row.text(0))
        handle = try Handle(parsing: row.text(1))
        email = try row.optionalText(2).flatMap { EmailAddress($0) }
        emailConfirmedAt = try row.optionalInteger(3).map { Timestamp(microseconds: $0) }
        password = try row.optionalText(4)
        state = AccountState(stored: try row.text(13))
        statusAt = Timestamp(microseconds: try row.integer(6))
        roles = ServerRole.set(stored: try row.text(7))
        isAnnounced = try row.boolean(8)
        createdAt = Timestamp(microseconds: try row.integer(9))
        approvedAt = try row.optionalInteger(10).map { Timestamp(microseconds: $0) }
        deleteAfter = try row.optionalInteger(11).map { Timestamp(microseconds: $0) }
        invite = try row.optionalText(12)
        // A kind of a newer version is not taken for somebody who signs in.
        kind = AccountKind(rawValue: try row.text(14)) ?? .community
    }

    var parameters: [SQLValue] {
        [
            .text(did.string), .text(handle.string), .text(optional: email?.string),
            .integer(optional: emailConfirmedAt?.microseconds), .text(optional: password), .text(status.rawValue),
            .integer(statusAt.microseconds), .text(ServerRole.stored(roles)), .boolean(isAnnounced),
            .integer(createdAt.microseconds), .integer(optional: approvedAt?.microseconds),
            .integer(optional: deleteAfter?.microseconds), .text(optional: invite), .text(state.stored),
            .text(kind.rawValue),
        ]
    }
}

extension ServerRole {
    /// Roles as one text with a space around each, so that one of them is found by `LIKE`.
    static func stored(_ roles: Set<ServerRole>) -> String {
        roles.isEmpty ? "" : " " + roles.map(\.rawValue).sorted().joined(separator: " ") + " "
    }

    /// The roles of a stored text; words of a newer version are passed over.
    static func set(stored: String) -> Set<ServerRole> {
        Set(stored.split(separator: " ").compactMap { ServerRole(rawValue: String($0)) })
    }
}
