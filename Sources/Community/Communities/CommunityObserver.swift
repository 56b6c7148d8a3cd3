package import ATProtocol
package import Contracts
package import Storage

/// Derives settings, profile, roles and members from a community's records.
package struct CommunityObserver: RecordObserver {
    static let derivedTables = ["community_profile", "community_role", "community_member"]

    package let collections: Set<NSID> = [
        CommunityCollections.settings, CommunityCollections.profile, CommunityCollections.role,
        CommunityCollections.member,
    ]
    package let tables = derivedTables
    private let policies: CommunityPolicies

    package init(policies: CommunityPolicies) {
        self.policies = policies
    }

    package func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws {
        for record in records { try observe(record, of: did, in: scope) }
        policies.forget(did, after: scope)
    }

    private func observe(_ record: ObservedRecord, of did: DID, in scope: any WriteScope) throws {
        let key = record.path.key
        switch record.path.collection {
        case CommunityCollections.settings:
            guard key == CommunityCollections.selfKey else { return }
            if let settings = record.value.flatMap(CommunitySettings.init) {
                try CommunityStore.store(settings, of: did, in: scope)
            }
        case CommunityCollections.profile:
            guard key == CommunityCollections.selfKey else { return }
            try CommunityStore.storeProfile(record.value, of: did, in: scope)
        case CommunityCollections.role:
            if let role = record.value.flatMap(CommunityRole.init) {
                try CommunityStore.store(role, at: key, of: did, in: scope)
            } else {
                try CommunityStore.removeRole(key, of: did, in: scope)
            }
        case CommunityCollections.member:
            if let member = record.value.flatMap(CommunityMember.init) {
                try CommunityStore.store(member, at: key, of: did, in: scope)
            } else {
                try CommunityStore.removeMember(key, of: did, in: scope)
            }
        default: return
        }
    }

    package func forget(_ did: DID, in scope: any WriteScope) throws {
        try CommunityStore.forget(did, in: scope)
        policies.forget(did, after: scope)
    }
}
