package import ATProtocol
package import Contracts
package import Storage

/// Judges every write to a community's repository, whichever way it comes in, and what the community is afterwards.
///
/// The one place for the rules of who may change what: methods, plain writes, imports and decisions all pass here.
package struct CommunityGuard: RepositoryGuard {
    package init() {}

    package func judge(
        _ writes: [JudgedWrite], to did: DID, by origin: WriteOrigin, in scope: any WriteScope
    ) throws {
        switch origin {
        case .direct(let caller): try judgeDirect(writes, to: did, by: caller, in: scope)
        case .act(let act):
            guard let act = act as? CommunityAct else { throw CommunityError.forbidden }
            try judge(writes, to: did, as: act, in: scope)
        }
    }

    private func judge(
        _ writes: [JudgedWrite], to did: DID, as act: CommunityAct, in scope: any WriteScope
    ) throws {
        switch act {
        case .founding: return
        case .deed(let caller): try judge(writes, to: did, by: caller, in: scope)
        case .joining(let member):
            try expect(writes, in: [CommunityCollections.member], of: member)
        case .leaving:
            try expect(writes, in: [CommunityCollections.member, CommunityCollections.delegation], of: nil)
        case .participation:
            try expect(
                writes,
                in: [CommunityCollections.proposal, CommunityCollections.vote, CommunityCollections.delegation], of: nil
            )
        case .resolution: return
        case .clock: try expect(writes, in: [CommunityCollections.proposal], of: nil)
        }
    }

    /// An act that writes elsewhere than it may is a mistake of the room that makes it.
    private func expect(_ writes: [JudgedWrite], in collections: Set<NSID>, of member: DID?) throws {
        for write in writes {
            guard collections.contains(write.path.collection) else { throw CommunityError.forbidden }
            guard let member else { continue }
            guard write.value.flatMap(CommunityMember.init)?.did == member else { throw CommunityError.forbidden }
        }
    }

    // MARK: Plain writes

    /// A plain write may do what the methods do, and no more: records with a course of their own are for their methods.
    private func judgeDirect(
        _ writes: [JudgedWrite], to did: DID, by caller: Caller, in scope: any WriteScope
    ) throws {
        for write in writes {
            switch write.path.collection {
            case CommunityCollections.proposal, CommunityCollections.vote, CommunityCollections.delegation,
                CommunityCollections.attestation:
                try admitToKnow(caller, of: did, in: scope)
                throw CommunityError.invalid("\(write.path.collection) is written to by its methods only")
            case CommunityCollections.member:
                try judgeDirectMember(write, of: did, by: caller, in: scope)
            case CommunityCollections.settings:
                try judgeDirectSettings(write, of: did, by: caller, in: scope)
            default: continue
            }
        }
        try judge(writes, to: did, by: caller, in: scope)
    }

    /// Members come by joining and go by leaving or being removed; their records can be changed.
    private func judgeDirectMember(
        _ write: JudgedWrite, of did: DID, by caller: Caller, in scope: any WriteScope
    ) throws {
        try admitToKnow(caller, of: did, in: scope)
        guard let value = write.value else { return }
        guard let member = CommunityMember(value),
            let present = try CommunityStore.member(member.did, of: did, in: scope), present.rkey == write.path.key,
            present.member.joinedAt == member.joinedAt
        else { throw CommunityError.invalid("members come by joining") }
    }

    /// Visibility moves the whole community, and a model is set with its rules: both have their methods.
    private func judgeDirectSettings(
        _ write: JudgedWrite, of did: DID, by caller: Caller, in scope: any WriteScope
    ) throws {
        try admitToKnow(caller, of: did, in: scope)
        guard let present = try CommunityStore.community(did, in: scope) else { throw GuardRefusal.hidden }
        guard let settings = write.value.flatMap(CommunitySettings.init) else { throw CommunityError.ownerLockout }
        guard settings.visibility == present.visibility, settings.model == present.model,
            settings.config == present.config
        else { throw CommunityError.invalid("visibility and governance are changed by their methods") }
    }

    /// Refuses those to whom the community isn't there, before anything is said about it.
    private func admitToKnow(_ caller: Caller, of did: DID, in scope: any ReadScope) throws {
        _ = try rights(of: caller, in: did, scope)
    }

    // MARK: Deeds

    private struct Rights {
        var permissions: CommunityPermissions
        var isOwner: Bool
    }

    /// What the caller may do.
    ///
    /// - Throws: `.hidden`, `.notMember`.
    private func rights(of caller: Caller, in did: DID, _ scope: any ReadScope) throws -> Rights {
        if caller.isAdministrator { return Rights(permissions: .all, isOwner: true) }
        guard let account = caller.account, let member = try CommunityStore.member(account.did, of: did, in: scope)
        else {
            let community = try CommunityStore.community(did, in: scope)
            guard community?.visibility == .public else { throw GuardRefusal.hidden }
            throw CommunityError.notMember
        }
        let role = try CommunityStore.role(member.member.role, of: did, in: scope)?.role
        return Rights(
            permissions: role?.permissions ?? .none, isOwner: role?.name == DefaultRole.owner.rawValue)
    }

    private func judge(_ writes: [JudgedWrite], to did: DID, by caller: Caller, in scope: any WriteScope) throws {
        let rights = try rights(of: caller, in: did, scope)
        guard let community = try CommunityStore.community(did, in: scope) else { throw CommunityError.notFound }
        let guarded = CommunitySettings(
            didMethod: "", model: community.model, visibility: community.visibility,
            joinPolicy: community.joinPolicy, config: community.config
        ).protectedCollections
        for write in writes {
            guard rights.permissions.contains(try permission(for: write)) else { throw CommunityError.forbidden }
            guard try !guarded.contains(write.path.collection) || isAdmission(write, to: did, in: scope) else {
                throw CommunityError.needsProposal
            }
            switch write.path.collection {
            case CommunityCollections.role: try judgeRole(write, of: did, rights, in: scope)
            case CommunityCollections.member: try judgeMember(write, of: did, rights, in: scope)
            default: continue
            }
        }
    }

    /// Letting somebody in who asked is day-to-day, whoever decides otherwise: with the role that everybody begins with.
    private func isAdmission(_ write: JudgedWrite, to did: DID, in scope: any ReadScope) throws -> Bool {
        guard write.path.collection == CommunityCollections.member, !write.exists,
            let member = write.value.flatMap(CommunityMember.init)
        else { return false }
        return try CommunityStore.role(member.role, of: did, in: scope)?.role.name == DefaultRole.member.rawValue
    }

    private func permission(for write: JudgedWrite) throws -> CommunityPermission {
        let isDeletion = write.value == nil
        switch write.path.collection {
        case CommunityCollections.settings: return .settingsWrite
        case CommunityCollections.profile: return .profileWrite
        case CommunityCollections.role: return .roleWrite
        case CommunityCollections.attestation: return isDeletion ? .attestationDelete : .attestationWrite
        case CommunityCollections.application: return isDeletion ? .applicationDelete : .applicationWrite
        case CommunityCollections.proposal, CommunityCollections.vote, CommunityCollections.delegation:
            return .governanceWrite
        case let collection
        where collection.string.hasPrefix(CommunityCollections.prefix)
            && collection != CommunityCollections.member:
            throw CommunityError.invalid("\(collection) is not a collection of communities that is known here")
        default: return isDeletion ? .memberDelete : .memberWrite
        }
    }

    /// Nobody gives what they don't have, or takes from those who have more; the owners' role is for owners.
    private func judgeRole(_ write: JudgedWrite, of did: DID, _ rights: Rights, in scope: any ReadScope) throws {
        let before = try CommunityStore.role(write.path.key.string, of: did, in: scope)?.role
        let after = write.value.flatMap(CommunityRole.init)
        for role in [before, after].compactMap({ $0 }) {
            guard role.permissions.isSubset(of: rights.permissions) else { throw CommunityError.forbidden }
            guard role.name != DefaultRole.owner.rawValue || rights.isOwner else { throw CommunityError.forbidden }
        }
        if let before, after == nil, try CommunityStore.hasMember(withRole: write.path.key.string, in: did, scope) {
            throw before.name == DefaultRole.owner.rawValue ? CommunityError.ownerLockout : CommunityError.roleInUse
        }
    }

    private func judgeMember(_ write: JudgedWrite, of did: DID, _ rights: Rights, in scope: any ReadScope) throws {
        let after = write.value.flatMap(CommunityMember.init)
        let before = try after.flatMap { try CommunityStore.member($0.did, of: did, in: scope) }
        if let before { guard before.rkey == write.path.key else { throw CommunityError.alreadyMember } }
        let present =
            try before ?? CommunityStore.member(at: write.path.key, of: did, in: scope)
        guard after == nil || present == nil || present?.member.did == after?.did else {
            throw CommunityError.invalid("a membership is its member's")
        }
        let roles = [present?.member.role, after?.role].compactMap { $0 }
        guard present?.member.role != after?.role || after == nil else { return }
        for rkey in roles {
            guard let role = try CommunityStore.role(rkey, of: did, in: scope)?.role else {
                guard rkey == present?.member.role else { throw CommunityError.roleNotFound }
                continue
            }
            if role.name == DefaultRole.owner.rawValue, !rights.isOwner { throw CommunityError.forbidden }
            guard role.permissions.isSubset(of: rights.permissions) else { throw CommunityError.forbidden }
        }
    }

    // MARK: What must be

    package func check(_ did: DID, in scope: any WriteScope) throws {
        guard try CommunityStore.community(did, in: scope) != nil else { return }
        let roles = try CommunityStore.roles(of: did, in: scope)
        guard Set(roles.map(\.role.name)).count == roles.count else { throw CommunityError.roleNameTaken }
        guard roles.count <= CommunityLimits.roleCountMax else {
            throw CommunityError.invalid("a community has at most \(CommunityLimits.roleCountMax) roles")
        }
        guard let owner = roles.first(where: { $0.role.name == DefaultRole.owner.rawValue }),
            DefaultRole.ownerMinimum.isSubset(of: owner.role.permissions),
            try CommunityStore.hasMember(withRole: owner.rkey.string, in: did, scope)
        else { throw CommunityError.ownerLockout }
    }
}
