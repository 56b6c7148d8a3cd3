package import Contracts
import Storage

extension AccountService: PasswordCheck {
    /// - Throws: `AccountError.wrongPassword`, `.notFound`; `SessionError.overloaded`; storage errors.
    package func confirm(_ password: String, of caller: AccountCaller) async throws {
        let did = caller.did
        guard let account = try await database.read({ try AccountStore.account(did, in: $0) }) else {
            throw AccountError.notFound
        }
        guard try await sessions.passwords.verify(password, stored: account.password) else {
            throw FederationFailure(AccountError.wrongPassword)
        }
    }
}
