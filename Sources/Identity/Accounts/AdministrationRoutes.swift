import ATProtocol
import Base
package import Contracts
package import Web

/// `com.atproto.admin` methods that concern whole accounts. Records and blobs cannot be taken down yet.
package struct AdministrationRoutes: Sendable {
    let accounts: AccountService

    private static let repositoryType = "com.atproto.admin.defs#repoRef"

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure("com.atproto.admin.deleteAccount", access: .administrator, handler: deleteAccount)
        routes.query("com.atproto.admin.getSubjectStatus", access: .moderator, handler: getSubjectStatus)
        routes.procedure("com.atproto.admin.updateSubjectStatus", access: .moderator, handler: updateSubjectStatus)
    }

    @Sendable private func deleteAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await accounts.delete(try DID(parsing: call.input["did"]?.stringValue ?? ""), by: .init(call.caller))
        return .empty()
    }

    @Sendable private func getSubjectStatus(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let text = call.parameter("did"), call.parameter("uri") == nil, call.parameter("blob") == nil else {
            throw AccountError.invalidInput("did is needed: only accounts have a status here")
        }
        let account = try await accounts.account(try DID(parsing: text).string)
        return .json(Self.subject(account))
    }

    @Sendable private func updateSubjectStatus(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let subject = call.input["subject"]
        guard subject?["$type"] == nil || subject?["$type"]?.stringValue == Self.repositoryType,
            let did = try? DID(parsing: subject?["did"]?.stringValue ?? "")
        else { throw AccountError.invalidInput("subject must be a \(Self.repositoryType)") }
        var change = AccountService.Restriction()
        change.takedown = call.input["takedown"]?["applied"]?.booleanValue.map { $0 ? .applied : .lifted }
        change.suspension = call.input["deactivated"]?["applied"]?.booleanValue.map { $0 ? .applied : .lifted }
        let account = try await accounts.restrict(did, change, by: .init(call.caller))
        return .json(Self.subject(account))
    }

    private static func subject(_ account: AccountDetails) -> DataValue {
        var beside = account.state
        let isTakenDown = beside.measures.remove(.takedown) != nil
        var deactivated: DataMap = ["applied": .boolean(beside.status != .approved)]
        if beside.status != .approved { deactivated["ref"] = .string(beside.status.rawValue) }
        return [
            "subject": ["$type": .string(repositoryType), "did": .string(account.did.string)],
            "takedown": ["applied": .boolean(isTakenDown)], "deactivated": .map(deactivated),
        ]
    }
}
