import ATProtocol
import Base
import Contracts
import Identity
import Publishing
import Web

/// `social.kith.admin`: what the operator's commands need beyond the methods that others know, too.
struct AdministrationRoutes: Sendable {
    let accounts: AccountService
    let repositories: RepositoriesModule

    func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure("social.kith.admin.createAccount", access: .administrator, handler: createAccount)
        routes.query("social.kith.admin.getAccount", access: .administrator) { call in
            .json(Self.view(try await accounts.account(call.parameter("account") ?? "")))
        }
        routes.procedure("social.kith.admin.updateAccount", access: .administrator, handler: updateAccount)
        routes.procedure(
            "social.kith.admin.importRepository", access: .administrator, body: .archive, handler: importRepository)
        routes.query("social.kith.admin.verifyRepository", access: .administrator, handler: verifyRepository)
        routes.procedure("social.kith.admin.rebuildRepository", access: .administrator, handler: rebuildRepository)
    }

    @Sendable private func createAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var new = AccountService.NewAccount(
            handle: call.input["handle"]?.stringValue ?? "", email: call.input["email"]?.stringValue,
            password: call.input["password"]?.stringValue)
        new.maker = .operator(roles: Self.roles(call.input["roles"]) ?? [])
        return .json(Self.view(try await accounts.register(new).account))
    }

    @Sendable private func updateAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try await accounts.account(call.input["account"]?.stringValue ?? "").did
        let actor = AuditEntry.Actor(call.caller)
        if let password = call.input["password"]?.stringValue {
            try await accounts.setPassword(password, of: did, by: actor)
        }
        if let roles = Self.roles(call.input["roles"]) { try await accounts.setRoles(roles, of: did, by: actor) }
        if let change = call.input["change"]?.stringValue.flatMap({ AccountChange(rawValue: $0) }) {
            try await accounts.change(did, change, by: AccountService.Authority(call.caller))
        }
        return .json(Self.view(try await accounts.account(did.string)))
    }

    private static func roles(_ value: DataValue?) -> Set<ServerRole>? {
        value?.arrayValue.map { Set($0.compactMap { $0.stringValue.flatMap { ServerRole(rawValue: $0) } }) }
    }

    private static func view(_ account: AccountDetails) -> DataValue {
        var map: DataMap = [
            "did": .string(account.did.string), "handle": .string(account.handle.string),
            "status": .string(account.status.rawValue),
            "roles": .array(account.roles.map(\.rawValue).sorted().map { .string($0) }),
            "createdAt": .string(Datetime(account.createdAt).string),
        ]
        map["email"] = account.email.map { .string($0.string) }
        return .map(map)
    }

    // MARK: Repositories

    private func did(_ text: String?) throws -> DID { try DID(parsing: text ?? "") }

    @Sendable private func importRepository(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let account = try await accounts.account(call.parameter("did") ?? "")
        let outcome = try await repositories.imports.run(call.body, did: account.did, by: .operator)
        return .json([
            "did": .string(account.did.string), "cid": .string(outcome.commit.string),
            "rev": .string(outcome.rev.string), "data": .string(outcome.data.string),
            "records": .integer(Int64(outcome.recordCount)),
        ])
    }

    @Sendable private func verifyRepository(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let report = try await repositories.rebuild.check(try did(call.parameter("did")))
        return .json([
            "did": .string(report.did.string), "sound": .boolean(report.isSound),
            "records": .integer(Int64(report.recordCount)), "storedData": .string(report.storedData.string),
            "computedData": .string(report.computedData.string),
            "missingNodes": .integer(Int64(report.missingNodeCount)),
            "damagedRecords": .array(report.damagedRecords.map { .string($0) }), "signed": .boolean(report.isSigned),
        ])
    }

    @Sendable private func rebuildRepository(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let account = try await accounts.account(call.input["did"]?.stringValue ?? "")
        let (head, leftOut) = try await repositories.rebuild.rebuild(account.did)
        return .json([
            "did": .string(head.did.string), "cid": .string(head.commit.string), "rev": .string(head.rev.string),
            "data": .string(head.data.string), "leftOut": .array(leftOut.map { .string($0) }),
        ])
    }
}
