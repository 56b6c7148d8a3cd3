/// Making the first administrator of a server that has none, behind the one-time set-up link.
package protocol FirstAdministrator: Sendable {
    /// Whether the token of a set-up link works: it is the newest, and there is no administrator yet.
    func isOpen(token: String) async throws -> Bool
    /// Makes the administrator; the link is used up by that.
    ///
    /// - Parameter request: as typed.
    /// - Throws: `FirstAdministratorFault` for what the person can mend; other errors are failures.
    func create(_ request: FirstAdministratorRequest, token: String) async throws -> AccountStanding
}

/// What the first administrator typed.
package struct FirstAdministratorRequest: Sendable, Hashable {
    /// A bare name or a whole handle.
    package var handle: String
    package var email: String
    package var password: String

    package init(handle: String, email: String, password: String) {
        self.handle = handle
        self.email = email
        self.password = password
    }
}

/// What is wrong with it.
package enum FirstAdministratorFault: Error, Sendable, Hashable {
    case handle(reason: String)
    case email(reason: String)
    case password(reason: String)
    /// The link was used, or is an old one.
    case closed
}
