package import Base

/// Why a repository, a tree, a commit or an archive is not acceptable.
///
/// Spec: https://atproto.com/specs/repository
package enum RepositoryError: Error, Sendable, Hashable {
    /// A block that the operation needs is not there.
    case missingBlock(CID)
    /// A tree node is malformed or does not have the one canonical shape.
    case invalidNode(String)
    /// A commit object is malformed, of an unknown version, or inconsistent.
    case invalidCommit(String)
    /// The signature does not verify under the key.
    case invalidSignature
    /// An archive is malformed; `offset` in bytes from its start.
    case invalidArchive(message: String, offset: Int)
    /// A block's bytes do not hash to its CID.
    case hashMismatch(CID)
    /// A key is not `collection/record-key`.
    case invalidKey(String)
    /// A record's bytes are not canonical DAG-CBOR of a map.
    case invalidRecord(path: String, reason: String)
    /// A commit's operations do not lead back to the previous tree.
    case notInvertible(String)
    /// A named limit was exceeded.
    case limitExceeded(String)
}

extension RepositoryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .missingBlock(let cid): "block \(cid) is missing"
        case .invalidNode(let message): "invalid tree node: \(message)"
        case .invalidCommit(let message): "invalid commit: \(message)"
        case .invalidSignature: "the commit's signature does not verify"
        case .invalidArchive(let message, let offset): "invalid CAR at byte \(offset): \(message)"
        case .hashMismatch(let cid): "the bytes of block \(cid) have another hash"
        case .invalidKey(let key): "invalid repository key: \(key.prefix(100))"
        case .invalidRecord(let path, let reason): "invalid record \(path): \(reason)"
        case .notInvertible(let message): "operations do not lead back to the previous tree: \(message)"
        case .limitExceeded(let message): message
        }
    }
}

extension RepositoryError: WireConvertible {
    package var wire: WireFailure {
        WireFailure(status: 400, error: "InvalidRequest", message: description)
    }
}
