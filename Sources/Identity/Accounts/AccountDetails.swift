package import ATProtocol
package import Base
package import Contracts

/// An account as its owner and the server's staff may see it.
package struct AccountDetails: Sendable, Hashable {
    package var standing: AccountStanding
    /// All that holds of it; `status` is what counts most.
    package var state: AccountState
    package var email: EmailAddress?
    package var emailConfirmedAt: Timestamp?
    package var createdAt: Timestamp
    package var approvedAt: Timestamp?
    /// When a deactivated account is to be deleted.
    package var deleteAfter: Timestamp?
    /// The invite code it was made with.
    package var invite: String?

    package var did: DID { standing.did }
    package var handle: Handle { standing.handle }
    package var status: AccountStatus { standing.status }
    package var roles: Set<ServerRole> { standing.roles }

    init(_ account: AccountRow) {
        standing = account.standing
        state = account.state
        email = account.email
        emailConfirmedAt = account.emailConfirmedAt
        createdAt = account.createdAt
        approvedAt = account.approvedAt
        deleteAfter = account.deleteAfter
        invite = account.invite
    }
}

/// A page of a list with the number of all that it is a page of.
package struct Page<Item: Sendable & Hashable>: Sendable, Hashable {
    package var items: [Item]
    package var total: Int
}
