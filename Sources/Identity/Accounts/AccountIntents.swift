import ATProtocol
import Base
import Contracts
import Storage

/// Making accounts whose identity is registered with somebody else's directory.
///
/// No transaction spans two houses. So first a row says what is to be, with the handle, the address and the invite
/// taken; then the identity is registered; then the account is made and the row goes. A crash at any point leaves a
/// row, and `settleIntents` brings it to its end: the account is made if the directory has the identity, else nothing
/// stays.
extension AccountService {
    func registerElsewhere(
        _ prepared: Preparation, at external: ExternalDirectory,
        when condition: @escaping @Sendable (DID, any WriteScope) throws -> Void
    ) async throws -> Registered {
        guard let genesis = prepared.genesis else { throw AccountError.identityNotRegistered }
        let did = prepared.account.did
        try await database.write { [self] write in
            try condition(did, write)
            try reserve(prepared.account, in: write)
            try IntentStore.insert(AccountIntent(prepared), in: write)
        }
        do {
            try await external.submit(genesis, for: did)
        } catch DirectoryError.unreachable {
            // Nobody knows whether it was registered: the row stays until that is known.
            throw AccountError.identityNotRegistered
        } catch {
            try await abandon(did, invite: prepared.account.invite)
            throw AccountError.identityNotRegistered
        }
        return try await finish(prepared).granted(by: self)
    }

    /// Brings every account that was being made to its end. Called at the start and now and then.
    ///
    /// - Returns: how many are still open, because the directory could not be asked.
    @discardableResult
    package func settleIntents() async throws -> Int {
        guard let external = directory.external else { return 0 }
        let age = clock.now().advanced(by: .zero - Self.intentAgeMin)
        let intents = try await database.read { try IntentStore.list(before: age, in: $0) }
        var open = 0
        for intent in intents {
            do {
                if try await external.lastOperation(of: intent.account.did) == nil {
                    try await abandon(intent.account.did, invite: intent.account.invite)
                } else {
                    _ = try await finish(try prepared(intent))
                }
            } catch DirectoryError.unreachable {
                open += 1
            }
        }
        return open
    }

    /// Younger ones may still be at work.
    static let intentAgeMin = Duration.seconds(120)

    private func prepared(_ intent: AccountIntent) throws -> Preparation {
        let key = try directory.custody.opened(intent.key, of: intent.account.did)
        return Preparation(
            account: intent.account, key: intent.key, genesis: intent.genesis,
            creation: try repositories.prepareCreation(did: intent.account.did, signer: key))
    }

    private func finish(_ prepared: Preparation) async throws -> Committed {
        try await database.write { [self] write in
            guard try IntentStore.remove(prepared.account.did, in: write) else { throw AccountError.accountExists }
            return try commit(prepared, in: write)
        }
    }

    private func abandon(_ did: DID, invite: String?) async throws {
        try await database.write { write in
            guard try IntentStore.remove(did, in: write), let invite else { return }
            try InviteStore.giveBack(invite, of: did, in: write)
        }
    }
}
