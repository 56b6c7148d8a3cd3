package import ATProtocol
import Base
package import Contracts
import Storage

/// Making and changing the did:plc identities of accounts here.
extension DirectoryService {
    /// The first operation of a new identity, signed with the server's rotation key.
    ///
    /// - Parameter recoveryKey: a key of the account's owner, which then is stronger than the server's.
    func genesis(
        handle: Handle, signingKey: PublicKey, recoveryKey: PublicKey?
    ) throws -> PLCOperation {
        let keys = (recoveryKey.map { [$0] } ?? []) + [custody.rotationKey.publicKey]
        let state = PLCState(
            rotationKeys: keys, signingKey: signingKey, handle: handle, pds: configuration.origin.string)
        return try PLCChange.update(state, prev: nil).signed(by: custody.rotationKey)
    }

    /// Registers an operation with the embedded directory in the caller's transaction.
    func register(_ operation: PLCOperation, for did: DID, in scope: any WriteScope) throws {
        try EmbeddedDirectory.submit(operation, for: did, now: clock.now(), in: scope)
        forget(did, after: scope)
    }

    /// Keeps the first operation of an identity out of the embedded directory until `publish`.
    func keepWaiting(_ operation: PLCOperation, for did: DID, in scope: any WriteScope) throws {
        try PLCSubmission.check(operation)
        try PLCStore.keepWaiting(operation, for: did, in: scope)
    }

    /// Registers the operation that was kept waiting, if one was, with the time of now: whoever follows the directory
    /// finds it behind what they have read already.
    func publish(_ did: DID, in scope: any WriteScope) throws {
        guard let operation = try PLCStore.waiting(did, in: scope) else { return }
        try PLCStore.removeWaiting(did, in: scope)
        try register(operation, for: did, in: scope)
    }

    /// Where the identity's operations go.
    func home(of did: DID) async throws -> Home {
        guard did.isPLC else { return .owner }
        if try await database.read({ try PLCStore.knows(did, in: $0) }) { return .embedded }
        guard let directory = external ?? publicDirectory else { return .embedded }
        return .external(directory)
    }

    /// Changes what an identity of the embedded directory says, in the caller's transaction. No operation is made when
    /// nothing would change.
    ///
    /// - Throws: `DirectoryError.notInCustody`, `.didNotFound`, `.didDeactivated`; `PLCError`.
    func update(
        _ did: DID, in scope: any WriteScope, _ change: (inout PLCState) -> Void
    ) throws {
        let log = try PLCStore.log(of: did, in: scope)
        guard let head = log.head else { throw DirectoryError.didNotFound }
        guard let before = log.state else { throw DirectoryError.didDeactivated }
        guard let operation = try operation(changing: before, prev: head.operation.cid, change) else { return }
        try register(operation, for: did, in: scope)
    }

    /// Changes what an identity of somebody else's directory says. Repeating it is harmless.
    ///
    /// - Throws: as `update(_:in:_:)`; `.unreachable`, `.refused`.
    func update(
        _ did: DID, at directory: ExternalDirectory, _ change: (inout PLCState) -> Void
    ) async throws {
        guard let last = try await directory.lastOperation(of: did) else { throw DirectoryError.didNotFound }
        guard let before = last.state else { throw DirectoryError.didDeactivated }
        guard let operation = try operation(changing: before, prev: last.cid, change) else { return }
        try await directory.submit(operation, for: did)
        forget(did)
    }

    private func operation(
        changing before: PLCState, prev: CID, _ change: (inout PLCState) -> Void
    ) throws -> PLCOperation? {
        var after = before
        change(&after)
        guard after != before else { return nil }
        guard before.rotationKeys.contains(custody.rotationKey.publicKey.didKey) else {
            throw DirectoryError.notInCustody
        }
        return try PLCChange.update(after, prev: prev).signed(by: custody.rotationKey)
    }

    /// What the identity says in its directory: rotation keys are not part of the document.
    ///
    /// - Throws: `DirectoryError`.
    func state(of did: DID) async throws -> PLCState {
        switch try await home(of: did) {
        case .owner: throw DirectoryError.didNotFound
        case .external(let directory): return try await directory.state(of: did)
        case .embedded:
            let log = try await embedded.log(of: did)
            guard log.head != nil else { throw DirectoryError.didNotFound }
            guard let state = log.state else { throw DirectoryError.didDeactivated }
            return state
        }
    }

    /// What the document of an account living here should say.
    ///
    /// - Throws: `SigningKeyError.notInCustody`.
    package func recommendedCredentials(for standing: AccountStanding) async throws -> PLCState {
        let key = try await custody.signingKey(of: standing.did)
        return PLCState(
            rotationKeys: [custody.rotationKey.publicKey], signingKey: key.publicKey, handle: standing.handle,
            pds: configuration.origin.string)
    }

    /// Makes sure that the document of `did` names this server and the key it holds, and that the server may change
    /// it where that is for the server to do.
    ///
    /// - Throws: `AccountError.incompatibleDocument`; `DirectoryError`.
    func checkPointsHere(_ did: DID) async throws {
        let document = try await document(of: did, freshness: .fresh)
        guard document.pdsEndpoint == configuration.origin else {
            throw AccountError.incompatibleDocument(
                reason: "DID document atproto_pds service endpoint does not match this server")
        }
        let key = try await custody.signingKey(of: did)
        guard document.signingKey == key.publicKey else {
            throw AccountError.incompatibleDocument(
                reason: "DID document verification method does not match the account's signing key")
        }
        guard did.isPLC else { return }
        guard try await state(of: did).rotationKeys.contains(custody.rotationKey.publicKey.didKey) else {
            throw AccountError.incompatibleDocument(
                reason: "The server's rotation key is not included in the identity's rotation keys")
        }
    }
}
