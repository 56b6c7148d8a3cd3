package import ATProtocol
import Base
package import Contracts
import Storage

/// A role as somebody wants it changed; nil leaves it as it is.
package struct RoleChange: Sendable, Hashable {
    package var name: String?
    /// Empty clears it.
    package var description: String?
    package var permissions: CommunityPermissions?

    package init(name: String? = nil, description: String? = nil, permissions: CommunityPermissions? = nil) {
        self.name = name
        self.description = description
        self.permissions = permissions
    }
}

/// A member as somebody wants them changed.
package struct MemberChange: Sendable, Hashable {
    /// A role by its key, or by its name.
    package enum Role: Sendable, Hashable {
        case key(String)
        case name(String)
    }

    package var role: Role?
    /// Empty clears it.
    package var kind: String?
    package var tags: [String]?
    /// Null or empty clears them.
    package var attributes: DataValue?

    package init(role: Role? = nil, kind: String? = nil, tags: [String]? = nil, attributes: DataValue? = nil) {
        self.role = role
        self.kind = kind
        self.tags = tags
        self.attributes = attributes
    }

    var isEmpty: Bool { role == nil && kind == nil && tags == nil && attributes == nil }
}

/// A record that an act wrote.
package struct WrittenRecord: Sendable, Hashable {
    package var community: DID
    package var path: RepositoryPath
    package var cid: CID?

    package var uri: String { "at://\(community)/\(path.string)" }
}

/// Roles, and who holds them. What a role may be, and who may give it, the guard judges.
extension CommunityService {
    /// Makes a role.
    ///
    /// - Throws: `CommunityError.roleNameTaken`; as every deed.
    package func createRole(
        _ role: CommunityRole, in did: DID, by caller: Caller
    ) async throws -> WrittenRecord {
        try await act(in: did) { transaction in
            try demand(.roleWrite, of: caller, in: try admit(caller, to: did, in: transaction.scope))
            let write = RecordWrite(
                collection: CommunityCollections.role,
                action: .create(key: transaction.newKey(), record: role.record))
            let written = try put(write, in: did, by: caller, transaction)
            try note(
                "community.role.create", written, ["name": .string(role.name)], by: caller, transaction)
            return written
        }
    }

    /// Changes a role.
    ///
    /// - Throws: `CommunityError.roleNotFound`, `.roleNameTaken`, `.ownerLockout`; as every deed.
    package func updateRole(
        _ rkey: RecordKey, _ change: RoleChange, in did: DID, by caller: Caller
    ) async throws -> WrittenRecord {
        try await act(in: did) { transaction in
            try demand(.roleWrite, of: caller, in: try admit(caller, to: did, in: transaction.scope))
            let path = RepositoryPath(CommunityCollections.role, rkey)
            guard let present = try transaction.record(path, of: did), var record = present.value.mapValue,
                CommunityRole(present.value) != nil
            else { throw CommunityError.roleNotFound }
            if let name = change.name { record["name"] = .string(name) }
            if let description = change.description {
                record["description"] = description.isEmpty ? nil : .string(description)
            }
            if let permissions = change.permissions {
                record["permissions"] = .array(permissions.names.map(DataValue.string))
            }
            let write = RecordWrite(
                collection: CommunityCollections.role, action: .put(key: rkey, record: .map(record)))
            let written = try put(write, in: did, by: caller, transaction)
            try note("community.role.update", written, [:], by: caller, transaction)
            return written
        }
    }

    /// Deletes a role that nobody holds.
    ///
    /// - Throws: `CommunityError.roleNotFound`, `.roleInUse`, `.ownerLockout`; as every deed.
    package func deleteRole(_ rkey: RecordKey, in did: DID, by caller: Caller) async throws {
        try await act(in: did) { transaction in
            try demand(.roleWrite, of: caller, in: try admit(caller, to: did, in: transaction.scope))
            guard try CommunityStore.role(rkey.string, of: did, in: transaction.scope) != nil else {
                throw CommunityError.roleNotFound
            }
            let write = RecordWrite(
                collection: CommunityCollections.role, action: .delete(key: rkey, mustExist: true))
            let written = try put(write, in: did, by: caller, transaction)
            try note("community.role.delete", written, [:], by: caller, transaction)
        }
    }

    /// The roles of a community, with how many hold each.
    package func roles(of did: DID, by caller: Caller) async throws -> [(role: CommunityRoleRow, count: Int64)] {
        _ = try await seen(did, by: caller)
        return try await database.read { scope in
            let counts = try CommunityStore.memberCounts(of: did, in: scope)
            return try CommunityStore.roles(of: did, in: scope).map { ($0, counts[$0.rkey.string] ?? 0) }
        }
    }

    // MARK: Members

    /// Changes a member.
    ///
    /// - Throws: `CommunityError.noSuchMember`, `.roleNotFound`, `.cannotChangeOwner`, `.payloadTooLarge`; as every
    ///   deed.
    package func updateMember(
        _ person: DID, _ change: MemberChange, in did: DID, by caller: Caller
    ) async throws -> (record: WrittenRecord, member: CommunityMember, role: CommunityRoleRow?) {
        guard !change.isEmpty else { throw CommunityError.invalid("Say what is to change") }
        return try await act(in: did) { transaction in
            let scope = transaction.scope
            try demand(.memberWrite, of: caller, in: try admit(caller, to: did, in: scope))
            guard let present = try CommunityStore.member(person, of: did, in: scope) else {
                throw CommunityError.noSuchMember
            }
            var member = present.member
            if let asked = change.role {
                let role = try role(asked, of: did, in: scope)
                let owner = try owner(did, in: scope).rkey
                guard role.rkey != owner, member.role != owner.string else { throw CommunityError.cannotChangeOwner }
                member.role = role.rkey.string
            }
            if let kind = change.kind { member.kind = kind.isEmpty ? nil : kind }
            if let tags = change.tags { member.tags = tags }
            if let attributes = change.attributes { member.attributes = try MemberTraits.checked(attributes) }
            let written = try put(member, at: present.rkey, in: did, by: caller, transaction)
            try note("community.updateMember", written, ["member": .string(person.string)], by: caller, transaction)
            return (written, member, try CommunityStore.role(member.role, of: did, in: scope))
        }
    }

