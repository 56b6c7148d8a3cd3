import ATProtocol
import Base
package import Contracts
import Storage

/// A community that somebody wants to found.
package struct NewCommunity: Sendable, Hashable {
    /// A bare name, or a whole handle under a domain served here.
    package var handle: String
    package var method: CommunityIdentityRequest.Method
    package var displayName: String?
    package var description: String?
    package var visibility: CommunitySettings.Visibility = .public
    package var joinPolicy: CommunitySettings.JoinPolicy = .open

    package init(handle: String, method: CommunityIdentityRequest.Method = .plc) {
        self.handle = handle
        self.method = method
    }

    var methodName: String { if case .plc = method { "plc" } else { "web" } }
}

extension CommunityService {
    /// Founds a community: identity, account, repository, first records and its founder's membership, or nothing.
    ///
    /// - Throws: `CommunityError.handleTaken`, `.invalidHandle`, `.invalidDomain`, `.identityCreationFailed`;
    ///   storage errors.
    package func create(_ new: NewCommunity, by founder: AccountCaller) async throws -> PreparedCommunity {
        let request = CommunityIdentityRequest(
            handle: new.handle, method: new.method, isConfined: new.visibility == .private)
        return try await inCommunityTerms {
            let prepared = try await accounts.prepare(request)
            try await door.transact(on: [], newcomers: [prepared.did: prepared.signer]) { transaction in
                try found(new, prepared, by: founder, transaction)
            }
            return prepared
        }
    }

    private func found(
        _ new: NewCommunity, _ prepared: PreparedCommunity, by founder: AccountCaller,
        _ transaction: any RepositoryTransaction
    ) throws {
        let (did, now, scope) = (prepared.did, transaction.now, transaction.scope)
        guard let person = try standings.standing(of: founder.did, in: scope), person.status == .approved,
            person.kind == .person
        else { throw CommunityError.forbidden }
        try accounts.create(prepared, in: scope)
        try CommunityInstanceStore.insert(
            CommunityInstance(
                did: did, method: new.methodName, createdBy: founder.did, createdAt: now, isListed: false), in: scope)
        let settings = CommunitySettings(
            didMethod: new.methodName, visibility: new.visibility, joinPolicy: new.joinPolicy)
        var profile: DataMap = [
            "$type": .string(CommunityCollections.profile.string), "createdAt": .string(Datetime(now).string),
        ]
        profile["displayName"] = new.displayName.map(DataValue.string)
        profile["description"] = new.description.map(DataValue.string)
        var writes = [
            RecordWrite(
                collection: CommunityCollections.settings,
                action: .put(key: CommunityCollections.selfKey, record: settings.record)),
            RecordWrite(
                collection: CommunityCollections.profile,
                action: .put(key: CommunityCollections.selfKey, record: .map(profile))),
        ]
        for role in DefaultRole.allCases {
            let key = transaction.newKey()
            writes.append(
                RecordWrite(
                    collection: CommunityCollections.role,
                    action: .create(
                        key: key,
                        record: CommunityRole(name: role.rawValue, permissions: role.permissions).record)))
            guard role == .owner else { continue }
            let member = CommunityMember(
                did: founder.did, handle: person.handle.string, joinedAt: now, role: key.string)
            writes.append(
                RecordWrite(
                    collection: CommunityCollections.member,
                    action: .create(key: transaction.newKey(), record: member.record)))
        }
        try transaction.apply(writes, to: did, by: .act(CommunityAct.founding))
        try relist(did, in: scope)
        try audit.record(
            "community.create", by: .account(founder), target: did.string,
            meta: ["handle": .string(prepared.handle.string), "visibility": .string(new.visibility.rawValue)],
            in: scope)
    }
}

/// Says what is wrong with an identity in the words of communities.
func inCommunityTerms<T: Sendable>(_ body: () async throws -> T) async throws -> T {
    do {
        return try await body()
    } catch let error as CommunityAccountError {
        switch error {
        case .invalidHandle(let reason): throw CommunityError.invalidHandle(reason)
        case .handleTaken: throw CommunityError.handleTaken
        case .invalidDomain(let reason): throw CommunityError.invalidDomain(reason)
        case .taken: throw CommunityError.invalidDomain("there is an account with that DID already")
        case .notFound: throw CommunityError.notFound
        case .notRegistered: throw CommunityError.identityCreationFailed
        }
    }
}
