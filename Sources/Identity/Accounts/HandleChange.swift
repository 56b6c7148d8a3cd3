package import ATProtocol
import Base
package import Contracts
import Storage

/// Giving an account another handle.
extension AccountService {
    /// Gives the caller's account another handle: one under a domain served here, or one of their own that already
    /// points to their DID. The identity, the account and the `#identity` event change together. Repeating it tells the
    /// network again.
    ///
    /// - Throws: `AccountError`, `DirectoryError`, `PLCError`; storage errors.
    package func updateHandle(_ handle: Handle, of caller: AccountCaller) async throws {
        if configuration.handleDomains.serves(handle) {
            let names: ReservedNames = caller.roles.contains(.admin) ? .given : .refused
            try configuration.handleDomains.checkGiven(handle, names: names)
        } else {
            guard await directory.resolveOutside(handle) == caller.did else { throw AccountError.handleNotProven }
        }
        let did = caller.did
        try await database.read { try Self.checkFree(handle, for: did, in: $0) }
        let home = try await directory.home(of: did)
        if case .external(let elsewhere) = home {
            try await directory.update(did, at: elsewhere) { $0.setHandle(handle) }
        }
        let now = clock.now()
        try await database.write { [self] write in
            guard let account = try AccountStore.account(did, in: write) else { throw AccountError.notFound }
            try Self.checkFree(handle, for: did, in: write)
            if case .embedded = home { try directory.update(did, in: write) { $0.setHandle(handle) } }
            try AccountStore.setHandle(handle, of: did, in: write)
            if account.isAnnounced {
                _ = try log.append(AccountEvents.identity(did, handle: handle, now: now), in: write)
            }
            standings.forget(account.standing, after: write)
            directory.forget(did, after: write)
            try AuditStore.append(
                AuditEntry(
                    .accountHandleUpdate, by: .account(did), target: did.string,
                    meta: ["from": .string(account.handle.string), "to": .string(handle.string)], time: now),
                in: write)
        }
    }

    /// Checks an operation that somebody sent to the embedded directory, without storing it.
    ///
    /// Where another directory is asked about identities from elsewhere, this one takes none: a part of a foreign log
    /// would otherwise stand here for the whole.
    /// - Throws: `PLCError`, `PLCFailure.foreign`.
    package func checkReceipt(_ operation: PLCOperation, for did: DID) async throws {
        try PLCSubmission.check(operation)
        var log = try await directory.embedded.log(of: did)
        if log.head == nil, (directory.external ?? directory.publicDirectory) != nil { throw PLCFailure.foreign }
        _ = try log.apply(operation, at: log.receiptTime(now: clock.now()))
    }

    /// Takes an operation that somebody sent to the embedded directory. When the identity's account lives here the
    /// network is told in the same transaction, since the operation is not the server's own.
    ///
    /// - Throws: `PLCError`; storage errors.
    package func receive(_ operation: PLCOperation, for did: DID) async throws {
        let now = clock.now()
        try await database.write { [self] write in
            try directory.register(operation, for: did, in: write)
            guard let account = try AccountStore.account(did, in: write), account.isAnnounced else { return }
            _ = try log.append(AccountEvents.identity(did, handle: account.handle, now: now), in: write)
        }
    }

    private static func checkFree(_ handle: Handle, for did: DID, in scope: any ReadScope) throws {
        let holder = try AccountStore.account(handle, in: scope)
        if holder?.did == did { return }
        guard try !AccountStore.isTaken(handle, in: scope) else { throw AccountError.handleTaken }
    }
}

extension PLCState {
    /// Replaces the handle: the first `at://` of `alsoKnownAs`, or a new one before all others.
    fileprivate mutating func setHandle(_ handle: Handle) {
        let uri = "at://\(handle.string)"
        guard alsoKnownAs.first(where: { $0.hasPrefix("at://") }) != uri else { return }
        alsoKnownAs.removeAll { $0 == uri }
        if let index = alsoKnownAs.firstIndex(where: { $0.hasPrefix("at://") }) {
            alsoKnownAs[index] = uri
        } else {
            alsoKnownAs.insert(uri, at: 0)
        }
    }
}
