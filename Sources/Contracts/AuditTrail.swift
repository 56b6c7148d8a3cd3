package import ATProtocol
package import Storage

/// The audit, as rooms see it that don't own it.
package protocol AuditTrail: Sendable {
    /// Notes what was done, in the transaction of the deed.
    ///
    /// - Parameters:
    ///   - action: as the outside knows it: `community.create`.
    ///   - caller: who did it; nil is the server itself, by the clock.
    ///   - target: whom it concerns, mostly a DID.
    ///   - meta: particulars; never a secret.
    /// - Throws: storage errors.
    func record(_ action: String, by caller: Caller?, target: String?, meta: DataMap, in scope: any WriteScope) throws
}

/// Asks somebody who is signed in for their password once more.
package protocol PasswordCheck: Sendable {
    /// Makes sure that `password` is the caller's.
    ///
    /// - Throws: errors for the caller (`InvalidPassword`); storage errors.
    func confirm(_ password: String, of caller: AccountCaller) async throws
}
