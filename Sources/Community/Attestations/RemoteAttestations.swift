package import ATProtocol
package import Base
package import Contracts
import Synchronization
package import Web

/// What was found of an attestation of a community on another server.
package struct RemoteFinding: Sendable, Hashable {
    /// How it went.
    package enum Outcome: Sendable, Hashable {
        /// The other server's proof was checked against the key of the community's DID document.
        case proven(AttestationProof, RecordProof)
        /// Nobody could be asked: no answer, or an answer that is none.
        case unreachable
        /// There was an answer, but it proves nothing.
        case unproven
        /// The other server does not serve the community's repository.
        case suspended
    }

    package var outcome: Outcome
    /// The community's server; nil when its document names none.
    package var server: ServiceOrigin?
    package var document: DIDDocument
}

/// Asks other servers for proofs of what communities state, and checks them here.
package final class RemoteAttestations: Sendable {
    /// Bounds of what is asked and remembered.
    package enum Limits {
        /// How long another server may take.
        package static let timeout = Duration.seconds(5)
        /// Bytes of its answer.
        package static let byteCountMax = AttestationProof.Limits.archiveByteCountMax
        /// Servers that are asked at once; more are taken for unreachable.
        package static let askedAtOnceMax = 32
        /// How long a server that did not answer is not asked again, and of how many communities that is remembered. What
        /// was proven is not remembered: what is taken back must be so for everybody at once.
        package static let silenceAge = Duration.seconds(5)
        package static let silentCountMax = 1_000
    }

    private struct State {
        /// Communities whose servers did not answer, and until when they are left alone.
        var silent: [DID: Timestamp] = [:]
        var askedCount = 0
    }

    private let identities: any IdentityEvidence
    private let client: any OutboundHTTP
    private let clock: any WallClock
    private let state = Mutex(State())

    package init(identities: any IdentityEvidence, client: any OutboundHTTP, clock: any WallClock) {
        self.identities = identities
        self.client = client
        self.clock = clock
    }

    /// What `community` states at `key` now.
    ///
    /// - Throws: what the directory says when it knows no such community.
    package func find(_ key: RecordKey, of community: DID) async throws -> RemoteFinding {
        let document = try await identities.document(of: community)
        guard begin(community) else {
            return RemoteFinding(outcome: .unreachable, server: document.pdsEndpoint, document: document)
        }
        defer { state.withLock { $0.askedCount -= 1 } }
        let finding = await ask(key, document)
        if finding.outcome == .unreachable { leaveAlone(community) }
        return finding
    }

    /// Whether the community's server may be asked now.
    private func begin(_ community: DID) -> Bool {
        let now = clock.now()
        return state.withLock { state in
            if let end = state.silent[community], end > now { return false }
            guard state.askedCount < Limits.askedAtOnceMax else { return false }
            state.askedCount += 1
            return true
        }
    }

    private func leaveAlone(_ community: DID) {
        let now = clock.now()
        state.withLock { state in
            if state.silent.count >= Limits.silentCountMax {
                state.silent = state.silent.filter { $0.value > now }
                if state.silent.count >= Limits.silentCountMax { state.silent = [:] }
            }
            state.silent[community] = now.advanced(by: Limits.silenceAge)
        }
    }

    private func ask(_ key: RecordKey, _ document: DIDDocument) async -> RemoteFinding {
        guard let server = document.pdsEndpoint else {
            return RemoteFinding(outcome: .unreachable, server: nil, document: document)
        }
        // Of the characters of DIDs and record keys only this one means something else in a query.
        let did = document.did.string.replacing("%", with: "%25")
        let query = "did=\(did)&collection=\(AttestationRecord.collection)&rkey=\(key)"
        let request = OutboundRequest(
            "GET", "\(server.string)/xrpc/com.atproto.sync.getRecord?\(query)",
            headers: [("Accept", CARWriter.mimeType)], timeout: Limits.timeout, byteCountMax: Limits.byteCountMax)
        guard let response = try? await client.send(request) else {
            return RemoteFinding(outcome: .unreachable, server: server, document: document)
        }
        guard response.status == 200 else {
            return RemoteFinding(outcome: Self.refusal(response), server: server, document: document)
        }
        if let outcome = proof(response.body, key, document) {
            return RemoteFinding(outcome: outcome, server: server, document: document)
        }
        // The key may have been changed since the document was read.
        guard let current = try? await identities.currentDocument(of: document.did), current != document,
            let outcome = proof(response.body, key, current)
        else { return RemoteFinding(outcome: .unproven, server: server, document: document) }
        return RemoteFinding(outcome: outcome, server: current.pdsEndpoint, document: current)
    }

    private func proof(
        _ archive: [UInt8], _ key: RecordKey, _ document: DIDDocument
    ) -> RemoteFinding.Outcome? {
        let path = RepositoryPath(AttestationRecord.collection, key)
        guard let signingKey = document.signingKey,
            let checked = try? RecordProof(archive: archive, of: path, in: document.did, signedBy: signingKey)
        else { return nil }
        let proof = AttestationProof(
            checked, archive: archive, signingKey: signingKey, document: document.value, operations: nil,
            checkedAt: Datetime(clock.now()))
        return .proven(proof, checked)
    }

    /// What another server's refusal means. That a record is not there has to be proven, not said.
    private static func refusal(_ response: OutboundResponse) -> RemoteFinding.Outcome {
        let value = try? DataValue(json: response.body, limits: DataLimits(sizeBytesMax: 65_536, depthMax: 8))
        switch value?["error"]?.stringValue {
        case "RepoTakendown"?, "RepoSuspended"?, "RepoDeactivated"?: return .suspended
        case "RepoNotFound"?, "RecordNotFound"?: return .unproven
        default: return .unreachable
        }
    }
}
