package import ATProtocol
import Base
package import Contracts
import Storage

/// Accounts whose identity exists already and comes from another server.
///
/// - Spec: https://atproto.com/guides/account-migration
extension AccountService {
    /// How long an account that moves in may stay without being activated.
    static let moveDurationMax = Duration.seconds(3 * 86_400)

    /// Opens a deactivated account for the identity `did`. The network is not told before it is activated; after three
    /// days without that it is deleted.
    ///
    /// - Parameter proof: whose service token came with the request.
    /// - Throws: `AccountError`; `DirectoryError`; storage errors. Nothing is left behind then.
    package func moveIn(_ did: DID, _ new: NewAccount, proof: DID?) async throws -> Registered {
        guard proof == did else { throw AccountError.moveNotProven }
        guard did.isPLC || DIDWeb(did) != nil else { throw AccountError.unsupportedDID }
        let application = try parseMove(new)
        try await database.read { [self] scope in
            guard try AccountStore.account(did, in: scope) == nil else { throw AccountError.accountExists }
            try checkFree(application, in: scope)
        }
        try await checkHandle(application.handle, of: did)
        let document = try await directory.document(of: did)
        var hash: String?
        if let password = application.password { hash = try await sessions.passwords.hash(password) }
        let reserved = try await directory.custody.reservedKey(for: did, named: document.signingKey)
        let key = reserved ?? directory.custody.makeSigningKey()
        let now = clock.now()
        let account = AccountRow(
            did: did, handle: application.handle, email: application.email, password: hash,
            state: AccountState(.deactivated),
            statusAt: now, roles: [.user], isAnnounced: false, createdAt: now, approvedAt: now,
            deleteAfter: now.advanced(by: Self.moveDurationMax), invite: application.inviteCode)
        let prepared = Preparation(
            account: account, key: try directory.custody.sealed(key, of: did), genesis: nil,
            creation: try repositories.prepareCreation(did: did, signer: key), device: new.device)
        return try await database.write { [self] write in
            guard try AccountStore.account(did, in: write) == nil else { throw AccountError.accountExists }
            try reserve(account, in: write)
            if reserved != nil { try KeyStore.removeReserved(key.publicKey, in: write) }
            return try commit(prepared, in: write)
        }.granted(by: self)
    }

    /// Which server an identity names.
    package enum IdentityPlace: Sendable, Hashable {
        /// This one, with the key it holds and, where it may change the identity, its rotation key.
        case here
        case elsewhere
    }

    /// How far an account has moved in.
    ///
    /// - Throws: `AccountError.notFound` for one that has no repository (any more); storage errors.
    package func progress(of did: DID) async throws -> (identity: IdentityPlace, figures: RepositoryFigures) {
        guard let figures = try await repositories.figures(of: did) else { throw AccountError.notFound }
        do {
            try await directory.checkPointsHere(did)
            return (.here, figures)
        } catch is AccountError {
            return (.elsewhere, figures)
        } catch is DirectoryError {
            // Not to be found, ended, or out of reach: nobody could be led here by it now.
            return (.elsewhere, figures)
        } catch is SigningKeyError {
            return (.elsewhere, figures)
        }
    }

    private func parseMove(_ new: NewAccount) throws(AccountError) -> Application {
        let handle = try configuration.handleDomains.handle(new.handle)
        if configuration.handleDomains.serves(handle) {
            try configuration.handleDomains.checkGiven(handle, names: .refused)
        }
        let email = new.email.flatMap { EmailAddress($0) }
        guard email != nil else { throw .invalidEmail }
        if let password = new.password { try PasswordRules.check(password) }
        let inviteCode = new.inviteCode.flatMap { $0.isEmpty ? nil : $0 }
        guard inviteCode != nil || configuration.invites == .waived else { throw .invite(.required) }
        return Application(
            handle: handle, email: email, password: new.password, inviteCode: inviteCode, recoveryKey: nil,
            maker: .applicant)
    }

    /// A handle of another domain must already point to the identity.
    private func checkHandle(_ handle: Handle, of did: DID) async throws {
        if configuration.handleDomains.serves(handle) { return }
        guard await directory.resolveOutside(handle) == did else { throw AccountError.handleNotProven }
    }
}
