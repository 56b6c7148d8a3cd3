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
        return try await answer(try await accounts.account(try DID(parsing: text).string))
    }

    @Sendable private func updateSubjectStatus(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let subject = call.input["subject"]
        guard subject?["$type"] == nil || subject?["$type"]?.stringValue == Self.repositoryType,
            let did = try? DID(parsing: subject?["did"]?.stringValue ?? "")
        else { throw AccountError.invalidInput("subject must be a \(Self.repositoryType)") }
        var change = AccountService.Restriction()
        change.takedown = call.input["takedown"]?["applied"]?.booleanValue.map { $0 ? .applied : .lifted }
        change.suspension = call.input["deactivated"]?["applied"]?.booleanValue.map { $0 ? .applied : .lifted }
        change.takedownReason = call.input["takedown"]?["ref"]?.stringValue
        change.suspensionReason = call.input["deactivated"]?["ref"]?.stringValue
        return try await answer(try await accounts.restrict(did, change, by: .init(call.caller)))
    }

    private func answer(_ account: AccountDetails) async throws -> XRPCResponse {
        let reasons = try await accounts.reasons(of: account.did)
        var beside = account.state
        var takedown: DataMap = ["applied": .boolean(beside.measures.remove(.takedown) != nil)]
        takedown["ref"] = reasons[.takedown].map { .string($0) }
        var deactivated: DataMap = ["applied": .boolean(beside.status != .approved)]
        if beside.status != .approved {
            deactivated["ref"] = .string(reasons[.suspension] ?? beside.status.rawValue)
        }
        return .json([
            "subject": ["$type": .string(Self.repositoryType), "did": .string(account.did.string)],
            "takedown": .map(takedown), "deactivated": .map(deactivated),
        ])
    }
}
