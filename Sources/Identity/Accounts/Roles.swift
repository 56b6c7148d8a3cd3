package import ATProtocol
import Base
package import Contracts
import Storage

/// Who holds which powers.
extension AccountService {
    /// Replaces the roles of an account. The last administrator stays one.
    ///
    /// - Throws: `AccountError.notFound`, `.administratorProtected`; storage errors.
    package func setRoles(_ roles: Set<ServerRole>, of did: DID, by actor: AuditEntry.Actor) async throws {
        try await changeRoles(of: did, by: actor) { _ in roles }
    }

    /// Gives roles to an account and takes some away; what is in both is taken away. Nobody takes away their own role of
    /// administrator, and the last administrator stays one.
    ///
    /// - Returns: the account as it is now.
    /// - Throws: `AccountError.notFound`, `.ownRole`, `.administratorProtected`, `.invalidInput`; storage errors.
    @discardableResult
    package func updateRoles(
        of did: DID, adding: Set<ServerRole>, removing: Set<ServerRole>, by actor: AuditEntry.Actor
    ) async throws -> AccountDetails {
        guard !adding.isEmpty || !removing.isEmpty else {
            throw AccountError.invalidInput("addRoles or removeRoles is needed")
        }
        if removing.contains(.admin), actor == .account(did) { throw AccountError.ownRole }
        return try await changeRoles(of: did, by: actor) { $0.union(adding).subtracting(removing) }
    }

    @discardableResult
    private func changeRoles(
        of did: DID, by actor: AuditEntry.Actor, _ change: @escaping @Sendable (Set<ServerRole>) -> Set<ServerRole>
    ) async throws -> AccountDetails {
        let now = clock.now()
        return try await database.write { [self] write in
            guard var account = try AccountStore.account(did, in: write), account.kind == .person else {
                throw AccountError.notFound
            }
            let before = account.roles
            account.roles = change(before)
            guard account.roles != before else { return AccountDetails(account) }
            try AccountStore.setRoles(account.roles, of: did, in: write)
            if before.contains(.admin), try !AccountStore.hasAdministrator(in: write) {
                throw AccountError.administratorProtected
            }
            standings.forget(account.standing, after: write)
            try AuditStore.append(
                AuditEntry(
                    .accountRolesUpdate, by: actor, target: did.string,
                    meta: [
                        "from": .string(before.map(\.rawValue).sorted().joined(separator: " ")),
                        "roles": .string(account.roles.map(\.rawValue).sorted().joined(separator: " ")),
                    ], time: now),
                in: write)
            return AccountDetails(account)
        }
    }
}