    private func role(_ asked: MemberChange.Role, of did: DID, in scope: any ReadScope) throws -> CommunityRoleRow {
        switch asked {
        case .name(let name): return try role(named: name, of: did, in: scope)
        case .key(let key):
            guard let role = try CommunityStore.role(key, of: did, in: scope) else {
                throw CommunityError.roleNotFound
            }
            return role
        }
    }

    // MARK: Owners

    /// Makes a member an owner, beside those there are.
    ///
    /// - Throws: `CommunityError.noSuchMember`, `.alreadyOwner`; as every deed.
    package func addOwner(_ person: DID, in did: DID, by caller: Caller) async throws -> (
        WrittenRecord, CommunityRoleRow
    ) {
        try await act(in: did) { transaction in
            let scope = transaction.scope
            try demand(.memberWrite, of: caller, in: try admit(caller, to: did, in: scope))
            let (present, owner) = try heir(person, in: did, scope)
            var member = present.member
            member.role = owner.rkey.string
            let written = try put(member, at: present.rkey, in: did, by: caller, transaction)
            try note("community.addOwner", written, ["member": .string(person.string)], by: caller, transaction)
            return (written, owner)
        }
    }

    /// Hands the caller's ownership to a member; the caller stays a member.
    ///
    /// - Throws: `CommunityError.noSuchMember`, `.alreadyOwner`, `.forbidden`; `InvalidPassword`; as every deed.
    package func transferOwnership(
        to person: DID, of did: DID, password: String, by owner: AccountCaller
    ) async throws -> WrittenRecord {
        try await confirm(password, of: owner, for: did)
        let caller = Caller.account(owner)
        return try await act(in: did) { transaction in
            let scope = transaction.scope
            _ = try admit(caller, to: did, in: scope)
            let (present, role) = try heir(person, in: did, scope)
            guard let own = try ownership(of: owner.did, in: did, scope) else { throw CommunityError.forbidden }
            var (heir, former) = (present.member, own.member)
            heir.role = role.rkey.string
            former.role = try self.role(named: DefaultRole.member.rawValue, of: did, in: scope).rkey.string
            let outcome = try transaction.apply(
                [write(heir, at: present.rkey), write(former, at: own.rkey)], to: did,
                by: .act(CommunityAct.deed(caller)))
            guard let result = outcome.results.first else { throw CommunityError.noSuchMember }
            let written = WrittenRecord(community: did, path: result.path, cid: result.cid)
            try note(
                "community.transferOwnership", written, ["member": .string(person.string)], by: caller, transaction)
            return written
        }
    }

    /// Has an owner prove themselves: strangers learn nothing of the community by it.
    func confirm(_ password: String, of owner: AccountCaller, for did: DID) async throws {
        _ = try await seen(did, by: .account(owner))
        guard try await database.read({ try ownership(of: owner.did, in: did, $0) }) != nil else {
            throw CommunityError.forbidden
        }
        try await passwords.confirm(password, of: owner)
    }

    /// The membership of an owner; nil for everybody else.
    func ownership(of person: DID, in did: DID, _ scope: any ReadScope) throws -> CommunityMemberRow? {
        guard let member = try CommunityStore.member(person, of: did, in: scope),
            try member.member.role == owner(did, in: scope).rkey.string
        else { return nil }
        return member
    }

    private func heir(
        _ person: DID, in did: DID, _ scope: any ReadScope
    ) throws -> (CommunityMemberRow, CommunityRoleRow) {
        guard let present = try CommunityStore.member(person, of: did, in: scope) else {
            throw CommunityError.noSuchMember
        }
        let role = try owner(did, in: scope)
        guard present.member.role != role.rkey.string else { throw CommunityError.alreadyOwner }
        return (present, role)
    }

    // MARK: Writing

    private func write(_ member: CommunityMember, at rkey: RecordKey) -> RecordWrite {
        RecordWrite(collection: CommunityCollections.member, action: .put(key: rkey, record: member.record))
    }

    private func put(
        _ member: CommunityMember, at rkey: RecordKey, in did: DID, by caller: Caller,
        _ transaction: any RepositoryTransaction
    ) throws -> WrittenRecord {
        try put(write(member, at: rkey), in: did, by: caller, transaction)
    }

    /// Writes one record as a deed of the caller's.
    func put(
        _ write: RecordWrite, in did: DID, by caller: Caller, _ transaction: any RepositoryTransaction
    ) throws -> WrittenRecord {
        let outcome = try transaction.apply([write], to: did, by: .act(CommunityAct.deed(caller)))
        guard let result = outcome.results.first else { throw CommunityError.forbidden }
        return WrittenRecord(community: did, path: result.path, cid: result.cid)
    }

    private func note(
        _ action: String, _ record: WrittenRecord, _ meta: DataMap, by caller: Caller,
        _ transaction: any RepositoryTransaction
    ) throws {
        var meta = meta
        meta["rkey"] = .string(record.path.key.string)
        try audit.record(action, by: caller, target: record.community.string, meta: meta, in: transaction.scope)
    }
}
