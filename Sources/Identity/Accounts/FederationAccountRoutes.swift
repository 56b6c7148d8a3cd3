import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.account` and `net.openfederation.invite`.
package struct FederationAccountRoutes: Sendable {
    let accounts: AccountService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure(
            "net.openfederation.account.register", access: .anyone,
            limits: [.perAddress(.federation), .perAddress(.registration)], handler: register)
        let limits = [Self.limit(.federation)]
        routes.query("net.openfederation.account.list", access: .auditor, limits: limits, handler: list)
        routes.query("net.openfederation.account.listPending", access: .moderator, limits: limits, handler: listPending)
        routes.procedure("net.openfederation.account.approve", access: .moderator, limits: limits) { call in
            try await review(call, .approve)
        }
        routes.procedure("net.openfederation.account.reject", access: .moderator, limits: limits) { call in
            try await review(call, .reject)
        }
        routes.procedure(
            "net.openfederation.invite.create", access: .moderator, limits: limits + [Self.limit(.creation)],
            handler: createInvite)
        routes.query("net.openfederation.invite.list", access: .auditor, limits: limits, handler: listInvites)
    }

    /// By address, except for the operator, whose commands come from this machine and may be a script's.
    private static func limit(_ limit: RateLimit) -> RouteLimit<Caller> {
        .per(limit) { call in
            if case .operator = call.caller { nil } else { call.head.addressKey }
        }
    }

    @Sendable private func register(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var new = AccountService.NewAccount(
            handle: call.input["handle"]?.stringValue ?? "", email: call.input["email"]?.stringValue ?? "",
            password: call.input["password"]?.stringValue)
        new.inviteCode = call.input["inviteCode"]?.stringValue
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

    /// Says account errors in the words of these methods.
    private func inFederationTerms<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        do { return try await body() } catch let error as AccountError { throw FederationFailure(error) }
    }
}

extension XRPCCall {
    /// `limit` and `offset`, which the lexicon has bounded.
    fileprivate var page: (limit: Int, offset: Int) {
        let limit = parameters["limit"]?.integerValue ?? 50
        let offset = parameters["offset"]?.integerValue ?? 0
        return (Int(min(max(limit, 1), 100)), Int(max(offset, 0)))
    }

    /// A page with what it is a page of.
    fileprivate func page(of name: String, _ rows: [DataValue], total: Int) -> DataValue {
        let (limit, offset) = page
        return .map([
            name: .array(rows), "total": .integer(Int64(total)), "limit": .integer(Int64(limit)),
            "offset": .integer(Int64(offset)),
        ])
    }
}
