package import ATProtocol
import Base
package import Contracts
import Storage

/// Passwords for programs.
extension SessionService {
    /// A new app password with its secret, which is shown once.
    package struct NewAppPassword: Sendable {
        package var password: AppPassword
        package var secret: String
    }

    /// Longest name of an app password, in bytes.
    package static let appPasswordNameLengthMax = 100

    /// Makes an app password.
    ///
    /// - Throws: `SessionError.invalidInput`, `.appPasswordExists`; storage errors.
    package func createAppPassword(
        _ name: String, privilege: AppPassword.Privilege, of caller: AccountCaller
    ) async throws -> NewAppPassword {
        let trimmed = String(name.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard !trimmed.isEmpty, trimmed.utf8.count <= Self.appPasswordNameLengthMax else {
            throw SessionError.invalidInput("name must have 1 to \(Self.appPasswordNameLengthMax) bytes")
        }
        let secret = AppPasswordText.make(randomness)
        let digest = AppPasswordText.digest(secret, of: caller.did)
        let password = AppPassword(name: trimmed, privilege: privilege, createdAt: clock.now())
        let countMax = configuration.limits.appPasswordsMax
        try await database.write { write in
            // It may have gone since the request was let in.
            guard let account = try AccountStore.account(caller.did, in: write) else {
                throw SessionError.accountNotFound
            }
            guard account.status == .approved || account.status == .deactivated else {
                throw SessionError.standing(account.status)
            }
            guard try AppPasswordStore.list(of: caller.did, in: write).count < countMax else {
                throw SessionError.invalidInput("An account may have at most \(countMax) app passwords")
            }
            guard try AppPasswordStore.insert(password, digest: digest, of: caller.did, in: write) else {
                throw SessionError.appPasswordExists
            }
            try AuditStore.append(
                AuditEntry(
                    .appPasswordCreate, by: .account(caller.did), target: caller.did.string,
                    meta: ["name": .string(trimmed)], time: password.createdAt), in: write)
        }
        return NewAppPassword(password: password, secret: secret)
    }

    /// The app passwords of an account, the oldest first.
    package func appPasswords(of did: DID) async throws -> [AppPassword] {
        try await database.read { try AppPasswordStore.list(of: did, in: $0) }
    }

    /// Ends an app password and every session begun with it. One that doesn't exist is ended already.
    package func revokeAppPassword(_ given: String, of did: DID) async throws {
        let name = String(given.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        let now = clock.now()
        try await database.write { [self] write in
            guard try AppPasswordStore.remove(name, of: did, in: write) else { return }
            let families = try SessionStore.families(of: did, in: write).filter { $0.appPassword == name }
            try end(families, in: write)
            try AuditStore.append(
                AuditEntry(
                    .appPasswordRevoke, by: .account(did), target: did.string, meta: ["name": .string(name)],
                    time: now), in: write)
        }
    }
}
