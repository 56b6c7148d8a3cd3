import ATProtocol
import Base
import Contracts
import Crypto
import Storage

/// The first administrator: named by the configuration, or made by whoever holds the set-up link.
extension AccountService {
    /// Makes sure that the administrator named by the configuration exists, is approved and holds every role. An
    /// account of that handle or address is taken for theirs; its password stays.
    ///
    /// - Throws: `AccountError` when the configuration names no possible account; storage errors.
    package func ensureBootstrapAdministrator() async throws {
        guard let named = configuration.bootstrap else { return }
        let handle = try configuration.handleDomains.handle(named.handle)
        guard let email = EmailAddress(named.email) else { throw AccountError.invalidEmail }
        let known = try await database.read { scope in
            try AccountStore.account(handle, in: scope) ?? AccountStore.account(email, in: scope)
        }
        guard let known else {
            var new = NewAccount(handle: named.handle, email: named.email, password: named.password)
            new.maker = configuration.setting == .development ? .bootstrap : .operator(roles: Self.everyRole)
            _ = try await register(new)
            return
        }
        if !known.roles.isSuperset(of: Self.everyRole) {
            try await setRoles(Self.everyRole, of: known.did, by: .operator)
        }
        for change in [AccountChange.approve, .restore, .enable, .unsuspend, .activate] {
            try await self.change(known.did, change, by: .operator)
        }
    }

    private static let everyRole = Set(ServerRole.allCases)

    /// A new token for the set-up link; the one before is worth nothing from now on. Nil once there is an
    /// administrator.
    package func setupToken() async throws -> String? {
        let token = Base64URL.encode(randomness.bytes(32))
        let (digest, now) = (Self.digest(token), clock.now())
        return try await database.write { write in
            guard try !AccountStore.hasAdministrator(in: write) else { return nil }
            try SetupStore.replace(digest, now: now, in: write)
            return token
        }
    }

    /// Whether a set-up link's token would work: for the page behind it.
    package func isSetupToken(_ token: String) async throws -> Bool {
        let digest = Self.digest(token)
        return try await database.read { try SetupStore.holds(digest, in: $0) }
    }

    /// Makes the first administrator; the token is used up by that.
    ///
    /// - Throws: `AccountError` `.setupFinished` for a token that doesn't work (any more); as `register`.
    package func completeSetup(
        token: String, handle: String, email: String, password: String
    ) async throws -> Registered {
        guard try await isSetupToken(token) else { throw AccountError.setupFinished }
        var new = NewAccount(handle: handle, email: email, password: password)
        new.maker = .operator(roles: Self.everyRole)
        let digest = Self.digest(token)
        return try await register(new) { _, write in
            guard try SetupStore.holds(digest, in: write), try !AccountStore.hasAdministrator(in: write) else {
                throw AccountError.setupFinished
            }
            try SetupStore.remove(in: write)
        }
    }

    private static func digest(_ token: String) -> [UInt8] {
        Array(SHA256.hash(data: Array(token.utf8)))
    }
}
