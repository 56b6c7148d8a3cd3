package import ATProtocol
import Base
package import Contracts
package import Storage

/// Communities as accounts: nobody signs in to them, and their state is changed by the room that governs them.
extension AccountService: CommunityAccounts {
    package func prepare(_ request: CommunityIdentityRequest) async throws -> PreparedCommunity {
        let handle = try communityHandle(request.handle)
        guard try await database.read({ try !AccountStore.isTaken(handle, in: $0) }) else {
            throw CommunityAccountError.handleTaken
        }
        let signingKey = directory.custody.makeSigningKey()
        let identity = try identity(of: request.method, handle: handle, signingKey: signingKey)
        let now = clock.now()
        var account = AccountRow(
            did: identity.did, handle: handle, email: nil, password: nil, state: AccountState(.approved),
            statusAt: now, roles: [], isAnnounced: !request.isConfined, createdAt: now, approvedAt: now)
        account.kind = .community
        if request.isConfined { account.state = account.state.changed(by: .confine) }
        let prepared = Preparation(
            account: account, key: try directory.custody.sealed(signingKey, of: identity.did),
            genesis: identity.genesis,
            creation: try repositories.prepareCreation(did: identity.did, signer: signingKey))
        if !request.isConfined, let genesis = identity.genesis { try await register(genesis, for: identity.did) }
        return PreparedCommunity(
            did: identity.did, handle: handle, signer: signingKey,
            rotationKey: identity.ownerKey.map { Hex.encode($0.rawBytes) }, document: identity.document,
            content: prepared)
    }

    package func create(_ prepared: PreparedCommunity, in scope: any WriteScope) throws {
        guard let content = prepared.content as? Preparation else { throw CommunityAccountError.notFound }
        let (did, account) = (content.account.did, content.account)
        guard try !AccountStore.isTaken(account.handle, in: scope) else { throw CommunityAccountError.handleTaken }
        guard try AccountStore.account(did, in: scope) == nil else { throw CommunityAccountError.taken }
        if let genesis = content.genesis {
            if account.state.presence == .confined {
                try directory.keepWaiting(genesis, for: did, in: scope)
            } else if directory.external == nil {
                try directory.register(genesis, for: did, in: scope)
            }
        }
        try insert(content, in: scope)
    }

    package func prepareOpening(of did: DID) async throws {
        guard directory.external != nil else { return }
        let waiting = try await database.read { try PLCStore.waiting(did, in: $0) }
        if let waiting { try await register(waiting, for: did) }
    }

    package func change(_ did: DID, _ change: CommunityAccountChange, in scope: any WriteScope) throws -> Bool {
        guard let before = try AccountStore.account(did, in: scope), before.kind == .community else {
            throw CommunityAccountError.notFound
        }
        let now = clock.now()
        var after = before
        after.state = before.state.changed(by: change)
        guard after.state != before.state else { return false }
        after.statusAt = now
        if after.status == .approved { after.isAnnounced = true }
        try AccountStore.setState(after, in: scope)
        if change == .open {
            if directory.external == nil {
                try directory.publish(did, in: scope)
            } else {
                try PLCStore.removeWaiting(did, in: scope)
            }
        }
        try tell(before, after, now: now, in: scope)
        standings.forget(before.standing, after: scope)
        directory.forget(did, after: scope)
        return true
    }

    package func remove(_ did: DID, in scope: any WriteScope) throws {
        guard let account = try AccountStore.account(did, in: scope), account.kind == .community else {
            throw CommunityAccountError.notFound
        }
        try remove(account, now: clock.now(), in: scope)
    }

    package func forgetEvents(of did: DID) async throws { try await log.purge(did) }

    // MARK: Identity

    private func communityHandle(_ text: String) throws(CommunityAccountError) -> Handle {
        do {
            let handle = try configuration.handleDomains.handle(text)
            try configuration.handleDomains.checkGiven(handle, names: .refused)
            return handle
        } catch {
            throw .invalidHandle(error.wire.message)
        }
    }

    private struct CommunityIdentity {
        var did: DID
        var genesis: PLCOperation?
        /// The owner's rotation key, which is kept nowhere.
        var ownerKey: PrivateKey?
        var document: DIDDocument?
    }

    private func identity(
        of method: CommunityIdentityRequest.Method, handle: Handle, signingKey: PrivateKey
    ) throws -> CommunityIdentity {
        switch method {
        case .plc:
            let ownerKey = PrivateKey.generate(.k256, using: randomness)
            let genesis = try directory.genesis(
                handle: handle, signingKey: signingKey.publicKey, recoveryKey: ownerKey.publicKey)
            return CommunityIdentity(did: genesis.genesisDID, genesis: genesis, ownerKey: ownerKey)
        case .web(let domain):
            guard domain == domain.lowercased(), let web = DIDWeb(host: domain),
                web.did != configuration.serviceDID, !configuration.handleDomains.covers(domain)
            else {
                throw CommunityAccountError.invalidDomain(
                    "domain must be a host name of the owner's, in lower case, without port or path")
            }
            let state = PLCState(
                rotationKeys: [], signingKey: signingKey.publicKey, handle: handle,
                pds: configuration.origin.string)
            return CommunityIdentity(did: web.did, document: DIDDocument(did: web.did, state: state))
        }
    }

    /// Tells an external directory of a new identity; whoever asks twice finds it registered.
    private func register(_ genesis: PLCOperation, for did: DID) async throws {
        guard let external = directory.external else { return }
        do {
            if try await external.lastOperation(of: did) == nil { try await external.submit(genesis, for: did) }
        } catch {
            throw CommunityAccountError.notRegistered
        }
    }
}
