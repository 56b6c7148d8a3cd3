import ATProtocol
import Base
package import Contracts
package import Storage
package import Web

/// `net.openfederation.community`: founding, finding, joining and leaving.
package struct CommunityRoutes: Sendable {
    private let communities: CommunityService
    private let cursors: CommunityCursors

    package init(communities: CommunityService, vault: KeyVault) {
        self.communities = communities
        cursors = CommunityCursors(vault: vault)
    }

    static let name = "net.openfederation.community."
    static let reads: [RouteLimit<Caller>] = [.perAddress(.discovery)]

    /// Points of a change of a record, as for a plain write.
    static let writes: [RouteLimit<Caller>] = [
        .per(.repositoryWritesHourly, points: 2) { $0.caller.did?.string },
        .per(.repositoryWritesDaily, points: 2) { $0.caller.did?.string },
    ]

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let (name, reads, writes) = (Self.name, Self.reads, Self.writes)
        routes.procedure(
            name + "create", access: .fullSession, limits: [.per(.creation) { $0.caller.did?.string }],
            handler: create)
        routes.query(name + "get", access: .optional, limits: reads, handler: get)
        routes.query(name + "listAll", access: .optional, limits: reads, handler: listAll)
        routes.query(name + "listMine", access: .session, handler: listMine)
        routes.procedure(name + "join", access: .session, limits: writes, handler: join)
        routes.procedure(name + "leave", access: .session, limits: writes) { call in
            try await communities.leave(try call.community(), by: try call.member())
            return .json(["success": true])
        }
        routes.query(name + "listMembers", access: .optional, handler: listMembers)
        routes.query(name + "listJoinRequests", access: .governing, handler: listJoinRequests)
        routes.query(name + "listMyJoinRequests", access: .session, handler: listMyJoinRequests)
        routes.procedure(name + "resolveJoinRequest", access: .governing, limits: writes) { call in
            let status = try await communities.resolveRequest(
                call.text("requestId") ?? "", approving: call.text("action") == "approve", by: call.caller)
            return .json(["status": .string(status.rawValue)])
        }
        routes.procedure(name + "removeMember", access: .governing, limits: writes) { call in
            try await communities.remove(try call.did("memberDid"), from: try call.community(), by: call.caller)
            return .json(["success": true])
        }
    }

    // MARK: Founding

    @Sendable private func create(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var new = NewCommunity(handle: call.text("handle") ?? "")
        if call.text("didMethod") == "web" {
            guard let domain = call.text("domain") else {
                throw CommunityError.invalidDomain("A did:web needs a domain")
            }
            new.method = .web(domain: domain)
        }
        new.displayName = call.text("displayName")
        new.description = call.text("description")
        new.visibility = call.text("visibility").flatMap(CommunitySettings.Visibility.init(rawValue:)) ?? .public
        new.joinPolicy = call.text("joinPolicy").flatMap(CommunitySettings.JoinPolicy.init(rawValue:)) ?? .open
        let made = try await communities.create(new, by: try call.member())
        var map: DataMap = [
            "did": .string(made.did.string), "handle": .string(made.handle.string),
            "didMethod": .string(new.methodName),
        ]
        if let key = made.rotationKey.flatMap({ Hex.decode($0) }) {
            map["primaryRotationKey"] = .string(Base64.encode(key))
            map["message"] = """
                Keep this rotation key in a safe place: it is shown this once and kept nowhere here. Whoever holds it \
                can take the community's identity to another server.
                """
        }
        if let document = made.document {
            map["didDocument"] = document.value
            map["instructions"] = .string(
                """
                Publish this document as https://\(made.did.string.dropFirst("did:web:".count))/.well-known/did.json; \
                until then nobody else can find the community by its DID.
                """)
        }
        return .json(.map(map))
    }

    // MARK: Finding

    @Sendable private func get(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let view = try await communities.view(try call.community(), by: call.caller)
        var map = Self.map(view)
        map["statusReason"] = view.listed.instance.statusReason.map { .string($0) }
        map["isOwner"] = .boolean(view.isOwner)
        map["governanceModel"] = .string(view.listed.row.model)
        if call.caller.account != nil { map["myMembership"] = .map(Self.membership(view)) }
        return .json(.map(map))
    }

    @Sendable private func listAll(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (limit, offset) = call.page
        let page = try await communities.list(
            all: call.parameter("mode") == "all", term: call.parameter("q"), by: call.caller, limit: limit,
            offset: offset)
        return .json(
            .map(call.page(of: "communities", page.items.map { .map(Self.map($0)) }, total: page.total)))
    }

    @Sendable private func listMine(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (limit, offset) = call.page
        let found = try await communities.memberships(of: try call.member().did, limit: limit, offset: offset)
        let rows = found.map { membership, standing -> DataValue in
            let view = CommunityView(
                handle: standing.handle, status: standing.status, listed: membership.community, role: membership.role)
            var map = Self.map(view)
            for name in ["isMember", "joinPolicy", "joinRequestStatus"] { map[name] = nil }
            map["joinedAt"] = .string(Datetime(membership.joinedAt).string)
            map["role"] = .string(membership.role?.role.name ?? "")
            map["roleRkey"] = membership.role.map { .string($0.rkey.string) }
            map["isOwner"] = .boolean(view.isOwner)
            return .map(map)
        }
        return .json([
            "communities": .array(rows), "limit": .integer(Int64(limit)), "offset": .integer(Int64(offset)),
        ])
    }

    static func status(_ status: AccountStatus) -> String {
        switch status {
        case .approved, .confined: "active"
        case .takendown: "takendown"
        case .suspended, .disabled, .deactivated, .pending, .rejected: "suspended"
        }
    }

    private static func map(_ view: CommunityView) -> DataMap {
        let (instance, row) = (view.listed.instance, view.listed.row)
        var map: DataMap = [
            "did": .string(row.did.string), "handle": .string(view.handle.string),
            "didMethod": .string(instance.method), "visibility": .string(row.visibility.rawValue),
            "joinPolicy": .string(row.joinPolicy.rawValue), "memberCount": .integer(row.memberCount),
            "createdAt": .string(Datetime(instance.createdAt).string), "status": .string(status(view.status)),
            "isMember": .boolean(view.membership != nil),
        ]
        map["displayName"] = row.displayName.map { .string($0) }
        map["description"] = row.description.map { .string($0) }
        map["joinRequestStatus"] = view.request.map { .string($0.status.rawValue) }
        return map
    }

    private static func membership(_ view: CommunityView) -> DataMap {
        guard let member = view.membership?.member else {
            var map: DataMap = ["status": .string(view.request?.status == .pending ? "pending" : "none")]
            map["joinRequestStatus"] = view.request.map { .string($0.status.rawValue) }
            return map
        }
        var map: DataMap = ["status": "member"]
        if let role = view.role {
            map["role"] = .string(role.role.name)
            map["roleRkey"] = .string(role.rkey.string)
            map["permissions"] = .array(role.role.permissions.names.map { .string($0) })
        }
        add(member, to: &map)
        return map
    }

    static func add(_ member: CommunityMember, to map: inout DataMap) {
        map["kind"] = member.kind.map { .string($0) }
        if !member.tags.isEmpty { map["tags"] = .array(member.tags.map { .string($0) }) }
        map["attributes"] = member.attributes
    }

    // MARK: Members

    @Sendable private func join(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let traits = try MemberTraits(
            kind: call.text("kind"), tags: call.input["tags"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            attributes: call.input["attributes"])
        let status = try await communities.join(try call.community(), traits, by: try call.member())
        return .json(["status": .string(status == .approved ? "joined" : "pending")])
    }

    @Sendable private func listMembers(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (did, (limit, offset)) = (try call.community(), call.page)
        let list = "members " + did.string
        let after = try cursors.position(call.parameter("cursor"), of: list).map(Self.position)
        let page = try await communities.members(
            of: did, MemberFilter(role: call.parameter("role"), term: call.parameter("q")), after: after,
            by: try call.somebody(), limit: limit, offset: offset)
        let rows = page.items.map { item -> DataValue in
            let member = item.row.member
            var map: DataMap = [
                "did": .string(member.did.string),
                "handle": .string(item.handle?.string ?? member.handle ?? "handle.invalid"),
                "role": .string(item.role?.role.name ?? ""),
                "joinedAt": .string(Datetime(member.joinedAt).string),
            ]
            map["roleRkey"] = item.role.map { .string($0.rkey.string) }
            map["isOwner"] = .boolean(item.role?.role.name == DefaultRole.owner.rawValue)
            Self.add(member, to: &map)
            return .map(map)
        }
        var map = call.page(of: "members", rows, total: page.total)
        if let next = page.next {
            map["cursor"] = .string(try cursors.cursor("\(next.joinedAt.microseconds) \(next.did)", of: list))
        }
        return .json(.map(map))
    }

    private static func position(_ text: String) throws -> MemberPosition {
        let parts = text.split(separator: " ")
        guard parts.count == 2, let moment = Int64(parts[0]) else {
            throw CommunityError.invalid("The cursor is not one of this list")
        }
        return MemberPosition(
            joinedAt: Timestamp(microseconds: moment), did: try DID(parsing: String(parts[1])))
    }

    // MARK: Requests

    @Sendable private func listJoinRequests(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (limit, offset) = call.page
        let page = try await communities.joinRequests(
            of: try call.community(), by: call.caller, limit: limit, offset: offset)
        let rows = page.items.map { request, handle -> DataValue in
            var map: DataMap = [
                "id": .string(request.id), "userId": .string(request.did.string),
                "userDid": .string(request.did.string), "handle": .string(handle?.string ?? "handle.invalid"),
                "status": .string(request.status.rawValue),
                "createdAt": .string(Datetime(request.createdAt).string),
            ]
            map["kind"] = request.kind.map { .string($0) }
            if !request.tags.isEmpty { map["tags"] = .array(request.tags.map { .string($0) }) }
            map["attributes"] = request.attributes
            return .map(map)
        }
        return .json(.map(call.page(of: "requests", rows, total: page.total)))
    }

    @Sendable private func listMyJoinRequests(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (did, (limit, _)) = (try call.member().did, call.page)
        let list = "requests " + did.string
        let found = try await communities.joinRequests(
            by: did, before: try cursors.position(call.parameter("cursor"), of: list), limit: limit)
        let rows = found.map { request, handle -> DataValue in
            var map: DataMap = [
                "id": .string(request.id), "communityDid": .string(request.community.string),
                "status": .string(request.status.rawValue),
                "createdAt": .string(Datetime(request.createdAt).string),
            ]
            map["communityHandle"] = handle.map { .string($0.string) }
            map["resolvedAt"] = request.resolvedAt.map { .string(Datetime($0).string) }
            return .map(map)
        }
        var map: DataMap = ["requests": .array(rows)]
        if found.count == limit, let last = found.last {
            map["cursor"] = .string(try cursors.cursor(last.request.id, of: list))
        }
        return .json(.map(map))
    }
}
