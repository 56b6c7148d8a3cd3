import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.audit`.
package struct AuditRoutes: Sendable {
    let audit: AuditService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query(
            "net.openfederation.audit.list", access: .inspector,
            limits: [.perCallerAddress(.federation)], handler: list)
    }

    @Sendable private func list(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let moment = { (name: String) in try call.parameter(name).map { try Datetime(parsing: $0).timestamp } }
        let filter = AuditFilter(
            action: call.parameter("action").map { AuditEntry.Action(rawValue: $0) },
            actor: call.parameter("actorId"), target: call.parameter("targetId"), since: try moment("since"),
            until: try moment("until"))
        var before: Int64?
        if let cursor = call.parameter("cursor") {
            guard let number = Int64(cursor), number > 0 else {
                throw AccountError.invalidInput("cursor is not one of this method")
            }
            before = number
        }
        let (limit, offset) = call.page
        let page = try await audit.list(filter, before: before, limit: limit, offset: offset)
        let handles = try await audit.handles(of: page.items)
        let rows = page.items.map { Self.row($0, handles) }
        guard case .map(var map) = call.page(of: "entries", rows, total: page.total) else { return .empty() }
        if page.items.count == limit { map["cursor"] = page.items.last.map { .string(String($0.id)) } }
        return .json(.map(map))
    }

    private static func row(_ numbered: NumberedAuditEntry, _ handles: [DID: Handle]) -> DataValue {
        let entry = numbered.entry
        var handle: DataValue = .null
        if case .account(let did) = entry.actor { handle = handles[did].map { .string($0.string) } ?? .null }
        return [
            "id": .string(String(numbered.id)), "action": .string(entry.action.rawValue),
            "actorId": entry.actor.stored.map { .string($0) } ?? .null, "actorHandle": handle,
            "targetId": entry.target.map { .string($0) } ?? .null, "meta": .map(entry.meta),
            "createdAt": .string(Datetime(entry.time).string),
        ]
    }
}
