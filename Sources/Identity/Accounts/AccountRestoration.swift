package import ATProtocol
import Base
import Contracts
import Storage

extension AccountService {
    /// What was done after a restore.
    package struct Renewal: Sendable, Hashable {
        package var accountCount = 0
        /// Repositories whose heads were signed anew.
        package var renewedCount = 0
        /// Accounts whose signing keys aren't here: their repositories keep their heads.
        package var withoutKey: [DID] = []
    }

    /// Accounts dealt with in one transaction.
    private static let renewalCount = 50

    /// Makes a restored instance agree again with those who have seen what came after the backup.
    ///
    /// Every account's hosting state is told again, the repositories get heads newer than any that were lost, and all sessions
    /// end: what was revoked after the backup must not come back. For an instance that doesn't serve yet.
    ///
    /// - Parameter progress: receives accounts done so far.
    package func renewAll(progress: @Sendable (Int) -> Void) async throws -> Renewal {
        var renewal = Renewal()
        try await database.write { try PasswordResetStore.removeAll(in: $0) }
        var last = ""
        while true {
            let cursor = last
            let page = try await database.read {
                try AccountStore.page(after: cursor, limit: Self.renewalCount, in: $0)
            }
            guard let newest = page.last else { return renewal }
            var signers: [DID: any RepositorySigner] = [:]
            for account in page {
                do {
                    signers[account.did] = try await directory.custody.signer(for: account.did)
                } catch SigningKeyError.notInCustody {
                    renewal.withoutKey.append(account.did)
                }
            }
            let found = signers
            try await database.write { [self] write in
                for account in page { try renew(account, found[account.did], in: write) }
            }
            renewal.accountCount += page.count
            renewal.renewedCount += signers.count
            progress(renewal.accountCount)
            last = newest.did.string
        }
    }

    private func renew(_ account: AccountRow, _ signer: (any RepositorySigner)?, in write: any WriteScope) throws {
        let (did, hosting, now) = (account.did, account.status.hosting, clock.now())
        try sessions.endAll(of: did, in: write)
        if account.isAnnounced {
            _ = try log.append(AccountEvents.account(did, hosting: hosting, now: now), in: write)
            if hosting.isActive {
                _ = try log.append(AccountEvents.identity(did, handle: account.handle, now: now), in: write)
            }
        }
        guard let signer else { return }
        try repositories.renewHead(
            of: did, signer: signer, announced: account.isAnnounced && hosting.isActive, in: write)
    }
}
