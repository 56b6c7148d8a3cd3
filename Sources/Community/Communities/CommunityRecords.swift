package import ATProtocol
package import Base

/// The roles that every community begins with.
package enum DefaultRole: String, Sendable, CaseIterable {
    /// The role of this name keeps its name and what its holders need to run the community.
    case owner
    case moderator
    case member

    package var permissions: CommunityPermissions {
        switch self {
        case .owner: .all
        case .moderator:
            CommunityPermissions([
                .profileWrite, .memberRead, .memberWrite, .memberDelete, .roleRead, .attestationWrite,
                .attestationDelete, .governanceWrite,
            ])
        case .member: CommunityPermissions([.memberRead, .roleRead])
        }
    }

    /// What the role named `owner` may not be without.
    package static let ownerMinimum = CommunityPermissions([.roleWrite, .settingsWrite])
}

/// `net.openfederation.community.settings/self`.
package struct CommunitySettings: Sendable, Hashable {
    /// Who may know of the community: everybody, or its members.
    package enum Visibility: String, Sendable, Hashable {
        case `public`
        case `private`
    }

    /// How somebody becomes a member: at once, or when the request is approved.
    package enum JoinPolicy: String, Sendable, Hashable {
        case open
        case approval
    }

    package var didMethod: String
    /// The name of the governance model.
    package var model: String
    package var visibility: Visibility
    package var joinPolicy: JoinPolicy
    /// `governanceConfig` as it stands; empty when there is none.
    package var config: DataMap

    package static let benevolentDictator = "benevolent-dictator"

    package init(
        didMethod: String, model: String = benevolentDictator, visibility: Visibility, joinPolicy: JoinPolicy,
        config: DataMap = [:]
    ) {
        self.didMethod = didMethod
        self.model = model
        self.visibility = visibility
        self.joinPolicy = joinPolicy
        self.config = config
    }

    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let method = record["didMethod"]?.stringValue, let model = record["governanceModel"]?.stringValue,
            let visibility = record["visibility"]?.stringValue.flatMap(Visibility.init(rawValue:)),
            let joinPolicy = record["joinPolicy"]?.stringValue.flatMap(JoinPolicy.init(rawValue:))
        else { return nil }
        self.init(
            didMethod: method, model: model, visibility: visibility, joinPolicy: joinPolicy,
            config: record["governanceConfig"]?.mapValue ?? [:])
    }

    package var record: DataValue {
        var map: DataMap = [
            "$type": .string(CommunityCollections.settings.string), "didMethod": .string(didMethod),
            "governanceModel": .string(model), "visibility": .string(visibility.rawValue),
            "joinPolicy": .string(joinPolicy.rawValue),
        ]
        if !config.isEmpty { map["governanceConfig"] = .map(config) }
        return .map(map)
    }

    /// Whether decisions are made by votes.
    package var isVoting: Bool { model != Self.benevolentDictator }

    /// The collections that only a decision writes to; none where one person decides.
    ///
    /// The settings may name collections by their last word.
    package var protectedCollections: Set<NSID> {
        guard isVoting else { return [] }
        guard let names = config["protectedCollections"]?.arrayValue else {
            return CommunityCollections.protectedByDefault
        }
        let named = names.compactMap { name -> NSID? in
            guard let text = name.stringValue else { return nil }
            return try? NSID(parsing: text.contains(".") ? text : CommunityCollections.prefix + text)
        }
        return CommunityCollections.alwaysProtected.union(named)
    }
}

/// `net.openfederation.community.role`.
package struct CommunityRole: Sendable, Hashable {
    package var name: String
    package var description: String?
    package var permissions: CommunityPermissions

    package init(name: String, description: String? = nil, permissions: CommunityPermissions) {
        self.name = name
        self.description = description
        self.permissions = permissions
    }

    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let name = record["name"]?.stringValue, let permissions = record["permissions"]?.arrayValue else {
            return nil
        }
        self.init(
            name: name, description: record["description"]?.stringValue,
            permissions: CommunityPermissions(names: permissions.compactMap(\.stringValue)))
    }

    package var record: DataValue {
        var map: DataMap = [
            "$type": .string(CommunityCollections.role.string), "name": .string(name),
            "permissions": .array(permissions.names.map(DataValue.string)),
        ]
        map["description"] = description.map(DataValue.string)
        return .map(map)
    }
}

/// `net.openfederation.community.member`.
package struct CommunityMember: Sendable, Hashable {
    package var did: DID
    package var handle: String?
    package var joinedAt: Timestamp
    /// The key of the role's record. Records of before there were keys name the role instead; they hold the built-in one.
    package var role: String
    package var kind: String?
    package var tags: [String]
    package var attributes: DataValue?

    package init(did: DID, handle: String?, joinedAt: Timestamp, role: String) {
        self.did = did
        self.handle = handle
        self.joinedAt = joinedAt
        self.role = role
        tags = []
    }

    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let text = record["did"]?.stringValue, let did = try? DID(parsing: text),
            let joined = record["joinedAt"]?.stringValue.flatMap({ try? Datetime(parsing: $0) })
        else { return nil }
        self.init(
            did: did, handle: record["handle"]?.stringValue, joinedAt: joined.timestamp,
            role: record["roleRkey"]?.stringValue ?? "")
        kind = record["kind"]?.stringValue
        tags = record["tags"]?.arrayValue?.compactMap(\.stringValue) ?? []
        attributes = record["attributes"]
    }

    package var record: DataValue {
        var map: DataMap = [
            "$type": .string(CommunityCollections.member.string), "did": .string(did.string),
            "joinedAt": .string(Datetime(joinedAt).string), "roleRkey": .string(role),
        ]
        map["handle"] = handle.map(DataValue.string)
        map["kind"] = kind.map(DataValue.string)
        if !tags.isEmpty { map["tags"] = .array(tags.map(DataValue.string)) }
        map["attributes"] = attributes
        return .map(map)
    }
}
