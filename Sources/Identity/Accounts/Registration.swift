import ATProtocol
import Base
package import Contracts
import Storage

/// Making accounts.
extension AccountService {
    /// What somebody gives to open an account with a new identity.
    package struct NewAccount: Sendable {
        /// A bare name or a whole handle under a domain served here.
        package var handle: String
        package var email: String?
        package var password: String?
        package var inviteCode: String?
        /// A did:key of the owner's, to be the identity's strongest rotation key.
        package var recoveryKey: String?
        /// Who makes it.
        package var maker = Maker.applicant
        /// From where, for its first session.
        package var device: SessionDevice?

        package init(handle: String, email: String?, password: String?) {
            self.handle = handle
            self.email = email
            self.password = password
        }
    }

    /// Who makes an account, and so which hurdles it has.
    package enum Maker: Sendable, Hashable {
        /// Anybody: invites and approval as configured; names kept for the operator are refused.
        case applicant
        /// Anybody, brought by a partner of the operator's: neither invite nor approval.
        case partner
        /// The operator: none, and the roles named; the user's role comes with them.
        case `operator`(roles: Set<ServerRole>)
        /// The operator's configuration in development: not even the rules of passwords.
        case bootstrap
    }

    /// An account that was made.
    package struct Registered: Sendable, Hashable {
        package var account: AccountDetails
        /// Tokens for its owner; nil while it waits for approval.
        package var grant: SessionGrant?
    }

    /// An application whose parts were all parsed.
    struct Application: Sendable {
        var handle: Handle
        var email: EmailAddress?
        var password: String?
        var inviteCode: String?
        var recoveryKey: PublicKey?
        var maker: Maker
        var device: SessionDevice?

        var roles: Set<ServerRole> {
            switch maker {
            case .applicant, .partner: [.user]
            case .operator(let roles): roles.union([.user])
            case .bootstrap: Set(ServerRole.allCases)
            }
        }
    }

    /// What was computed before the transaction that makes the account.
    struct Preparation: Sendable {
        var account: AccountRow
        var key: KeyStore.SealedKey
        /// The first operation of the identity; nil for one that moves in.
        var genesis: PLCOperation?
        var creation: RepositoryCreation
        var device: SessionDevice?
    }

    /// Opens an account with a new identity.
    ///
    /// - Throws: `AccountError`; `SessionError.overloaded`; storage errors. Nothing is left behind then.
    package func register(_ new: NewAccount) async throws -> Registered {
        try await register(new) { _, _ in }
    }

    /// As `register(_:)`; `condition` is asked in the transaction that takes the handle, and may refuse or add to it.
    func register(
        _ new: NewAccount, when condition: @escaping @Sendable (DID, any WriteScope) throws -> Void
    ) async throws -> Registered {
        let application = try parse(new)
        try await database.read { [self] in try checkFree(application, in: $0) }
        let prepared = try await prepare(application)
        if let external = directory.external {
            return try await registerElsewhere(prepared, at: external, when: condition)
        }
        return try await database.write { [self] write in
            let did = prepared.account.did
            try condition(did, write)
            try reserve(prepared.account, in: write)
            if let genesis = prepared.genesis {
                if prepared.account.state.admission == .admitted {
                    try directory.register(genesis, for: did, in: write)
                } else {
                    try directory.keepWaiting(genesis, for: did, in: write)
                }
            }
            return try commit(prepared, in: write)
        }.granted(by: self)
    }

    // MARK: Before the transaction

    func parse(_ new: NewAccount) throws(AccountError) -> Application {
        let handle = try configuration.handleDomains.handle(new.handle)
        let isStranger = new.maker == .applicant || new.maker == .partner
        try configuration.handleDomains.checkGiven(handle, names: isStranger ? .refused : .given)
        let email = new.email.flatMap { EmailAddress($0) }
        guard email != nil || (new.email == nil && !isStranger) else { throw .invalidEmail }
        guard let password = new.password else { throw .invalidPassword(reason: "A password is needed.") }
        if new.maker != .bootstrap { try PasswordRules.check(password) }
        var recoveryKey: PublicKey?
        if let text = new.recoveryKey {
            guard let key = try? PublicKey(didKey: text) else { throw .invalidRecoveryKey }
            recoveryKey = key
        }
        var inviteCode: String?
        if new.maker == .applicant {
            inviteCode = new.inviteCode.flatMap { $0.isEmpty ? nil : $0 }
            guard inviteCode != nil || configuration.invites == .waived else { throw .invite(.required) }
        }
        return Application(
            handle: handle, email: email, password: password, inviteCode: inviteCode, recoveryKey: recoveryKey,
            maker: new.maker, device: new.device)
    }

