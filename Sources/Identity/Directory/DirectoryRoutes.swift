import ATProtocol
import Base
package import Contracts
package import Web

/// `com.atproto.identity` methods and the well-known addresses.
package struct DirectoryRoutes: Sendable {
    let directory: DirectoryService
    let accounts: AccountService

    /// Adds the methods and addresses to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query("com.atproto.identity.resolveHandle", access: .anyone, handler: resolveHandle)
        routes.query("com.atproto.identity.resolveDid", access: .anyone, handler: resolveDid)
        routes.query("com.atproto.identity.resolveIdentity", access: .anyone) { call in
            try await resolveIdentity(call.parameter("identifier"), .cached)
        }
        routes.procedure(
            "com.atproto.identity.refreshIdentity", access: .session.allowing(.deactivatedToo),
            limits: [.per(.serviceAuth) { $0.caller.did?.string }]
        ) { call in
            try await resolveIdentity(call.input["identifier"]?.stringValue, .fresh)
        }
        routes.procedure(
            "com.atproto.identity.updateHandle", access: .fullSession.allowing(.deactivatedToo),
            limits: [
                .per(.updateHandle) { $0.caller.did?.string }, .per(.updateHandleDaily) { $0.caller.did?.string },
            ], handler: updateHandle)
        routes.query(
            "com.atproto.identity.getRecommendedDidCredentials", access: .session.allowing(.deactivatedToo),
            handler: getRecommendedDidCredentials)
        routes.get("/.well-known/atproto-did", access: .anyone, failures: .text, handler: atprotoDid)
        routes.get("/.well-known/did.json", access: .anyone, handler: didDocument)
        routes.get("/tls-check", access: .anyone, failures: .text, handler: checkCertificate)
    }

    @Sendable private func resolveHandle(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let handle = try Handle(parsing: call.parameter("handle") ?? "")
        guard let did = try await directory.resolve(handle) else { throw DirectoryError.handleNotFound }
        return .json(["did": .string(did.string)])
    }

    @Sendable private func resolveDid(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let document = try await directory.document(of: try DID(parsing: call.parameter("did") ?? ""))
        return .json(["didDoc": document.value])
    }

    private func resolveIdentity(_ identifier: String?, _ freshness: Freshness) async throws -> XRPCResponse {
        let found = try await directory.resolveIdentity(
            try ATIdentifier(parsing: identifier ?? ""), freshness: freshness)
        return .json([
            "did": .string(found.did.string), "handle": .string(found.handle.string), "didDoc": found.document.value,
        ])
    }

    @Sendable private func updateHandle(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let handle = try Handle(parsing: call.input["handle"]?.stringValue ?? "")
        try await accounts.updateHandle(handle, of: try call.account())
        return .empty()
    }

    @Sendable private func getRecommendedDidCredentials(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let standing = try await directory.standings.standing(of: try call.account().did) else {
            throw SessionError.accountNotFound
        }
        let state = try await directory.recommendedCredentials(for: standing)
        return .json([
            "rotationKeys": .array(state.rotationKeys.map { .string($0) }),
            "alsoKnownAs": .array(state.alsoKnownAs.map { .string($0) }),
            "verificationMethods": .map(state.verificationMethodMap), "services": .map(state.serviceMap),
        ])
    }

    @Sendable private func atprotoDid(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let host = String(call.head.host.prefix { $0 != ":" })
        guard let handle = try? Handle(parsing: host),
            let standing = try await directory.standings.standing(of: .handle(handle)),
            standing.status.hosting.isActive
        else { throw WebFailure.notFound }
        return .text(standing.did.string)
    }

    /// For a proxy that asks before it gets a certificate: 200 for names that are served here.
    @Sendable private func checkCertificate(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard try await directory.servesName(call.parameter("domain") ?? "") else { throw WebFailure.notFound }
        return .text("ok\n")
    }

    @Sendable private func didDocument(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        .json(try directory.serviceDocument().value)
    }
}
