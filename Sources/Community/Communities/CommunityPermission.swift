/// What a role of a community lets its holders do.
///
/// - Spec: the twelve permissions of OpenFederation, `net.openfederation.community.defs#permission`.
package enum CommunityPermission: String, Sendable, Hashable, CaseIterable {
    case settingsWrite = "community.settings.write"
    case profileWrite = "community.profile.write"
    case memberRead = "community.member.read"
    case memberWrite = "community.member.write"
    case memberDelete = "community.member.delete"
    case roleRead = "community.role.read"
    case roleWrite = "community.role.write"
    case attestationWrite = "community.attestation.write"
    case attestationDelete = "community.attestation.delete"
    case applicationWrite = "community.application.write"
    case applicationDelete = "community.application.delete"
    case governanceWrite = "community.governance.write"

    fileprivate var bit: Int64 {
        switch self {
        case .settingsWrite: 1
        case .profileWrite: 1 << 1
        case .memberRead: 1 << 2
        case .memberWrite: 1 << 3
        case .memberDelete: 1 << 4
        case .roleRead: 1 << 5
        case .roleWrite: 1 << 6
        case .attestationWrite: 1 << 7
        case .attestationDelete: 1 << 8
        case .applicationWrite: 1 << 9
        case .applicationDelete: 1 << 10
        case .governanceWrite: 1 << 11
        }
    }
}

/// A set of permissions, as the derived table of roles holds it.
package struct CommunityPermissions: Sendable, Hashable {
    /// The sum of the members' bits; unknown bits mean nothing.
    package var bits: Int64

    package init(bits: Int64) { self.bits = bits }

    package init(_ permissions: some Sequence<CommunityPermission>) {
        bits = permissions.reduce(0) { $0 | $1.bit }
    }

    /// The permissions that a record names; words of other servers are passed over.
    package init(names: some Sequence<String>) {
        self.init(names.compactMap { CommunityPermission(rawValue: $0) })
    }

    package static let none = CommunityPermissions(bits: 0)
    package static let all = CommunityPermissions(CommunityPermission.allCases)

    /// Whether `permission` is one of these.
    package func contains(_ permission: CommunityPermission) -> Bool { bits & permission.bit != 0 }

    /// Whether all of these are among `others`.
    package func isSubset(of others: CommunityPermissions) -> Bool { bits & ~others.bits == 0 }

    /// In the order of the enumeration.
    package var names: [String] { CommunityPermission.allCases.filter(contains).map(\.rawValue) }
}
