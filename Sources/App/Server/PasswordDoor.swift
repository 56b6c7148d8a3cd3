import Contracts
import Identity

/// The way of the page of new passwords into Identity.
struct PasswordDoor: PasswordReset {
    let accounts: AccountService

    func isOpen(token: String) async throws -> Bool { try await accounts.isResetToken(token) }

    func reset(token: String, to password: String, origin: String) async throws {
        do {
            try await accounts.confirmPasswordReset(token, to: password, origin: origin)
        } catch AccountError.invalidToken {
            throw PasswordResetFault.closed
        } catch AccountError.invalidPassword(let reason) {
            throw PasswordResetFault.password(reason: reason)
        }
    }
}
