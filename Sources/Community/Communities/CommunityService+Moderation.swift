package import ATProtocol
package import Base
package import Contracts
package import Storage

/// What administrators of the server do to communities, and what their owners keep whatever happens.
extension CommunityService {
    private static let exportPurpose = KeyPurpose("community.export")

    /// Suspends a community: it can be read, and nothing else.
    ///
    /// - Throws: `CommunityError.notFound`, `.alreadySuspended`, `.alreadyTakenDown`.
    package func suspend(_ did: DID, reason: String?, by caller: Caller) async throws {
        try await moderate(did, caller) { status, scope in
            if status == .takendown { throw CommunityError.alreadyTakenDown }
            guard try accounts.change(did, .suspend, in: scope) else { throw CommunityError.alreadySuspended }
            try CommunityInstanceStore.setReason(reason, of: did, in: scope)
            try note("community.suspend", did, reason, caller, in: scope)
        }
    }

    /// Ends a suspension.
    ///
    /// - Throws: `CommunityError.notFound`, `.notSuspended`.
    package func unsuspend(_ did: DID, by caller: Caller) async throws {
        try await moderate(did, caller) { status, scope in
            guard status != .takendown, try accounts.change(did, .unsuspend, in: scope) else {
                throw CommunityError.notSuspended
            }
            try CommunityInstanceStore.setReason(nil, of: did, in: scope)
            try note("community.unsuspend", did, nil, caller, in: scope)
        }
    }

    /// Takes a community down, and keeps a sealed archive of it for its owners.
    ///
    /// Nothing lands in it from before the archive is made, so that the archive is all there was.
    /// - Throws: `CommunityError.notFound`, `.alreadyTakenDown`, `.exportRequired` when it is too large to be kept.
    package func takeDown(_ did: DID, reason: String?, by caller: Caller) async throws {
        let wasSuspended = try await moderate(did, caller) { status, scope in
            if status == .takendown { throw CommunityError.alreadyTakenDown }
            return try !accounts.change(did, .suspend, in: scope)
        }
        let sealed: [UInt8]
        do {
            sealed = try await sealedArchive(of: did)
        } catch {
            if !wasSuspended {
                try await moderate(did, caller) { _, scope in _ = try accounts.change(did, .unsuspend, in: scope) }
            }
            throw error
        }
        let now = clock.now()
        try await moderate(did, caller) { status, scope in
            guard try accounts.change(did, .takedown, in: scope) else { throw CommunityError.alreadyTakenDown }
            if !wasSuspended { _ = try accounts.change(did, .unsuspend, in: scope) }
            try CommunityInstanceStore.setReason(reason, of: did, in: scope)
            try CommunityInstanceStore.setSealedExport(sealed, at: now, of: did, in: scope)
            try note("community.takedown", did, reason, caller, in: scope)
        }
    }

    /// Brings back a community that was taken down.
    ///
    /// - Throws: `CommunityError.notFound`, `.notTakenDown`.
    package func reverseTakedown(_ did: DID, by caller: Caller) async throws {
        try await moderate(did, caller) { _, scope in
            guard try accounts.change(did, .restore, in: scope) else { throw CommunityError.notTakenDown }
            try CommunityInstanceStore.setReason(nil, of: did, in: scope)
            try note("community.reverseTakedown", did, nil, caller, in: scope)
        }
    }

    @discardableResult
    private func moderate<T: Sendable>(
        _ did: DID, _ caller: Caller, _ body: @escaping @Sendable (AccountStatus, any WriteScope) throws -> T
    ) async throws -> T {
        guard caller.isAdministrator else { throw CommunityError.forbidden }
        return try await act(in: did) { transaction in
            let scope = transaction.scope
            let result = try body(try known(did, to: caller, in: scope).standing.status, scope)
            try relist(did, in: scope)
            return result
        }
    }

    private func note(
        _ action: String, _ did: DID, _ reason: String?, _ caller: Caller, in scope: any WriteScope
    ) throws {
        var meta: DataMap = [:]
        meta["reason"] = reason.map { .string($0) }
        try audit.record(action, by: caller, target: did.string, meta: meta, in: scope)
    }

    // MARK: Deleting

