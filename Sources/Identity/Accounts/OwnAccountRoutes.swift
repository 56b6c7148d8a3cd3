import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.account` and `com.atproto.server`: what owners do with passwords and sessions of theirs.
package struct OwnAccountRoutes: Sendable {
    let accounts: AccountService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let ownersOwn = AccessRule.fullSession.allowing(.deactivatedToo)
        routes.procedure(
            "net.openfederation.account.changePassword", access: ownersOwn,
            limits: [.perCallerAddress(.federation), .per(.authentication) { $0.caller.did.map { "password \($0)" } }],
            handler: changePassword)
        let limits = [RouteLimit.perCallerAddress(.federation)]
        routes.query(
            "net.openfederation.account.listSessions", access: .ownerOrOperator, limits: limits, handler: listSessions)
        routes.procedure(
            "net.openfederation.account.revokeSession", access: .ownerOrOperator, limits: limits,
            handler: revokeSession)
        let requestLimits: [RouteLimit<Caller>] = [
            .perAddress(.requestPasswordReset), .perAddress(.requestPasswordResetDaily),
        ]
        routes.procedure(
            "net.openfederation.account.requestPasswordReset", access: .anyone, limits: requestLimits
        ) { call in
            try await requestReset(call, of: "identifier")
            return .json(["success": true])
        }
        routes.procedure(
            "net.openfederation.account.confirmPasswordReset", access: .anyone,
            limits: [.perAddress(.accountRecovery)]
        ) { call in
            try await weakly { try await confirmReset(call, password: "newPassword") }
            return .json(["success": true])
        }
        routes.procedure(
            "com.atproto.server.requestPasswordReset", access: .anyone, limits: requestLimits
        ) { call in
            try await requestReset(call, of: "email")
            return .empty()
        }
        routes.procedure(
            "com.atproto.server.resetPassword", access: .anyone, limits: [.perAddress(.accountRecovery)]
        ) { call in
            try await confirmReset(call, password: "password")
            return .empty()
        }
    }

    // MARK: Passwords

    @Sendable private func changePassword(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let text = { (name: String) in call.input[name]?.stringValue ?? "" }
        try await weakly {
            try await accounts.changePassword(
                from: text("currentPassword"), to: text("newPassword"), of: try call.account())
        }
        return .json(["success": true])
    }

    private func requestReset(_ call: XRPCCall<Caller>, of field: String) async throws {
        try await accounts.requestPasswordReset(
            of: call.input[field]?.stringValue ?? "", origin: call.remoteAddress)
    }

    private func confirmReset(_ call: XRPCCall<Caller>, password: String) async throws {
        try await accounts.confirmPasswordReset(
            call.input["token"]?.stringValue ?? "", to: call.input[password]?.stringValue ?? "",
            origin: call.remoteAddress)
    }

    /// Here a password that is too weak has a name of its own, since `InvalidPassword` is the wrong present one.
    private func weakly(_ body: () async throws -> Void) async throws {
        try await inFederationTerms {
            do { try await body() } catch AccountError.invalidPassword(let reason) {
                throw WeakPassword(reason: reason)
            }
        }
    }

    private struct WeakPassword: WireConvertible {
        let reason: String
        var wire: WireFailure { WireFailure(status: 400, error: "WeakPassword", message: reason) }
    }

    // MARK: Sessions

    @Sendable private func listSessions(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try subject(call, call.parameter("did"))
        let present = call.caller.account?.sessionID
        let sessions = try await inFederationTerms {
            try await accounts.sessions.list(of: did, present: present)
        }
        return .json(["sessions": .array(sessions.map { .map(Self.map($0)) })])
    }

    @Sendable private func revokeSession(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try subject(call, call.input["did"]?.stringValue)
        let choice: SessionService.Choice
        switch (call.input["sessionId"]?.stringValue, call.input["revokeAll"]?.booleanValue ?? false) {
        case (nil, true): choice = .all
        case (let name?, false): choice = .one(name)
        case (nil, false), (_?, true):
            throw AccountError.invalidInput("either sessionId or revokeAll is needed")
        }
        let count = try await inFederationTerms {
            try await accounts.sessions.revoke(choice, of: did, by: .init(call.caller))
        }
        return .json(["revokedCount": .integer(Int64(count))])
    }

    /// Whose sessions are meant: the caller's, or anybody's for administrators.
    private func subject(_ call: XRPCCall<Caller>, _ text: String?) throws -> DID {
        let own = call.caller.account?.did
        guard let did = try text.map({ try DID(parsing: $0) }) ?? own else {
            throw AccountError.invalidInput("did is needed")
        }
        guard did == own || call.caller.isAdministrator else { throw SessionError.forbidden }
        return did
    }

    private static func map(_ session: SessionService.Listed) -> DataMap {
        var map: DataMap = [
            "id": .string(session.id), "createdAt": .string(Datetime(session.createdAt).string),
            "lastUsedAt": .string(Datetime(session.lastUsedAt).string),
            "expiresAt": .string(Datetime(session.expiresAt).string), "isCurrent": .boolean(session.isPresent),
        ]
        map["appPassword"] = session.appPassword.map { .string($0) }
        map["client"] = session.device?.agent.map { .string($0) }
        map["address"] = session.device.map { .string($0.address) }
        return map
    }
}
