import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.identity`: keys from other networks.
package struct ExternalKeyRoutes: Sendable {
    let keys: ExternalKeyService

    /// Points of a change, as for a record.
    private static let writePoints = 2

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let writes: [RouteLimit<Caller>] = [
            .per(.repositoryWritesHourly, points: Self.writePoints) { $0.caller.did?.string },
            .per(.repositoryWritesDaily, points: Self.writePoints) { $0.caller.did?.string },
        ]
        routes.procedure(
            "net.openfederation.identity.setExternalKey", access: .session, limits: writes, handler: set)
        routes.procedure(
            "net.openfederation.identity.deleteExternalKey", access: .session, limits: writes
        ) { call in
            try await keys.remove(call.input["rkey"]?.stringValue ?? "", of: try call.account())
            return .json(["success": true])
        }
        routes.query("net.openfederation.identity.getKeyChallenge", access: .session, handler: challenge)
        let reads: [RouteLimit<Caller>] = [.perAddress(.discovery)]
        routes.query("net.openfederation.identity.listExternalKeys", access: .anyone, limits: reads, handler: list)
        routes.query(
            "net.openfederation.identity.getExternalKey", access: .anyone, limits: reads
        ) { call in
            let did = try DID(parsing: call.parameter("did") ?? "")
            return .json(.map(Self.map(try await keys.key(call.parameter("rkey") ?? "", of: did))))
        }
        routes.query("net.openfederation.identity.resolveByKey", access: .anyone, limits: reads, handler: resolve)
    }

    @Sendable private func set(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let text = { (name: String) in call.input[name]?.stringValue }
        var new = ExternalKeyService.NewKey(
            rkey: text("rkey") ?? "", key: try Self.key(text("publicKey"), text("type")),
            purpose: text("purpose") ?? "", label: text("label"))
        if let proof = call.input["proof"] {
            new.proof = ExternalKeyService.Proof(
                challenge: proof["challenge"]?.stringValue ?? "", signature: proof["signature"]?.stringValue ?? "")
        }
        let account = try call.account()
        let (record, isProven) = try await keys.set(new, of: account)
        return .json([
            "uri": .string(ATURI(.did(account.did), record.path).string), "cid": .string(record.cid.string),
            "proven": .boolean(isProven),
        ])
    }

    @Sendable private func challenge(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let key = try Self.key(call.parameter("publicKey"), call.parameter("type"))
        let challenge = try keys.challenge(for: key, of: try call.account())
        return .json([
            "challenge": .string(challenge.text), "expiresAt": .string(Datetime(challenge.expiresAt).string),
        ])
    }

    @Sendable private func list(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try DID(parsing: call.parameter("did") ?? "")
        let (limit, _) = call.page
        let found = try await inFederationTerms {
            try await keys.keys(
                of: did, purpose: call.parameter("purpose"), after: call.parameter("cursor"), limit: limit)
        }
        var map: DataMap = ["keys": .array(found.map { .map(Self.map($0)) })]
        if found.count == limit { map["cursor"] = found.last.map { .string($0.rkey.string) } }
        return .json(.map(map))
    }

    @Sendable private func resolve(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let text = call.parameter("publicKey") ?? ""
        let key = try Self.key(text, ExternalKey.kind(of: text)?.rawValue)
        let (found, handle) = try await keys.owner(of: key, purpose: call.parameter("purpose"))
        var map = Self.map(found)
        for name in ["uri", "publicKey", "label"] { map[name] = nil }
        map["did"] = .string(found.did.string)
        map["handle"] = .string(handle.string)
        return .json(.map(map))
    }

    private static func key(_ text: String?, _ type: String?) throws(ExternalKeyError) -> ExternalKey {
        guard let kind = type.flatMap({ ExternalKey.Kind(rawValue: $0) }) else {
            throw .invalidKey("publicKey is of no kind that is known here")
        }
        return try ExternalKey(text ?? "", kind: kind)
    }

    private static func map(_ key: PublishedKey) -> DataMap {
        var map: DataMap = [
            "uri": .string("at://\(key.did)/\(ExternalKeyService.collection)/\(key.rkey)"),
            "rkey": .string(key.rkey.string), "type": .string(key.key.kind.rawValue), "purpose": .string(key.purpose),
            "publicKey": .string(key.key.text), "proven": .boolean(key.isProven),
            "createdAt": .string(key.createdAt.string),
        ]
        map["label"] = key.label.map { .string($0) }
        return map
    }
}
