import ATProtocol
import Base
package import Contracts
package import Web

/// `com.atproto.server` methods of sessions, app passwords and service tokens.
package struct SessionRoutes: Sendable {
    let sessions: SessionService
    let services: ServiceTokens
    let directory: DirectoryService

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure(
            "com.atproto.server.createSession", access: .anyone, handler: createSession)
        routes.procedure("com.atproto.server.refreshSession", access: .refreshToken, handler: refreshSession)
        routes.query("com.atproto.server.getSession", access: .session.allowing(.any), handler: getSession)
        routes.procedure("com.atproto.server.deleteSession", access: .refreshToken, handler: deleteSession)
        routes.procedure(
            "com.atproto.server.createAppPassword", access: .fullSession.allowing(.deactivatedToo),
            handler: createAppPassword)
        routes.query(
            "com.atproto.server.listAppPasswords", access: .session.allowing(.deactivatedToo),
            handler: listAppPasswords)
        routes.procedure(
            "com.atproto.server.revokeAppPassword", access: .session.allowing(.deactivatedToo),
            handler: revokeAppPassword)
        routes.query(
            "com.atproto.server.getServiceAuth", access: .session.allowing(.any),
            limits: [.per(.serviceAuth) { $0.caller.did?.string }], handler: getServiceAuth)
    }

    @Sendable private func createSession(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let credentials = SessionService.Credentials(
            identifier: call.input["identifier"]?.stringValue ?? "",
            password: call.input["password"]?.stringValue ?? "",
            takendown: call.input["allowTakendown"]?.booleanValue == true ? .allowed : .refused)
        // One bucket for each pair of account and address, so that nobody can lock others out of their accounts.
        let key = try await sessions.guessingKey(of: credentials.identifier) + " " + call.head.addressKey
        for limit in [RateLimit.createSession, .createSessionDaily] { try call.charge(limit, key: key) }
        let grant = try await sessions.signIn(
            credentials, origin: call.remoteAddress, agent: call.header("user-agent"))
        return .json(.map(await SessionBody.full(grant, directory: directory)))
    }

    @Sendable private func refreshSession(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let grant = try await sessions.refresh(
            try Self.refreshToken(call), origin: call.remoteAddress, agent: call.header("user-agent"))
        return .json(.map(await SessionBody.full(grant, directory: directory)))
    }

    @Sendable private func getSession(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let details = try await sessions.details(of: try call.account().did)
        return .json(
            .map(
                await SessionBody.account(
                    details.standing, email: details.email, confirmedAt: details.emailConfirmedAt,
                    directory: directory)))
    }

    @Sendable private func deleteSession(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await sessions.delete(try Self.refreshToken(call))
        return .empty()
    }

    /// The one in the body goes before that in the header, which may then be the access token.
    private static func refreshToken(_ call: XRPCCall<Caller>) throws(SessionError) -> String {
        if let token = call.input["refreshJwt"]?.stringValue { return token }
        return try Authenticator.bearerToken(call.head)
    }

    @Sendable private func createAppPassword(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let made = try await sessions.createAppPassword(
            call.input["name"]?.stringValue ?? "",
            privilege: call.input["privileged"]?.booleanValue == true ? .privileged : .ordinary,
            of: try call.account())
        var map = Self.map(made.password)
        map["password"] = .string(made.secret)
        return .json(.map(map))
    }

    @Sendable private func listAppPasswords(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let passwords = try await sessions.appPasswords(of: try call.account().did)
        return .json(["passwords": .array(passwords.map { .map(Self.map($0)) })])
    }

    @Sendable private func revokeAppPassword(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await sessions.revokeAppPassword(
            call.input["name"]?.stringValue ?? "", of: try call.account().did)
        return .empty()
    }

    @Sendable private func getServiceAuth(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let token = try await services.grant(
            to: try call.account(), audience: call.parameter("aud") ?? "",
            method: try call.parameter("lxm").map { try NSID(parsing: $0) },
            expiresAt: call.parameters["exp"]?.integerValue.map { Timestamp(seconds: $0) },
            now: sessions.clock.now())
        return .json(["token": .string(token)])
    }

    private static func map(_ password: AppPassword) -> DataMap {
        [
            "name": .string(password.name), "createdAt": .string(Datetime(password.createdAt).string),
            "privileged": .boolean(password.privilege == .privileged),
        ]
    }
}

/// The bodies that tell somebody who they are signed in as.
enum SessionBody {
    /// The answer to signing in and refreshing.
    static func full(_ grant: SessionGrant, directory: DirectoryService) async -> DataMap {
        var map = await account(
            grant.standing, email: grant.email, confirmedAt: grant.emailConfirmedAt, directory: directory)
        map["accessJwt"] = .string(grant.accessToken)
        map["refreshJwt"] = .string(grant.refreshToken)
        return map
    }

    /// The answer to making an account.
    static func created(_ grant: SessionGrant, directory: DirectoryService) async -> DataMap {
        var map: DataMap = [
            "accessJwt": .string(grant.accessToken), "refreshJwt": .string(grant.refreshToken),
            "did": .string(grant.standing.did.string), "handle": .string(grant.standing.handle.string),
        ]
        map["didDoc"] = await document(grant.standing.did, directory)
        return map
    }

    static func account(
        _ standing: AccountStanding, email: EmailAddress?, confirmedAt: Timestamp?, directory: DirectoryService
    ) async -> DataMap {
        let hosting = standing.status.hosting
        var map: DataMap = [
            "did": .string(standing.did.string), "handle": .string(standing.handle.string),
            "active": .boolean(hosting.isActive), "emailConfirmed": .boolean(confirmedAt != nil),
            "emailAuthFactor": false, "roles": .array(standing.roles.map(\.rawValue).sorted().map { .string($0) }),
        ]
        map["email"] = email.map { .string($0.string) }
        map["status"] = hosting.wireName.map { .string($0) }
        map["didDoc"] = await document(standing.did, directory)
        return map
    }

    /// The document, or nothing: whoever runs its directory must not be able to keep people from signing in.
    private static func document(_ did: DID, _ directory: DirectoryService) async -> DataValue? {
        try? await directory.document(of: did).value
    }
}
