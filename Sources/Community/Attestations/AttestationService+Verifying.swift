package import ATProtocol
import Base
package import Contracts

/// Whether a community states something now.
package struct AttestationVerdict: Sendable, Hashable {
    /// Why it does not, or why that is not known.
    package enum Reason: String, Sendable, Hashable {
        case absent, expired, unreachable, unproven, suspended
    }

    /// Nil when it holds.
    package var reason: Reason?
    /// As `attestationView` shows it; nil when there is none.
    package var view: DataMap?
    package var community: DID
    package var handle: Handle?
    package var proof: AttestationProof?
    /// Where the community lives when that is another server.
    package var isRemote: Bool
    package var server: ServiceOrigin?

    package init(
        reason: Reason?, view: DataMap? = nil, community: DID, handle: Handle?, proof: AttestationProof? = nil,
        isRemote: Bool = false, server: ServiceOrigin? = nil
    ) {
        self.reason = reason
        self.view = view
        self.community = community
        self.handle = handle
        self.proof = proof
        self.isRemote = isRemote
        self.server = server
    }
}

extension AttestationService {
    /// Says whether a community, of this server or another, states something now, and proves it.
    ///
    /// - Throws: `CommunityError`.
    package func verify(_ key: RecordKey, of community: DID, for caller: Caller) async throws -> AttestationVerdict {
        guard try await base.accounts.standing(of: community) != nil else {
            return try await verifyRemote(key, of: community)
        }
        let standing = try await admit(caller, to: community)
        guard standing.status.hosting != .suspended else {
            return AttestationVerdict(reason: .suspended, community: community, handle: standing.handle)
        }
        let (proof, checked) = try await proof(of: key, in: community)
        var verdict = AttestationVerdict(reason: nil, community: community, handle: standing.handle, proof: proof)
        judge(checked, &verdict)
        return verdict
    }

    private func judge(_ checked: RecordProof, _ verdict: inout AttestationVerdict) {
        guard let stored = checked.record, let record = AttestationRecord(stored.value) else {
            verdict.reason = .absent
            return
        }
        verdict.view = record.view(in: checked.commit.did, key: checked.path.key, cid: stored.cid)
        if record.isExpired(at: base.clock.now()) { verdict.reason = .expired }
    }

    private func verifyRemote(_ key: RecordKey, of community: DID) async throws -> AttestationVerdict {
        let finding: RemoteFinding
        do {
            finding = try await base.remote.find(key, of: community)
        } catch let error as any WireConvertible {
            guard error.wire.status >= 500 else { throw CommunityError.notFound }
            return AttestationVerdict(reason: .unreachable, community: community, handle: nil, isRemote: true)
        }
        var verdict = AttestationVerdict(
            reason: nil, community: community, handle: await handle(of: finding.document), isRemote: true,
            server: finding.server)
        switch finding.outcome {
        case .proven(let proof, let checked):
            verdict.proof = proof
            judge(checked, &verdict)
        case .unreachable: verdict.reason = .unreachable
        case .unproven: verdict.reason = .unproven
        case .suspended: verdict.reason = .suspended
        }
        return verdict
    }

    /// The handle that a document claims, when it points back.
    private func handle(of document: DIDDocument) async -> Handle? {
        guard let handle = document.handle, (try? await base.identities.resolve(handle)) == document.did else {
            return nil
        }
        return handle
    }
}
