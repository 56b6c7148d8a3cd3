import Base
import Contracts
import Identity

/// The set-up page's way into Identity.
struct SetupDoor: FirstAdministrator {
    let accounts: AccountService

    func isOpen(token: String) async throws -> Bool { try await accounts.isSetupToken(token) }

    func create(_ request: FirstAdministratorRequest, token: String) async throws -> AccountStanding {
        do {
            return try await accounts.completeSetup(
                token: token, handle: request.handle, email: request.email, password: request.password
            ).account.standing
        } catch let error as AccountError {
            throw Self.fault(error) ?? error
        }
    }

    /// What the person can mend; nil for what is a failure here.
    private static func fault(_ error: AccountError) -> (any Error)? {
        switch error {
        case .setupFinished: FirstAdministratorFault.closed
        case .emailTaken, .invalidEmail: FirstAdministratorFault.email(reason: error.wire.message)
        case .invalidPassword: FirstAdministratorFault.password(reason: error.wire.message)
        case .invalidHandle, .unsupportedDomain, .handleTaken, .reservedHandle:
            FirstAdministratorFault.handle(reason: error.wire.message)
        case .wrongPassword, .invalidToken, .ownRole, .handleNotProven, .invite, .notFound, .waitsForApproval,
            .wrongState, .notAllowed,
            .administratorProtected, .accountExists, .moveNotProven, .unsupportedDID, .incompatibleDocument,
            .identityNotRegistered, .invalidRecoveryKey, .invalidInput:
            nil
        }
    }
}
