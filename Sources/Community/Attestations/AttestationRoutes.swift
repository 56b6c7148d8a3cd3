import ATProtocol
import Base
package import Contracts
import Storage
package import Web

/// `net.openfederation.community.*` methods on attestations: decode, call, encode.
package struct AttestationRoutes: Sendable {
    let service: AttestationService
    private let cursors: CommunityCursors

    package init(service: AttestationService) {
        self.service = service
        cursors = CommunityCursors(vault: service.base.vault)
    }

    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure("net.openfederation.community.issueAttestation", access: .governing, handler: issue)
        routes.procedure("net.openfederation.community.deleteAttestation", access: .governing, handler: delete)
        routes.query(
            "net.openfederation.community.listAttestations", access: .optional, limits: [.perAddress(.discovery)],
            handler: list)
        routes.query(
            "net.openfederation.community.verifyAttestation", access: .optional, limits: [.perAddress(.discovery)],
            handler: verify)
        routes.query(
            "net.openfederation.community.presentAttestation", access: AccessRule(.sessionOrService), handler: present)
    }

    @Sendable private func issue(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = AttestationInput(call.input.mapValue ?? [:])
        guard let kind = AttestationRecord.Kind(rawValue: try input.text("type")) else {
            throw AttestationError.invalidRequest("type is not one of those that can be issued")
        }
        let statement = AttestationService.Statement(
            subject: try input.did("subjectDid"), subjectHandle: try input.text("subjectHandle"), kind: kind,
            claim: try AttestationClaim(call.input["claim"] ?? .null),
            expiresAt: try call.input["expiresAt"]?.stringValue.map { try Datetime(parsing: $0) },
            isPrivate: call.input["visibility"]?.stringValue == "private")
        let community = try input.did("communityDid")
        let issued = try await service.issue(statement, in: community, by: call.caller)
        var output: DataMap = [
            "uri": .string(ATURI(.did(community), issued.path).string), "cid": .string(issued.cid.string),
            "rkey": .string(issued.path.key.string),
        ]
        if let commitment = issued.commitment {
            output["visibility"] = "private"
            output["commitment"] = .string(Hex.encode(commitment.whole))
        }
        return .json(.map(output))
    }

    @Sendable private func delete(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = AttestationInput(call.input.mapValue ?? [:])
        try await service.delete(
            try input.key(), in: try input.did("communityDid"), reason: call.input["reason"]?.stringValue,
            by: call.caller)
        return .json(["success": true])
    }

    @Sendable private func list(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = AttestationInput(call.parameters)
        let community = try input.did("communityDid")
        let filter = AttestationStore.Filter(
            subject: call.parameters["subjectDid"] == nil ? nil : try input.did("subjectDid"),
            type: call.parameter("type"))
        let limit = Int(call.parameters["limit"]?.integerValue ?? 50)
        let name = "attestations \(community) \(filter.subject?.string ?? "") \(filter.type ?? "")"
        let before = try cursors.position(call.parameter("cursor"), of: name).map { try RecordKey(parsing: $0) }
        let page = try await service.list(community, filter, before: before, limit: limit, for: call.caller)
        var output: DataMap = [
            "attestations": .array(
                page.map { .map($0.record.view(in: community, key: $0.key, cid: $0.cid)) })
        ]
        if page.count == limit, let last = page.last {
            output["cursor"] = .string(try cursors.cursor(last.key.string, of: name))
        }
        return .json(.map(output))
    }

    @Sendable private func verify(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = AttestationInput(call.parameters)
        let verdict = try await service.verify(
            try input.key(), of: try input.did("communityDid"), for: call.caller)
        var output: DataMap = [
            "valid": .boolean(verdict.reason == nil), "communityDid": .string(verdict.community.string),
            "expired": .boolean(verdict.reason == .expired),
        ]
        output["communityHandle"] = .some(verdict.handle.map { .string($0.string) } ?? .null)
        output["attestation"] = verdict.view.map { .map($0) }
        output["reason"] = verdict.reason.map { .string($0.rawValue) }
        output["proof"] = verdict.proof?.value
        if verdict.isRemote { output["remote"] = true }
        output["pdsUrl"] = verdict.server.map { .string($0.string) }
        return .json(.map(output))
    }

    @Sendable private func present(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = AttestationInput(call.parameters)
        let names = (call.parameters["fields"]?.arrayValue ?? []).compactMap(\.stringValue)
        let file = try await service.present(
            try input.key(), in: try input.did("communityDid"), disclosing: names, for: call.caller)
        return .json(file.value)
    }
}

/// Reads fields that the lexicon has looked at.
private struct AttestationInput {
    let fields: DataMap

    init(_ fields: DataMap) { self.fields = fields }

    func text(_ name: String) throws(AttestationError) -> String {
        guard let text = fields[name]?.stringValue else { throw .invalidRequest("\(name) is required") }
        return text
    }

    func did(_ name: String) throws(AttestationError) -> DID {
        let text = try text(name)
        do { return try DID(parsing: text) } catch { throw .invalidRequest("\(name): \(error)") }
    }

    func key() throws(AttestationError) -> RecordKey {
        let text = try text("rkey")
        do { return try RecordKey(parsing: text) } catch { throw .invalidRequest("rkey: \(error)") }
    }
}
