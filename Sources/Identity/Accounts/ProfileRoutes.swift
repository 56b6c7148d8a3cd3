import ATProtocol
package import Base
package import Contracts
package import Web

/// `net.openfederation.account`: profiles, and taking along all that is one's own.
package struct ProfileRoutes: Sendable {
    let profiles: ProfileService

    /// Points of a profile's change, as for a record that is replaced.
    private static let writePoints = 2

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query(
            "net.openfederation.account.getProfile", access: .anyone, limits: [.perAddress(.discovery)],
            handler: getProfile)
        routes.procedure(
            "net.openfederation.account.updateProfile", access: .session,
            limits: [
                .per(.repositoryWritesHourly, points: Self.writePoints) { $0.caller.did?.string },
                .per(.repositoryWritesDaily, points: Self.writePoints) { $0.caller.did?.string },
            ], handler: updateProfile)
        routes.query(
            "net.openfederation.account.export", access: .optionalExport,
            limits: [.perAddressInsteadOfGlobal(.export)], handler: export)
    }

    @Sendable private func getProfile(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let profile = try await profiles.profile(of: try DID(parsing: call.parameter("did") ?? ""))
        var map: DataMap = [
            "did": .string(profile.did.string), "handle": .string(profile.handle.string),
            "profile": profile.standard ?? .null,
        ]
        if !profile.custom.isEmpty { map["customProfiles"] = .map(profile.custom) }
        return .json(.map(map))
    }

    @Sendable private func updateProfile(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let account = try call.account()
        var changes = DataMap()
        for name in ["displayName", "description"] { changes[name] = call.input[name] }
        let stored: StoredRecord
        switch (call.input["collection"]?.stringValue, call.input["record"]) {
        case (nil, nil): stored = try await profiles.update(changes, of: account)
        case (let collection?, let record?) where changes.isEmpty:
            stored = try await profiles.replace(try NSID(parsing: collection), by: record, of: account)
        default: throw ProfileError.invalid("either fields of the profile, or collection with record")
        }
        return .json([
            "uri": .string(ATURI(.did(account.did), stored.path).string), "cid": .string(stored.cid.string),
        ])
    }

    @Sendable private func export(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        if case .anonymous = call.caller { throw SessionError.authMissing }
        let did = try DID(parsing: call.parameter("did") ?? "")
        let stream = try await inFederationTerms {
            try await profiles.export(did, for: call.caller, client: call.head.addressKey)
        }
        return .stream(
            stream, contentType: "application/json",
            headers: [.init(name: "content-disposition", value: "attachment; filename=\"account.json\"")])
    }
}

extension ProfileError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .notFound: WireFailure(status: 404, error: "ProfileNotFound", message: "There is no such profile here")
        case .invalid(let message): WireFailure(status: 400, error: "InvalidProfile", message: message)
        case .contended:
            WireFailure(
                status: 503, error: "ServiceUnavailable", message: "The profile is busy. Please try again.",
                headers: [.init(name: "retry-after", value: "1")])
        }
    }
}
