package import Base

/// Why an operation, or a log of them, is refused.
package enum PLCError: Error, Sendable, Hashable {
    /// Not one of the three kinds of operation: the field is missing, unknown or of another type.
    case malformed(String)
    /// Longer than `PLCOperation.sizeBytesMax` as DAG-CBOR.
    case tooLarge(sizeBytes: Int)
    /// `sig` is not base64url of 64 bytes: padding, white space, trailing bits or another length.
    case badSignatureEncoding
    /// No key that may sign here made the signature (or it is DER or high-S).
    case badSignature
    /// A rotation key made the signature, but none stronger than the one that signed the operation to be undone.
    case weakerKey
    /// The first operation names a `prev`, or is a tombstone.
    case notGenesis
    /// The log has begun, and the operation names no `prev`.
    case genesisExists
    /// The operation is already in the log.
    case duplicate
    /// `prev` is no operation of this log.
    case prevUnknown
    /// `prev` is an operation that was undone.
    case prevNullified
    /// `prev` is a tombstone: nothing may follow it.
    case tombstoned
    /// The first operation makes up another DID.
    case wrongDID(expected: DID)
    /// More than 72 hours passed since the operation to be undone was received.
    case lateRecovery(elapsed: Duration)
    /// The operation was not received after the one before.
    case timeNotIncreasing
    /// Longer than `PLCLog.entryCountMax`, or without entries.
    case badLength(Int)
    /// The log claims another CID than the operation has.
    case cidMismatch(claimed: String)
    /// The log claims that an operation was undone that was not, or the reverse.
    case nullifiedMismatch(CID)
    /// The log's rules allow it, but this directory takes no such operation: the reason as a clause.
    case notAccepted(String)
}

extension PLCError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformed(let field): "not a valid operation: \(field)"
        case .tooLarge(let sizeBytes):
            "the operation is \(sizeBytes) bytes long, more than \(PLCOperation.sizeBytesMax)"
        case .badSignatureEncoding: "sig must be base64url of 64 bytes, without padding"
        case .badSignature: "invalid signature on operation"
        case .weakerKey: "undoing operations takes a stronger rotation key than the one that signed them"
        case .notGenesis: "the first operation must create the DID"
        case .genesisExists: "the DID exists already; prev must name its latest operation"
        case .duplicate: "the operation is already in the log"
        case .prevUnknown: "prev is not an operation of this DID"
        case .prevNullified: "prev was undone by a recovery"
        case .tombstoned: "the DID was deactivated by a tombstone"
        case .wrongDID(let expected): "the operation makes up \(expected), not the DID it is sent for"
        case .lateRecovery: "the recovery window of 72 hours has passed"
        case .timeNotIncreasing: "operations not correctly ordered in time"
        case .badLength(let count): "a log of \(count) operations is not accepted"
        case .cidMismatch(let claimed): "an operation does not have the CID \(claimed)"
        case .nullifiedMismatch(let cid): "the nullified flag of \(cid) is wrong"
        case .notAccepted(let reason): reason
        }
    }
}

extension PLCError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .duplicate, .prevUnknown, .prevNullified, .genesisExists, .timeNotIncreasing:
            WireFailure(status: 409, error: "InvalidRequest", message: description)
        case .malformed, .tooLarge, .badSignatureEncoding, .badSignature, .weakerKey, .notGenesis, .tombstoned,
            .wrongDID, .lateRecovery, .badLength, .cidMismatch, .nullifiedMismatch, .notAccepted:
            WireFailure(status: 400, error: "InvalidRequest", message: description)
        }
    }
}
