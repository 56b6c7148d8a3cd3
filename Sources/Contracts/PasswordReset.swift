/// Setting a new password by the link of a letter, for the page behind it.
package protocol PasswordReset: Sendable {
    /// Whether the token of a link works at present.
    func isOpen(token: String) async throws -> Bool
    /// Sets the password; the link is used up by that, and all sessions of the account end.
    ///
    /// - Parameter origin: the address of whoever asks.
    /// - Throws: `PasswordResetFault` for what the person can mend; other errors are failures.
    func reset(token: String, to password: String, origin: String) async throws
}

/// What is wrong with it.
package enum PasswordResetFault: Error, Sendable, Hashable {
    /// The link works on.
    case password(reason: String)
    /// The link was used, or is too old.
    case closed
}
