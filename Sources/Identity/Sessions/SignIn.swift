import ATProtocol
import Base
import Contracts
import Crypto
import Storage

/// Signing in with a name and a password.
extension SessionService {
    /// What somebody signs in with.
    package struct Credentials: Sendable {
        /// A handle, a bare name, an address or a DID, as typed.
        package var identifier: String
        package var password: String
        /// Whether an account that was taken down is let in, for nothing but leaving.
        package var takendown: TakendownAccess

        package init(identifier: String, password: String, takendown: TakendownAccess = .refused) {
            self.identifier = identifier
            self.password = password
            self.takendown = takendown
        }
    }

    /// Whether an account that was taken down or suspended may sign in.
    package enum TakendownAccess: Sendable, Hashable {
        case refused
        case allowed
    }

    /// What the password turned out to be.
    private enum Proof: Sendable {
        case accountPassword
        case appPassword(AppPassword)
    }

    /// Whose password is guessed by signing in as `identifier`: the account's DID however it is spelled, or else the
    /// name in its one form.
    ///
    /// - Throws: storage errors.
    func guessingKey(of identifier: String) async throws -> String {
        let name = SignInName(identifier, domains: configuration.handleDomains)
        let found = try await database.read { scope in try name.account(in: scope) }
        return found?.did.string ?? name.text
    }

    /// Signs in.
    ///
    /// An unknown name and a wrong password are told apart by neither the answer nor the time it takes: a failure is
    /// told `signInFailureTimeMin` after the attempt began at the soonest.
    /// - Parameters:
    ///   - origin: the caller's address, for the audit and for the owner's list of sessions.
    ///   - agent: what the caller's program calls itself.
    /// - Throws: `SessionError`; storage errors.
    package func signIn(_ credentials: Credentials, origin: String, agent: String? = nil) async throws -> SessionGrant {
        let began = clock.now()
        do {
            return try await attempt(credentials, origin: origin, agent: agent)
        } catch {
            try await pause(since: began)
            throw error
        }
    }

    /// Waits until `signInFailureTimeMin` after `began` has passed: what takes less time must not be told apart by it.
    func pause(since began: Timestamp) async throws {
        let pause = configuration.signInFailureTimeMin - max(.zero, clock.now().since(began))
        if pause > .zero { try await sleeper.sleep(for: pause) }
    }

    private func attempt(
        _ credentials: Credentials, origin: String, agent: String?
    ) async throws -> SessionGrant {
        let name = SignInName(credentials.identifier, domains: configuration.handleDomains)
        let found = try await database.read { scope in try name.account(in: scope) }
        guard let account = found, let proof = try await prove(credentials.password, of: found) else {
            if found == nil { _ = try await passwords.verify(credentials.password, stored: nil) }
            try await recordFailure(of: found?.did, identifier: credentials.identifier, origin: origin)
            throw SessionError.badCredentials
        }
        let scope = try Self.scope(of: proof, status: account.status, takendown: credentials.takendown)
        let now = clock.now()
        let appPassword: String? = if case .appPassword(let password) = proof { password.name } else { nil }
        let family = try await database.write { [self] write in
            // What was proven may have changed while the hash was computed.
            guard let present = try AccountStore.account(account.did, in: write), present.password == account.password,
                present.status == account.status
            else { throw SessionError.badCredentials }
            if let appPassword {
                let names = try AppPasswordStore.list(of: account.did, in: write).map(\.name)
                guard names.contains(appPassword) else { throw SessionError.badCredentials }
            }
            return try begin(
                account.did, scope: scope, appPassword: appPassword,
                device: SessionDevice(address: origin, agent: agent), now: now, in: write)
        }
        return grant(family, account, now: now)
    }

    private func prove(_ password: String, of account: AccountRow?) async throws -> Proof? {
        guard let account else { return nil }
        if AppPasswordText.isPlausible(password) {
            let digest = AppPasswordText.digest(password, of: account.did)
            let found = try await database.read { try AppPasswordStore.find(digest, of: account.did, in: $0) }
            if let found { return .appPassword(found) }
        }
        return try await passwords.verify(password, stored: account.password) ? .accountPassword : nil
    }

