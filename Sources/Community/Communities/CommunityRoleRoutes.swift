import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.community`: roles, owners, profile and settings.
package struct CommunityRoleRoutes: Sendable {
    private let communities: CommunityService

    package init(communities: CommunityService) {
        self.communities = communities
    }

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let (name, writes) = (CommunityRoutes.name, CommunityRoutes.writes)
        routes.procedure(name + "createRole", access: .governing, limits: writes, handler: createRole)
        routes.procedure(name + "updateRole", access: .governing, limits: writes) { call in
            let change = RoleChange(
                name: call.text("name"), description: call.text("description"),
                permissions: call.input["permissions"].map { Self.permissions($0) })
            return .json(
                .map(
                    Self.map(
                        try await communities.updateRole(
                            try Self.key(call), change, in: try call.community(), by: call.caller))))
        }
        routes.procedure(name + "deleteRole", access: .governing, limits: writes) { call in
            try await communities.deleteRole(try Self.key(call), in: try call.community(), by: call.caller)
            return .json(["success": true])
        }
        routes.query(name + "listRoles", access: .optional, limits: CommunityRoutes.reads, handler: listRoles)
        routes.procedure(name + "updateMember", access: .governing, limits: writes, handler: updateMember)
        routes.procedure(name + "updateMemberRole", access: .governing, limits: writes, handler: updateMemberRole)
        routes.procedure(name + "addOwner", access: .governing, limits: writes) { call in
            let (record, role) = try await communities.addOwner(
                try call.did("memberDid"), in: try call.community(), by: call.caller)
            var map = Self.map(record)
            map["role"] = .string(role.role.name)
            map["roleRkey"] = .string(role.rkey.string)
            return .json(.map(map))
        }
        routes.procedure(
            name + "transferOwnership", access: .fullSession, limits: [.perAddress(.authentication)],
            handler: transferOwnership)
        routes.procedure(name + "update", access: .governing, limits: writes) { call in
            let change = CommunityChange(
                displayName: call.text("displayName"), description: call.text("description"),
                visibility: call.text("visibility").flatMap(CommunitySettings.Visibility.init(rawValue:)),
                joinPolicy: call.text("joinPolicy").flatMap(CommunitySettings.JoinPolicy.init(rawValue:)))
            try await communities.update(try call.community(), change, by: call.caller)
            return .json(["success": true])
        }
    }

    @Sendable private func createRole(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let role = CommunityRole(
            name: call.text("name") ?? "", description: call.text("description"),
            permissions: Self.permissions(call.input["permissions"] ?? .null))
        let record = try await communities.createRole(role, in: try call.community(), by: call.caller)
        var map = Self.map(record)
        map["rkey"] = .string(record.path.key.string)
        return .json(.map(map))
    }

    @Sendable private func listRoles(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try call.community()
        let roles = try await communities.roles(of: did, by: call.caller)
        let rows = roles.map { role, count -> DataValue in
            var map: DataMap = [
                "uri": .string("at://\(did)/\(CommunityCollections.role)/\(role.rkey)"),
                "rkey": .string(role.rkey.string), "name": .string(role.role.name),
                "permissions": .array(role.role.permissions.names.map { .string($0) }),
                "memberCount": .integer(count),
            ]
            map["description"] = role.role.description.map { .string($0) }
            return .map(map)
        }
        return .json(["roles": .array(rows)])
    }

    @Sendable private func updateMember(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var change = MemberChange(role: Self.role(call))
        if let kind = call.input["kind"] { change.kind = kind.stringValue ?? "" }
        if let tags = call.input["tags"] { change.tags = tags.arrayValue?.compactMap(\.stringValue) ?? [] }
        change.attributes = call.input["attributes"]
        return try await update(call, change)
    }

    @Sendable private func updateMemberRole(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let role = Self.role(call) else { throw CommunityError.invalid("Name a role, or its rkey") }
        return try await update(call, MemberChange(role: role))
    }

    private func update(_ call: XRPCCall<Caller>, _ change: MemberChange) async throws -> XRPCResponse {
        let (record, member, role) = try await communities.updateMember(
            try call.did("memberDid"), change, in: try call.community(), by: call.caller)
        var map = Self.map(record)
        map["role"] = role.map { .string($0.role.name) }
        map["roleRkey"] = role.map { .string($0.rkey.string) }
        CommunityRoutes.add(member, to: &map)
        return .json(.map(map))
    }

    @Sendable private func transferOwnership(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (did, heir) = (try call.community(), try call.did("memberDid"))
        let record = try await communities.transferOwnership(
            to: heir, of: did, password: call.text("password") ?? "", by: try call.member())
        var map = Self.map(record)
        map["communityDid"] = .string(did.string)
        map["ownerDid"] = .string(heir.string)
        return .json(.map(map))
    }

    // MARK: Values

    private static func role(_ call: XRPCCall<Caller>) -> MemberChange.Role? {
        call.text("roleRkey").map { .key($0) } ?? call.text("role").map { .name($0) }
    }

    private static func key(_ call: XRPCCall<Caller>) throws -> RecordKey {
        try RecordKey(parsing: call.text("rkey") ?? "")
    }

    private static func permissions(_ value: DataValue) -> CommunityPermissions {
        CommunityPermissions(names: value.arrayValue?.compactMap(\.stringValue) ?? [])
    }

    private static func map(_ record: WrittenRecord) -> DataMap {
        var map: DataMap = ["uri": .string(record.uri)]
        map["cid"] = record.cid.map { .string($0.string) }
        return map
    }
}
