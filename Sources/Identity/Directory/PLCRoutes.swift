import ATProtocol
import Base
package import Contracts
package import Web

/// The HTTP interface of the embedded did:plc directory, under `/plc`.
///
/// - Spec: https://web.plc.directory/api/redoc
package struct PLCRoutes: Sendable {
    let directory: EmbeddedDirectory
    let accounts: AccountService

    /// Operations of one identity in an hour, a day and a week.
    private static let identityLimits = [
        RateLimit(name: "plc-hourly", points: 10, window: .seconds(3600)),
        RateLimit(name: "plc-daily", points: 30, window: .seconds(86_400)),
        RateLimit(name: "plc-weekly", points: 100, window: .seconds(7 * 86_400)),
    ]
    /// Operations sent from one address.
    private static let addressLimit = RateLimit(name: "plc-address", points: 100, window: .seconds(300))
    /// The largest body: an operation as JSON, with some white space.
    private static let bodyByteCountMax = 32_768

    /// Adds the addresses to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.get("/plc/export", access: .anyone, failures: .message, handler: export)
        routes.get("/plc/:did", access: .anyone, failures: .message) { call in
            guard let document = try await registered(call).document else { throw PLCFailure.deactivated }
            return .json(document.value).withContentType("application/did+ld+json")
        }
        routes.get("/plc/:did/data", access: .anyone, failures: .message) { call in
            guard let data = try await registered(call).dataValue else { throw PLCFailure.deactivated }
            return .json(data)
        }
        routes.get("/plc/:did/log", access: .anyone, failures: .message) { call in
            .json(try await registered(call).logValue)
        }
        routes.get("/plc/:did/log/last", access: .anyone, failures: .message) { call in
            .json(try await registered(call).head?.operation.value ?? .null)
        }
        routes.get("/plc/:did/log/audit", access: .anyone, failures: .message) { call in
            .json(try await registered(call).auditValue)
        }
        routes.post(
            "/plc/:did", access: .anyone,
            limits: [.perAddress(Self.addressLimit)], body: .bytes(Self.bodyByteCountMax), failures: .message,
            handler: submit)
    }

    @Sendable private func submit(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try did(call)
        let operation = try PLCOperation(try await call.jsonBody())
        // Only an operation that is good counts against its identity: strangers can't use its share up.
        try await accounts.checkReceipt(operation, for: did)
        for limit in Self.identityLimits { try call.charge(limit, key: did.string) }
        try await accounts.receive(operation, for: did)
        return .empty()
    }

    private func did(_ call: XRPCCall<Caller>) throws -> DID {
        guard let did = try? DID(parsing: call.path["did"] ?? ""), did.isPLC else { throw PLCFailure.badDID }
        return did
    }

    private func registered(_ call: XRPCCall<Caller>) async throws -> PLCLog {
        let log = try await directory.log(of: try did(call))
        guard log.head != nil else { throw PLCFailure.notRegistered }
        return log
    }

    @Sendable private func export(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        var count = EmbeddedDirectory.exportCountDefault
        if let text = call.parameter("count") {
            guard let number = Int(text), (1...EmbeddedDirectory.exportCountMax).contains(number) else {
                throw DirectoryError.badCursor("count must be 1 to \(EmbeddedDirectory.exportCountMax)")
            }
            count = number
        }
        let lines = try await directory.export(after: try cursor(call.parameter("after")), count: count)
        var body: [UInt8] = []
        for line in lines {
            if !body.isEmpty { body.append(UInt8(ascii: "\n")) }
            body.append(contentsOf: line.json())
        }
        return .bytes(body, contentType: "application/jsonlines")
    }

    private func cursor(_ text: String?) throws -> EmbeddedDirectory.Cursor {
        guard let text else { return .time(nil) }
        if let seq = Int64(text) {
            guard seq >= 0 else { throw DirectoryError.badCursor("after must not be negative") }
            return .seq(seq)
        }
        guard let time = try? Datetime(parsing: text) else {
            throw DirectoryError.badCursor("after must be a datetime or a sequence number")
        }
        return .time(time.timestamp)
    }
}

/// Why the directory has no answer.
enum PLCFailure: WireConvertible, Hashable {
    case badDID
    case notRegistered
    case deactivated
    case foreign

    var wire: WireFailure {
        switch self {
        case .badDID: WireFailure(status: 400, error: "InvalidRequest", message: "Not a did:plc")
        case .notRegistered: WireFailure(status: 404, error: "NotFound", message: "DID not registered")
        case .deactivated: WireFailure(status: 410, error: "Gone", message: "DID not available")
        case .foreign:
            WireFailure(
                status: 403, error: "Forbidden", message: "This directory keeps only identities made on this server")
        }
    }
}

extension XRPCResponse {
    fileprivate func withContentType(_ type: String) -> XRPCResponse {
        var copy = self
        copy.contentType = type
        return copy
    }
}
