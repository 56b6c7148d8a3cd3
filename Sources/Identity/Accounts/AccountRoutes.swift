import ATProtocol
import Base
package import Contracts
package import Web

/// `com.atproto.server` methods that make accounts and change their state.
package struct AccountRoutes: Sendable {
    let accounts: AccountService
    let services: ServiceTokens

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure(
            "com.atproto.server.createAccount", access: .anyone, limits: [.perAddress(.createAccount)],
            handler: createAccount)
        routes.procedure(
            "com.atproto.server.deactivateAccount", access: .fullSession.allowing(.deactivatedToo),
            handler: deactivateAccount)
        routes.procedure(
            "com.atproto.server.activateAccount", access: .fullSession.allowing(.deactivatedToo),
            handler: activateAccount)
        routes.query(
            "com.atproto.server.checkAccountStatus", access: .session.allowing(.deactivatedToo),
            handler: checkAccountStatus)
        routes.procedure("com.atproto.server.createInviteCode", access: .administrator, handler: createInviteCode)
        routes.procedure("com.atproto.server.createInviteCodes", access: .administrator, handler: createInviteCodes)
        routes.procedure(
            "com.atproto.server.reserveSigningKey", access: .anyone, limits: [.perAddress(.createAccount)],
            handler: reserveSigningKey)
    }

    @Sendable private func createAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard call.input["plcOp"] == nil else {
            throw AccountError.invalidInput("plcOp is not supported: send the operation to the directory itself")
        }
        var new = AccountService.NewAccount(
            handle: call.input["handle"]?.stringValue ?? "", email: call.input["email"]?.stringValue,
            password: call.input["password"]?.stringValue)
        new.inviteCode = call.input["inviteCode"]?.stringValue
        new.recoveryKey = call.input["recoveryKey"]?.stringValue
        new.device = call.device
        let registered: AccountService.Registered
        if let did = try call.input["did"]?.stringValue.map(DID.init(parsing:)) {
            registered = try await accounts.moveIn(did, new, proof: try await mover(call))
        } else {
            registered = try await accounts.register(new)
        }
        guard let grant = registered.grant else {
            throw AccountError.waitsForApproval(handle: registered.account.handle.string)
        }
        return .json(.map(await SessionBody.created(grant, directory: accounts.directory)))
    }

    /// Who proves by a service token that they may move.
    private func mover(_ call: XRPCCall<Caller>) async throws -> DID? {
        guard call.header("authorization") != nil, let method = try? NSID(parsing: call.nsid) else { return nil }
        let issuer = try await services.verify(try Authenticator.bearerToken(call.head), method: method)
        return issuer.service == nil ? issuer.did : nil
    }

    @Sendable private func deactivateAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let deleteAfter = try call.input["deleteAfter"]?.stringValue.map { try Datetime(parsing: $0).timestamp }
        try await accounts.deactivate(try call.account(), deleteAfter: deleteAfter)
        return .empty()
    }

    @Sendable private func activateAccount(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await accounts.activate(try call.account())
        return .empty()
    }

    @Sendable private func checkAccountStatus(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let account = try call.account()
        let (identity, figures) = try await accounts.progress(of: account.did)
        return .json([
            "activated": .boolean(account.status.hosting.isActive), "validDid": .boolean(identity == .here),
            "repoCommit": .string(figures.head.commit.string), "repoRev": .string(figures.head.rev.string),
            "repoBlocks": .integer(figures.blockCount), "indexedRecords": .integer(figures.recordCount),
            // Preferences are not kept here yet.
            "privateStateValues": 0,
            "expectedBlobs": .integer(figures.expectedBlobCount), "importedBlobs": .integer(figures.heldBlobCount),
        ])
    }

    @Sendable private func createInviteCode(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let owner = try call.input["forAccount"]?.stringValue.map { try DID(parsing: $0) }
        let request = AccountService.InviteRequest(usesMax: call.integer("useCount", default: 1))
        let invite = try await accounts.createInvite(request, by: .init(call.caller), owner: owner)
        return .json(["code": .string(invite.code)])
    }

    @Sendable private func createInviteCodes(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let owners = try (call.input["forAccounts"]?.arrayValue ?? []).compactMap(\.stringValue)
            .map { try DID(parsing: $0) }
        let codes = try await accounts.createInvites(
            count: call.integer("codeCount", default: 1), usesMax: call.integer("useCount", default: 1),
            owners: owners, by: .init(call.caller))
        return .json([
            "codes": .array(
                codes.map { account, codes in
                    ["account": .string(account), "codes": .array(codes.map { .string($0) })]
                })
        ])
    }

    @Sendable private func reserveSigningKey(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try call.input["did"]?.stringValue.map { try DID(parsing: $0) }
        let key = try await accounts.directory.custody.reserve(for: did)
        return .json(["signingKey": .string(key.didKey)])
    }
}

extension XRPCCall where Caller == Contracts.Caller {
    /// The signed-in account, which the route's rule has made sure of.
    func account() throws(SessionError) -> AccountCaller {
        guard let account = caller.account else { throw .authMissing }
        return account
    }

    /// From where the request comes.
    var device: SessionDevice { SessionDevice(address: remoteAddress, agent: header("user-agent")) }

    /// An integer of the body, brought into the range of `Int`.
    func integer(_ name: String, default fallback: Int) -> Int {
        input[name]?.integerValue.map { Int(clamping: $0) } ?? fallback
    }
}
