import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.partner`.
package struct PartnerRoutes: Sendable {
    let partners: PartnerService

    /// The header that carries a partner's key.
    static let header = "x-partner-key"

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let limits = [RouteLimit.perCallerAddress(.federation)]
        routes.procedure(
            "net.openfederation.partner.createKey", access: .partnerManager, limits: limits, handler: createKey)
        routes.query("net.openfederation.partner.listKeys", access: .partnerReader, limits: limits, handler: listKeys)
        routes.procedure("net.openfederation.partner.revokeKey", access: .partnerManager, limits: limits) { call in
            let key = try await partners.revokeKey(call.input["id"]?.stringValue ?? "", by: call.caller)
            return .json(["id": .string(key.id), "status": .string(Self.status(key))])
        }
        routes.procedure(
            "net.openfederation.partner.verifyKey", access: .partnerManager, limits: limits, handler: verifyKey)
        // What a key may do is counted by the key; the address is only kept from guessing.
        routes.procedure(
            "net.openfederation.partner.register", access: .anyone, limits: [.perAddress(.createAccount)],
            handler: register)
    }

    @Sendable private func createKey(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let texts = { (name: String) in call.input[name]?.arrayValue?.compactMap(\.stringValue) }
        var request = PartnerService.KeyRequest(
            name: call.input["name"]?.stringValue ?? "", partnerName: call.input["partnerName"]?.stringValue ?? "",
            origins: texts("allowedOrigins") ?? [], hourlyMax: call.integer("rateLimitPerHour", default: 100))
        if let permissions = texts("permissions") { request.permissions = permissions }
        let made = try await partners.createKey(request, by: call.caller)
        var map = Self.map(made.key)
        map["key"] = .string(made.secret)
        let body = DataValue.map(["token": .string(made.proof)])
        map["verification"] = [
            "token": .string(made.proof), "wellKnownPath": .string(PartnerKey.proofPath),
            "wellKnownBody": .string(String(decoding: body.json(), as: UTF8.self)),
            "instructions": .string(
                "The key works at once. To show that the origins are the partner's, serve this body at this path of each "
                    + "origin over https, then have the key verified."),
        ]
        return .json(.map(map), status: 201)
    }

    @Sendable private func listKeys(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let limit = call.parameters["limit"]?.integerValue.map { Int($0) } ?? 100
        let keys = try await partners.keys(after: call.parameter("cursor"), limit: limit)
        var map: DataMap = ["keys": .array(keys.map { .map(Self.listed($0)) })]
        if keys.count == limit { map["cursor"] = keys.last.map { .string($0.id) } }
        return .json(.map(map))
    }

    @Sendable private func verifyKey(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (key, isOld): (PartnerKey, Bool) =
            switch try await partners.verifyKey(call.input["id"]?.stringValue ?? "", by: call.caller) {
            case .verified(let key): (key, false)
            case .already(let key): (key, true)
            }
        var map: DataMap = [
            "id": .string(key.id), "verificationState": "verified",
            "verifiedOrigins": .array(key.origins.map { .string($0) }),
        ]
        if isOld { map["alreadyVerified"] = true }
        return .json(.map(map))
    }

    @Sendable private func register(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (keys, origins) = (call.head.headers(Self.header), call.head.headers("origin"))
        var new = AccountService.NewAccount(
            handle: call.input["handle"]?.stringValue ?? "", email: call.input["email"]?.stringValue ?? "",
            password: call.input["password"]?.stringValue)
        new.device = call.device
        let presented = PartnerService.Presented(
            key: keys.count == 1 ? keys.first : nil, origin: origins.count == 1 ? origins.first : nil)
        let registered = try await inFederationTerms { try await partners.register(new, by: presented) }
        let account = registered.account
        var map: DataMap = [
            "id": .string(account.did.string), "did": .string(account.did.string),
            "handle": .string(account.handle.string), "email": .string(account.email?.string ?? ""),
            "status": .string(account.status.rawValue), "active": .boolean(account.status.hosting.isActive),
        ]
        map["accessJwt"] = registered.grant.map { .string($0.accessToken) }
        map["refreshJwt"] = registered.grant.map { .string($0.refreshToken) }
        return .json(.map(map), status: 201)
    }

    // MARK: Encoding

    private static func status(_ key: PartnerKey) -> String { key.isRevoked ? "revoked" : "active" }

    private static func map(_ key: PartnerKey) -> DataMap {
        [
            "id": .string(key.id), "keyPrefix": .string(key.prefix), "name": .string(key.name),
            "partnerName": .string(key.partnerName),
            "permissions": .array(PartnerKey.permissions.map { .string($0) }),
            "allowedOrigins": .array(key.origins.map { .string($0) }),
            "rateLimitPerHour": .integer(Int64(key.hourlyMax)), "status": .string(status(key)),
            "verificationState": key.verifiedAt == nil ? "pending" : "verified",
        ]
    }

    private static func listed(_ key: PartnerKey) -> DataMap {
        var map = map(key)
        map["totalRegistrations"] = .integer(key.registrationCount)
        map["createdAt"] = .string(Datetime(key.createdAt).string)
        map["createdBy"] = key.createdBy.map { .string($0.string) } ?? .null
        map["lastUsedAt"] = key.lastUsedAt.map { .string(Datetime($0).string) } ?? .null
        map["revokedAt"] = key.revokedAt.map { .string(Datetime($0).string) } ?? .null
        return map
    }
}
