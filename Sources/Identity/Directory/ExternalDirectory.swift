package import ATProtocol

/// A did:plc directory run by somebody else.
///
/// - Spec: https://web.plc.directory/api/redoc
package struct ExternalDirectory: Sendable {
    package let origin: ServiceOrigin
    private let lookup: any RemoteLookup

    private static let sizeBytesMax = 1 << 20

    package init(origin: ServiceOrigin, lookup: any RemoteLookup) {
        self.origin = origin
        self.lookup = lookup
    }

    /// Registers an operation. Repeating one that is registered already succeeds.
    ///
    /// - Throws: `.refused` when the directory said no; `.unreachable` when nobody knows what it did.
    func submit(_ operation: PLCOperation, for did: DID) async throws(DirectoryError) {
        let reply = try? await lookup.post("\(origin)/\(did.string)", json: operation.value.json())
        if let reply, reply.isSuccess { return }
        // The answer may have been lost, or be that to a repetition.
        if let last = try? await lastOperation(of: did), last.cid == operation.cid { return }
        guard let reply, (400..<500).contains(reply.status), reply.status != 408, reply.status != 429 else {
            throw .unreachable
        }
        throw .refused(reason: Self.message(reply))
    }

    /// The document of `did`.
    /// - Throws: `.didNotFound`, `.didDeactivated`, `.unreachable`.
    func document(of did: DID) async throws(DirectoryError) -> DIDDocument {
        let body = try await get("\(origin)/\(did.string)")
        guard let document = try? DIDDocument(json: body, of: did) else { throw .unreachable }
        return document
    }

    /// What the identity says.
    /// - Throws: as `document(of:)`.
    func state(of did: DID) async throws(DirectoryError) -> PLCState {
        let body = try await get("\(origin)/\(did.string)/data")
        guard let map = (try? DataValue(json: body, limits: DIDDocument.limits))?.mapValue,
            let state = try? PLCState(map)
        else { throw .unreachable }
        return state
    }

    /// The operation in force; nil when the DID isn't registered.
    /// - Throws: `.unreachable`.
    func lastOperation(of did: DID) async throws(DirectoryError) -> PLCOperation? {
        let body: [UInt8]
        do {
            body = try await get("\(origin)/\(did.string)/log/last")
        } catch .didNotFound {
            return nil
        }
        guard let value = try? DataValue(json: body, limits: DIDDocument.limits),
            let operation = try? PLCOperation(value)
        else { throw .unreachable }
        return operation
    }

    /// The operations in force, each checked against the one before; their times are not known.
    /// - Throws: as `document(of:)`.
    func log(of did: DID) async throws(DirectoryError) -> PLCLog {
        let body = try await get("\(origin)/\(did.string)/log")
        let limits = DataLimits(sizeBytesMax: Self.sizeBytesMax)
        guard let value = try? DataValue(json: body, limits: limits),
            let log = try? PLCLog(verifyingLog: value, of: did)
        else { throw .unreachable }
        return log
    }

    private func get(_ url: String) async throws(DirectoryError) -> [UInt8] {
        let reply: RemoteReply
        do { reply = try await lookup.get(url, sizeBytesMax: Self.sizeBytesMax) } catch { throw .unreachable }
        switch reply.status {
        case 200: return reply.body
        case 404: throw .didNotFound
        case 410: throw .didDeactivated
        default: throw .unreachable
        }
    }

    private static func message(_ reply: RemoteReply) -> String {
        let value = try? DataValue(json: Array(reply.body.prefix(10_000)))
        return String((value?["message"]?.stringValue ?? "status \(reply.status)").prefix(200))
    }
}
