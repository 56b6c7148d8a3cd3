import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.account`: joining, and what staff do.
package struct FederationAccountRoutes: Sendable {
    let accounts: AccountService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure(
            "net.openfederation.account.register", access: .anyone,
            limits: [.perAddress(.federation), .perAddress(.registration)], handler: register)
        let limits = [RouteLimit.perCallerAddress(.federation)]
        routes.query("net.openfederation.account.list", access: .auditor, limits: limits, handler: list)
        routes.query("net.openfederation.account.listPending", access: .moderator, limits: limits, handler: listPending)
        routes.procedure("net.openfederation.account.approve", access: .moderator, limits: limits) { call in
            try await review(call, .approve)
        }
        routes.procedure("net.openfederation.account.reject", access: .moderator, limits: limits) { call in
            try await review(call, .reject)
        }
        routes.procedure(
            "net.openfederation.account.updateRoles", access: .administrator, limits: limits, handler: updateRoles)
    }

    @Sendable private func register(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var new = AccountService.NewAccount(
            handle: call.input["handle"]?.stringValue ?? "", email: call.input["email"]?.stringValue ?? "",
            password: call.input["password"]?.stringValue)
        new.inviteCode = call.input["inviteCode"]?.stringValue
        new.device = call.device
        let account = try await inFederationTerms { try await accounts.register(new).account }
        return .json(Self.summary(account), status: 201)
    }

    @Sendable private func list(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let filter = AccountFilter(
            status: call.parameter("status").flatMap { AccountStatus(rawValue: $0) },
            role: call.parameter("role").flatMap { ServerRole(rawValue: $0) }, text: call.parameter("q"))
        let (limit, offset) = call.page
        let page = try await accounts.list(filter, limit: limit, offset: offset)
        return .json(call.page(of: "users", page.items.map(Self.row), total: page.total))
    }

    @Sendable private func listPending(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (limit, offset) = call.page
        let page = try await accounts.listPending(limit: limit, offset: offset)
        return .json(call.page(of: "users", page.items.map(Self.row), total: page.total))
    }

    private func review(_ call: XRPCCall<Caller>, _ verdict: AccountService.Verdict) async throws -> XRPCResponse {
        let names = AccountService.ReviewNames(
            did: call.input["userId"]?.stringValue, handle: call.input["handle"]?.stringValue,
            email: call.input["email"]?.stringValue)
        let account = try await inFederationTerms {
            try await accounts.review(names, verdict, by: .init(call.caller))
        }
        return .json(Self.summary(account))
    }

    @Sendable private func updateRoles(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let roles = { (name: String) in
            Set(
                (call.input[name]?.arrayValue ?? []).compactMap { $0.stringValue.flatMap { ServerRole(rawValue: $0) } })
        }
        let did = try DID(parsing: call.input["did"]?.stringValue ?? "")
        let account = try await inFederationTerms {
            do {
                return try await accounts.updateRoles(
                    of: did, adding: roles("addRoles"), removing: roles("removeRoles"), by: .init(call.caller))
            } catch AccountError.administratorProtected {
                throw LastAdministrator()
            }
        }
        return .json([
            "did": .string(account.did.string), "handle": .string(account.handle.string),
            "roles": .array(account.roles.map(\.rawValue).sorted().map { .string($0) }),
        ])
    }

    /// There would be no administrator any more.
    private struct LastAdministrator: WireConvertible {
        var wire: WireFailure {
            WireFailure(status: 403, error: "LastAdmin", message: "The last administrator stays one")
        }
    }

    // MARK: Encoding

    private static func summary(_ account: AccountDetails) -> DataValue {
        [
            "id": .string(account.did.string), "did": .string(account.did.string),
            "handle": .string(account.handle.string), "email": .string(account.email?.string ?? ""),
            "status": .string(account.status.rawValue),
        ]
    }

    private static func row(_ account: AccountDetails) -> DataValue {
        var map: DataMap = [
            "id": .string(account.did.string), "did": .string(account.did.string),
            "handle": .string(account.handle.string), "email": .string(account.email?.string ?? ""),
            "status": .string(account.status.rawValue),
            "roles": .array(account.roles.map(\.rawValue).sorted().map { .string($0) }),
            "createdAt": .string(Datetime(account.createdAt).string),
        ]
        map["approvedAt"] = account.approvedAt.map { .string(Datetime($0).string) }
        return .map(map)
    }
}