    /// Refuses early what the transaction would refuse, before a hash is computed for nothing.
    func checkFree(_ application: Application, in scope: any ReadScope) throws {
        guard try !AccountStore.isTaken(application.handle, in: scope) else { throw AccountError.handleTaken }
        if let email = application.email, try AccountStore.isTaken(email, in: scope) { throw AccountError.emailTaken }
        if let code = application.inviteCode {
            try checkInvite(code, for: application.email, now: clock.now(), in: scope)
        }
    }

    private func prepare(_ application: Application) async throws -> Preparation {
        var hash: String?
        if let password = application.password { hash = try await sessions.passwords.hash(password) }
        let signingKey = directory.custody.makeSigningKey()
        let genesis = try directory.genesis(
            handle: application.handle, signingKey: signingKey.publicKey, recoveryKey: application.recoveryKey)
        let did = genesis.genesisDID
        let now = clock.now()
        let waits = application.maker == .applicant && configuration.approval == .required
        let account = AccountRow(
            did: did, handle: application.handle, email: application.email, password: hash,
            state: AccountState(waits ? .pending : .approved), statusAt: now, roles: application.roles,
            isAnnounced: !waits,
            createdAt: now, approvedAt: waits ? nil : now, invite: application.inviteCode)
        return Preparation(
            account: account, key: try directory.custody.sealed(signingKey, of: did), genesis: genesis,
            creation: try repositories.prepareCreation(did: did, signer: signingKey), device: application.device)
    }

    // MARK: In the transaction

    /// Takes handle, address and invite for the account, or refuses.
    func reserve(_ account: AccountRow, in write: any WriteScope) throws {
        guard try !AccountStore.isTaken(account.handle, in: write) else { throw AccountError.handleTaken }
        if let email = account.email, try AccountStore.isTaken(email, in: write) { throw AccountError.emailTaken }
        guard let code = account.invite else { return }
        try checkInvite(code, for: account.email, now: account.createdAt, in: write)
        guard try InviteStore.use(code, by: account.did, now: account.createdAt, in: write) else {
            throw AccountError.invite(.usedUp)
        }
    }

    /// What the transaction made.
    struct Committed: Sendable {
        var account: AccountRow
        var family: SessionFamily?

        func granted(by service: AccountService) -> Registered {
            Registered(
                account: AccountDetails(account),
                grant: family.map { service.sessions.grant($0, account, now: account.createdAt) })
        }
    }

    /// Writes the account with its key, its repository, and, in this order and without a gap, the events `#identity`,
    /// `#account`, `#commit`, `#sync`. An account that waits is not told of.
    func insert(_ prepared: Preparation, in write: any WriteScope) throws {
        let account = prepared.account
        try AccountStore.insert(account, in: write)
        try directory.custody.keep(prepared.key, of: account.did, now: account.createdAt, in: write)
        if account.isAnnounced {
            let (did, now) = (account.did, account.createdAt)
            _ = try log.append(AccountEvents.identity(did, handle: account.handle, now: now), in: write)
            _ = try log.append(AccountEvents.account(did, hosting: account.status.hosting, now: now), in: write)
        }
        try repositories.create(prepared.creation, announced: account.isAnnounced, in: write)
        standings.forget(account.standing, after: write)
        directory.forget(account.did, after: write)
    }

    /// Writes a person's account, and its first session.
    func commit(_ prepared: Preparation, in write: any WriteScope) throws -> Committed {
        let account = prepared.account
        try insert(prepared, in: write)
        try AuditStore.append(
            AuditEntry(
                .accountRegister, by: .account(account.did), target: account.did.string,
                meta: ["status": .string(account.status.rawValue)], time: account.createdAt), in: write)
        guard account.status == .approved || account.status == .deactivated else {
            return Committed(account: account, family: nil)
        }
        let family = try sessions.begin(
            account.did, scope: .full, device: prepared.device, now: account.createdAt, in: write)
        return Committed(account: account, family: family)
    }
}
