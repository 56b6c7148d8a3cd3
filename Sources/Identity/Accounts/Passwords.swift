package import ATProtocol
import Base
package import Contracts
import Crypto
import Storage
import Web

/// New passwords: by the operator, by whoever knows the old one, and by whoever reads the account's mail.
extension AccountService {
    /// How long a link that sets a new password works.
    static let resetLifetime = Duration.seconds(3600)

    /// Replaces a password in the name of somebody who may. All sessions of the account end.
    ///
    /// - Throws: `AccountError.invalidPassword`, `.notFound`; storage errors.
    package func setPassword(_ password: String, of did: DID, by actor: AuditEntry.Actor) async throws {
        try PasswordRules.check(password)
        let hash = try await sessions.passwords.hash(password)
        try await database.write { [self] write in
            guard let account = try AccountStore.account(did, in: write), account.kind == .person else {
                throw AccountError.notFound
            }
            try replacePassword(hash, of: account, .accountPasswordChange, by: actor, in: write)
        }
    }

    /// Replaces one's password. All sessions of the account end, the present one included.
    ///
    /// - Throws: `AccountError.wrongPassword`, `.invalidPassword`, `.notFound`; `SessionError.overloaded`; storage errors.
    package func changePassword(from current: String, to password: String, of caller: AccountCaller) async throws {
        let did = caller.did
        guard let before = try await database.read({ try AccountStore.account(did, in: $0) }) else {
            throw AccountError.notFound
        }
        guard try await sessions.passwords.verify(current, stored: before.password) else {
            throw AccountError.wrongPassword
        }
        try PasswordRules.check(password)
        let hash = try await sessions.passwords.hash(password)
        try await database.write { [self] write in
            // What was proven may have changed while the hashes were computed.
            guard let account = try AccountStore.account(did, in: write), account.password == before.password else {
                throw AccountError.wrongPassword
            }
            try replacePassword(hash, of: account, .accountPasswordChange, by: .account(did), in: write)
        }
    }

    /// Sends the owner of an account a link that sets a new password; the link sent before works no longer.
    ///
    /// Says nothing of whether there is such an account: the answer is the same, comes after the same pause, and the letter
    /// is sent later by somebody else.
    /// - Parameters:
    ///   - identifier: a handle, a bare name, an address or a DID, as typed.
    ///   - origin: the caller's address, for the audit.
    package func requestPasswordReset(of identifier: String, origin: String) async throws {
        let began = clock.now()
        let name = SignInName(identifier, domains: configuration.handleDomains)
        let token = Base64URL.encode(randomness.bytes(48))
        let digest = Self.resetDigest(token)
        let now = clock.now()
        try await database.write { [self] write in
            let account = try name.account(in: write)
            try AuditStore.append(
                AuditEntry(
                    .accountPasswordResetRequest, by: .anonymous, target: account?.did.string,
                    meta: ["ip": .string(origin)], time: now), in: write)
            guard let account, let email = account.email, let mail, maySignIn(account), mayWrite(to: account.did)
            else { return }
            try PasswordResetStore.replace(
                digest, of: account.did, now: now, expiresAt: now.advanced(by: Self.resetLifetime), in: write)
            try mail.queue(resetLetter(to: email, account.handle, token), about: "reset", to: account.did, in: write)
        }
        try await sessions.pause(since: began)
    }

    /// Whether a link's token works at present: for the page behind it.
    package func isResetToken(_ token: String) async throws -> Bool {
        let (digest, now) = (Self.resetDigest(token), clock.now())
        return try await database.read { try PasswordResetStore.owner(of: digest, now: now, in: $0) != nil }
    }

    /// Sets a new password by the token of a link, which is used up by that. All sessions of the account end.
    ///
    /// - Throws: `AccountError.invalidToken`, `.invalidPassword` (the link then still works); storage errors.
    package func confirmPasswordReset(_ token: String, to password: String, origin: String) async throws {
        guard try await isResetToken(token) else { throw AccountError.invalidToken }
        try PasswordRules.check(password)
        let hash = try await sessions.passwords.hash(password)
        let (digest, now) = (Self.resetDigest(token), clock.now())
        try await database.write { [self] write in
            guard let did = try PasswordResetStore.owner(of: digest, now: now, in: write),
                let account = try AccountStore.account(did, in: write), maySignIn(account)
            else { throw AccountError.invalidToken }
            try replacePassword(
                hash, of: account, .accountPasswordResetConfirm, by: .account(did), origin: origin, in: write)
        }
    }

    private func replacePassword(
        _ hash: String, of account: AccountRow, _ action: AuditEntry.Action, by actor: AuditEntry.Actor,
        origin: String? = nil, in write: any WriteScope
    ) throws {
        try AccountStore.setPassword(hash, of: account.did, in: write)
        try PasswordResetStore.remove(account.did, in: write)
        try sessions.endAll(of: account.did, in: write)
        try AuditStore.append(
            AuditEntry(
                action, by: actor, target: account.did.string, meta: origin.map { ["ip": .string($0)] } ?? [:],
                time: clock.now()), in: write)
        guard let mail, let email = account.email else { return }
        try mail.queue(changedLetter(to: email, account.handle), about: "changed", to: account.did, in: write)
    }

    /// Who was turned away or disabled can't sign in with a new password either; who was suspended or taken down may leave.
    private func maySignIn(_ account: AccountRow) -> Bool {
        switch account.status {
        case .approved, .deactivated, .suspended, .takendown: true
        case .pending, .rejected, .disabled, .confined: false
        }
    }

    /// Whether one more letter may go to the account; who asks isn't told.
    private func mayWrite(to did: DID) -> Bool {
        guard let limiter else { return true }
        for limit in [RateLimit.mailHourly, .mailDaily] {
            guard (try? limiter.charge(limit, key: "reset \(did)")) != nil else { return false }
        }
        return true
    }

    private static func resetDigest(_ token: String) -> [UInt8] {
        Array(SHA256.hash(data: Array("password reset\n\(token)".utf8)))
    }

    // MARK: Letters

    private func resetLetter(to email: EmailAddress, _ handle: Handle, _ token: String) -> MailMessage {
        MailMessage(
            to: email.string, subject: "A new password for \(handle)",
            text: """
                Somebody, hopefully you, asked for a new password for \(handle).

                To choose one, open this page within an hour:

                \(configuration.origin.string)/reset-password?token=\(token)

                The link works once. If it wasn't you, do nothing: your password stays as it is.

                """)
    }

    private func changedLetter(to email: EmailAddress, _ handle: Handle) -> MailMessage {
        MailMessage(
            to: email.string, subject: "The password of \(handle) was changed",
            text: """
                The password of \(handle) at \(configuration.origin.string) was changed, and all sessions were ended.

                If it wasn't you, ask for a new password at once and tell whoever runs the server.

                """)
    }
}
