import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.community`: what administrators do, and what owners keep.
package struct CommunityModerationRoutes: Sendable {
    private let communities: CommunityService

    package init(communities: CommunityService) {
        self.communities = communities
    }

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let name = CommunityRoutes.name
        routes.procedure(name + "suspend", access: .administrator) { call in
            let (did, reason) = (try call.community(), call.text("reason"))
            try await communities.suspend(did, reason: reason, by: call.caller)
            return Self.answer(did, "suspended", reason)
        }
        routes.procedure(name + "unsuspend", access: .administrator) { call in
            let did = try call.community()
            try await communities.unsuspend(did, by: call.caller)
            return Self.answer(did, "active", nil)
        }
        routes.procedure(name + "takedown", access: .administrator) { call in
            let (did, reason) = (try call.community(), call.text("reason"))
            try await communities.takeDown(did, reason: reason, by: call.caller)
            return Self.answer(did, "takendown", reason)
        }
        routes.procedure(name + "reverseTakedown", access: .administrator) { call in
            let did = try call.community()
            try await communities.reverseTakedown(did, by: call.caller)
            return Self.answer(did, "active", nil)
        }
        routes.procedure(name + "delete", access: .governing) { call in
            try await communities.delete(try call.community(), by: call.caller)
            return .json(["success": true])
        }
        routes.query(name + "export", access: .governing, limits: [.perAddress(.export, points: 10)], handler: export)
        routes.query(
            name + "getExportSnapshot", access: .governing, limits: [.perAddress(.export, points: 10)]
        ) { call in
            guard call.parameter("id") == nil else { throw CommunityError.snapshotNotFound }
            return .bytes(
                try await communities.snapshot(of: try call.community(), by: call.caller),
                contentType: "application/vnd.ipld.car")
        }
        routes.query(
            name + "verifyMembership", access: .optional, limits: CommunityRoutes.reads
        ) { call in
            let found = try await communities.membership(
                of: try call.did("memberDid"), in: try call.community(), by: call.caller)
            var map: DataMap = ["isMember": .boolean(found.isMember)]
            map["role"] = found.role.map { .string($0.role.name) }
            map["roleRkey"] = found.role.map { .string($0.rkey.string) }
            return .json(.map(map))
        }
    }

    private static func answer(_ did: DID, _ status: String, _ reason: String?) -> XRPCResponse {
        var map: DataMap = ["did": .string(did.string), "status": .string(status)]
        map["reason"] = reason.map { .string($0) }
        return .json(.map(map))
    }

    @Sendable private func export(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try call.community()
        let head = try await communities.beginExport(of: did, by: call.caller)
        let document: DataMap = [
            "$type": "net.openfederation.community.export", "exportedAt": .string(Datetime(head.exportedAt).string),
            "exportedBy": .string(call.caller.did?.string ?? "operator"),
            "community": [
                "did": .string(did.string), "handle": .string(head.view.handle.string),
                "didMethod": .string(head.view.listed.instance.method),
                "status": .string(CommunityRoutes.status(head.view.status)),
            ],
            "stats": [
                "totalRecords": .integer(head.recordCount),
                "memberCount": .integer(head.view.listed.row.memberCount),
                "collections": .integer(Int64(head.collectionCount)),
            ],
        ]
        let opening = DataValue.map(document).json().dropLast() + Array(",\"collections\":".utf8)
        let stream = try await communities.dump(
            did, head: Array(opening), tail: Array("}".utf8), for: call.head.addressKey)
        return .stream(stream, contentType: "application/json")
    }
}
