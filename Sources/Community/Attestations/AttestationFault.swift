package import ATProtocol
package import Base

/// Why a proof or a presentation does not hold.
package enum AttestationFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// A part of it is missing or not what it should be.
    case malformed(String)
    /// Commit, nodes and record do not prove it.
    case unproven(RepositoryError)
    /// The key is not the one that the community's identity names.
    case wrongKey
    /// The operations of the identity do not follow from its DID.
    case unprovenIdentity(String)
    /// What is shown beside the proof is not what the proof says.
    case contradictory(String)
    /// A disclosed field is not one of those that were hidden.
    case notCommitted(field: String)
    /// It proves that there is no such attestation.
    case absent

    package var description: String {
        switch self {
        case .malformed(let part): "\(part) is missing or malformed"
        case .unproven(let error): "the proof does not hold: \(error)"
        case .wrongKey: "it is signed by another key than the community's"
        case .unprovenIdentity(let reason): "the operations of the identity do not hold: \(reason)"
        case .contradictory(let part): "\(part) is not what the proof says"
        case .notCommitted(let field): "the field \(field.prefix(80)) is not what the community signed"
        case .absent: "the proof shows that there is no such attestation"
        }
    }
}

/// Why an attestation is not issued, shown or taken back.
package enum AttestationError: Error, Sendable, Hashable {
    /// The claim is over `AttestationClaim.Limits.byteCountMax`.
    case claimTooLarge
    /// What else is wrong with the claim, as the end of a sentence.
    case invalidClaim(String)
    /// What else is wrong with the request; a sentence.
    case invalidRequest(String)
    /// There is no such attestation.
    case notFound
    /// There is no such community, as far as the caller may know.
    case communityNotFound
    /// The subject is no member.
    case subjectNotMember
    /// The community was taken down.
    case takenDown
}

extension AttestationError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .claimTooLarge:
            WireFailure(
                status: 413, error: "PayloadTooLarge",
                message: "A claim has at most \(AttestationClaim.Limits.byteCountMax) bytes as JSON")
        case .invalidClaim(let reason):
            WireFailure(status: 400, error: "InvalidRequest", message: "Not a claim: \(reason)")
        case .invalidRequest(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        case .notFound:
            WireFailure(status: 404, error: "AttestationNotFound", message: "There is no such attestation")
        case .communityNotFound: WireFailure(status: 404, error: "NotFound", message: "There is no such community")
        case .subjectNotMember:
            WireFailure(status: 404, error: "NotMember", message: "The subject is not a member of the community")
        case .takenDown:
            WireFailure(status: 410, error: "CommunityTakenDown", message: "The community was taken down")
        }
    }
}