    private static func scope(
        of proof: Proof, status: AccountStatus, takendown: TakendownAccess
    ) throws(SessionError) -> SessionScope {
        switch status {
        case .approved, .deactivated: break
        case .takendown, .suspended:
            // An app password opens no way out that its owner did not mean.
            guard takendown == .allowed, case .accountPassword = proof else { throw .standing(status) }
            return .takendown
        case .pending, .rejected, .disabled, .confined: throw .standing(status)
        }
        switch proof {
        case .accountPassword: return .full
        case .appPassword(let password):
            return password.privilege == .privileged ? .appPasswordPrivileged : .appPassword
        }
    }

    private func recordFailure(of did: DID?, identifier: String, origin: String) async throws {
        let reason = did == nil ? "unknown" : "password"
        let meta: DataMap = [
            "ip": .string(origin), "reason": .string(reason),
            "identifier": .string(String(identifier.prefix(Self.identifierKeptMax)).replacing("\0", with: "")),
        ]
        let entry = AuditEntry(.sessionLoginFailed, by: .anonymous, target: did?.string, meta: meta, time: clock.now())
        try await database.write { try AuditStore.append(entry, in: $0) }
    }

    /// Characters of an identifier kept in the audit.
    private static let identifierKeptMax = 253
}

/// What somebody typed as their name.
enum SignInName: Sendable, Hashable {
    case did(DID)
    case handle(Handle)
    case email(EmailAddress)
    /// Nothing anybody could be called.
    case nobody

    /// Longest text that is looked at, in bytes.
    private static let lengthMax = DID.lengthMax

    init(_ text: String, domains: HandleDomains) {
        let trimmed = String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard !trimmed.isEmpty, trimmed.utf8.count <= Self.lengthMax else {
            self = .nobody
            return
        }
        if trimmed.hasPrefix("did:") {
            self = (try? DID(parsing: trimmed)).map(SignInName.did) ?? .nobody
        } else if trimmed.dropFirst().contains("@") {
            self = EmailAddress(trimmed).map(SignInName.email) ?? .nobody
        } else {
            self = (try? domains.handle(trimmed)).map(SignInName.handle) ?? .nobody
        }
    }

    /// The name in its one form; empty for what names nobody.
    var text: String {
        switch self {
        case .did(let did): did.string
        case .handle(let handle): handle.string
        case .email(let email): email.string
        case .nobody: ""
        }
    }

    /// The account of that name.
    func account(in scope: any ReadScope) throws -> AccountRow? {
        switch self {
        case .did(let did): try AccountStore.account(did, in: scope)
        case .handle(let handle): try AccountStore.account(handle, in: scope)
        case .email(let email): try AccountStore.account(email, in: scope)
        case .nobody: nil
        }
    }
}

/// The text of app passwords, `xxxx-xxxx-xxxx-xxxx`: 80 random bits in base32.
///
/// So much randomness needs no slow hash: trying all passwords is out of reach however fast each try is.
enum AppPasswordText {
    static func make(_ randomness: any Randomness) -> String {
        let characters = Array(Base32.encode(randomness.bytes(10)))
        return stride(from: 0, to: 16, by: 4).map { String(characters[$0..<($0 + 4)]) }.joined(separator: "-")
    }

    /// Whether a password could be one of these.
    static func isPlausible(_ text: String) -> Bool {
        guard text.utf8.count == 19 else { return false }
        return text.utf8.enumerated().allSatisfy { index, byte in
            if index % 5 == 4 { return byte == UInt8(ascii: "-") }
            return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "2")...UInt8(ascii: "7")).contains(byte)
        }
    }

    /// What is kept of it: SHA-256 over the account and the password.
    static func digest(_ text: String, of did: DID) -> [UInt8] {
        Array(SHA256.hash(data: Array("app password\n\(did.string)\n\(text)".utf8)))
    }
}
