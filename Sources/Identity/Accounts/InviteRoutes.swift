import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.invite`.
package struct InviteRoutes: Sendable {
    let accounts: AccountService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let limits = [RouteLimit.perCallerAddress(.federation)]
        routes.procedure(
            "net.openfederation.invite.create", access: .moderator, limits: limits + [.perCallerAddress(.creation)],
            handler: createInvite)
        routes.query("net.openfederation.invite.list", access: .auditor, limits: limits, handler: listInvites)
    }

    @Sendable private func createInvite(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let expiresAt = try call.input["expiresAt"]?.stringValue.map { try Datetime(parsing: $0).timestamp }
        let request = AccountService.InviteRequest(
            usesMax: call.integer("maxUses", default: 1), expiresAt: expiresAt,
            boundTo: call.input["boundTo"]?.stringValue, note: call.input["note"]?.stringValue)
        let invite = try await accounts.createInvite(
            request, by: .init(call.caller), owner: call.caller.account?.did)
        return .json(
            [
                "code": .string(invite.code), "maxUses": .integer(Int64(invite.usesMax)),
                "expiresAt": invite.expiresAt.map { .string(Datetime($0).string) } ?? .null,
            ], status: 201)
    }

    @Sendable private func listInvites(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (limit, offset) = call.page
        let status = call.parameter("status").flatMap { Invite.Status(rawValue: $0) }
        let page = try await accounts.invites(status, limit: limit, offset: offset)
        let makers = try await accounts.standings.standings(of: Array(Set(page.items.compactMap(\.createdBy))))
        let handles = Dictionary(makers.map { ($0.did, $0.handle) }, uniquingKeysWith: { first, _ in first })
        let now = accounts.clock.now()
        let rows = page.items.map { Self.row($0, madeBy: $0.createdBy.flatMap { handles[$0] }, now: now) }
        return .json(call.page(of: "invites", rows, total: page.total))
    }

    private static func row(_ invite: Invite, madeBy handle: Handle?, now: Timestamp) -> DataValue {
        var map: DataMap = [
            "code": .string(invite.code), "maxUses": .integer(Int64(invite.usesMax)),
            "usesCount": .integer(Int64(invite.uses)), "createdAt": .string(Datetime(invite.createdAt).string),
            "expiresAt": invite.expiresAt.map { .string(Datetime($0).string) } ?? .null,
            "createdByHandle": handle.map { .string($0.string) } ?? .null,
            "status": .string(invite.status(now: now).rawValue),
        ]
        map["boundTo"] = invite.boundTo.map { .string($0) }
        map["note"] = invite.note.map { .string($0) }
        return .map(map)
    }
}