    /// Deletes a community for good. Where votes decide, no owner does it alone.
    ///
    /// - Throws: `CommunityError.notFound`, `.forbidden`, `.needsProposal`, `.suspended`, `.takenDown`.
    package func delete(_ did: DID, by caller: Caller) async throws {
        try await act(in: did) { transaction in
            let scope = transaction.scope
            if !caller.isAdministrator {
                let seen = try admit(caller, to: did, in: scope)
                guard seen.permissions != nil else { throw CommunityError.notMember }
                guard try isOwner(caller, of: did, in: scope) else { throw CommunityError.forbidden }
                guard seen.row.model == CommunitySettings.benevolentDictator else {
                    throw CommunityError.needsProposal
                }
            } else {
                _ = try known(did, to: caller, in: scope)
            }
            try accounts.remove(did, in: scope)
            try JoinRequestStore.removeAll(of: did, in: scope)
            try GovernanceStore.remove(did, in: scope)
            try CommunityInstanceStore.remove(did, in: scope)
            try AttestationStore.removeSalts(ofCommunity: did, in: scope)
            try note("community.delete", did, nil, caller, in: scope)
        }
        try await accounts.forgetEvents(of: did)
    }

    private func isOwner(_ caller: Caller, of did: DID, in scope: any ReadScope) throws -> Bool {
        guard let account = caller.account else { return false }
        return try ownership(of: account.did, in: did, scope) != nil
    }

    // MARK: What owners keep

    /// What an export says of its community.
    package struct ExportHead: Sendable {
        package var view: CommunityView
        package var recordCount: Int64
        package var collectionCount: Int
        package var exportedAt: Timestamp
    }

    /// What an export of all records begins with; noted as having been made. In whatever state the community is.
    ///
    /// - Throws: `CommunityError.notFound`, `.forbidden` for all but owners and administrators.
    package func beginExport(of did: DID, by caller: Caller) async throws -> ExportHead {
        let now = clock.now()
        guard let figures = try await repositories.figures(of: did) else { throw CommunityError.notFound }
        let collections = try await records.collections(of: did).count
        return try await database.write { scope in
            let seen = try known(did, to: caller, in: scope)
            guard try caller.isAdministrator || isOwner(caller, of: did, in: scope) else {
                throw CommunityError.forbidden
            }
            guard let instance = try CommunityInstanceStore.instance(did, in: scope) else {
                throw CommunityError.notFound
            }
            try CommunityInstanceStore.setExported(now, of: did, in: scope)
            try note("community.export", did, nil, caller, in: scope)
            return ExportHead(
                view: CommunityView(
                    handle: seen.standing.handle, status: seen.standing.status,
                    listed: ListedCommunity(instance: instance, row: seen.row)),
                recordCount: figures.recordCount, collectionCount: collections, exportedAt: now)
        }
    }

    /// All records as JSON, between `head` and `tail`.
    package func dump(_ did: DID, head: [UInt8], tail: [UInt8], for client: String) async throws -> ByteStream {
        try await records.dump(did, head: head, tail: tail, for: client)
    }

    /// The archive that was kept for a community's owners.
    ///
    /// - Throws: `CommunityError.notFound`, `.forbidden`, `.snapshotNotFound`.
    package func snapshot(of did: DID, by caller: Caller) async throws -> [UInt8] {
        let sealed = try await database.read { scope in
            _ = try known(did, to: caller, in: scope)
            guard try caller.isAdministrator || isOwner(caller, of: did, in: scope) else {
                throw CommunityError.forbidden
            }
            return try CommunityInstanceStore.sealedExport(of: did, in: scope)
        }
        guard let sealed else { throw CommunityError.snapshotNotFound }
        return try vault.open(sealed, purpose: Self.exportPurpose, owner: did.string)
    }

    private func sealedArchive(of did: DID) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await piece in try await archives.archive(of: did, for: nil) {
            bytes += piece
            guard bytes.count <= CommunityLimits.sealedExportSizeBytesMax else {
                throw CommunityError.exportRequired(
                    "The community is too large to be kept for its owners: delete it, or have them export it first")
            }
        }
        return try vault.seal(bytes, purpose: Self.exportPurpose, owner: did.string)
    }

    // MARK: Membership of others

    /// Whether somebody belongs to a community, and by which role.
    package func membership(
        of person: DID, in did: DID, by caller: Caller
    ) async throws -> (isMember: Bool, role: CommunityRoleRow?) {
        _ = try await seen(did, by: caller)
        return try await database.read { scope in
            guard let member = try CommunityStore.member(person, of: did, in: scope) else { return (false, nil) }
            return (true, try CommunityStore.role(member.member.role, of: did, in: scope))
        }
    }
}
