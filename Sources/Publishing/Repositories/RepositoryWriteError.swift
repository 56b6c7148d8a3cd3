package import ATProtocol
package import Base
package import Contracts

/// Why a write was refused. Nothing was changed.
package enum RepositoryWriteError: Error, Sendable, Hashable, WireConvertible {
    /// `swapCommit` or `swapRecord` does not match the present state.
    case invalidSwap(String)
    /// A create for a path that has a record.
    case recordAlreadyExists(path: String)
    /// An update or delete in `applyWrites` of a path that has none.
    case recordNotFound(path: String)
    /// The record breaks its lexicon or the data model; the text names the field.
    case invalidRecord(String)
    /// Anything else that is wrong with the request.
    case invalidRequest(String)
    /// The repository does not live here.
    case notHosted
    /// The caller may not write to that repository.
    case notOwner
    /// The account's state does not allow writing.
    case inactive(AccountStatus)
    /// A blob that the record mentions was not uploaded.
    case blobNotFound(CID)
    /// A blob's type or size is not what its place in the record demands.
    case invalidBlob(error: String, message: String)
    /// The head moved again and again while the write was made; may be tried again.
    case contended

    package var wire: WireFailure {
        switch self {
        case .invalidSwap(let message): WireFailure(status: 400, error: "InvalidSwap", message: message)
        case .recordAlreadyExists(let path):
            WireFailure(status: 400, error: "RecordAlreadyExists", message: "There is already a record at \(path).")
        case .recordNotFound(let path):
            WireFailure(status: 400, error: "RecordNotFound", message: "There is no record at \(path).")
        case .invalidRecord(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        case .invalidRequest(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        case .notHosted:
            WireFailure(status: 400, error: "RepoNotFound", message: "That repository does not live here.")
        case .notOwner:
            WireFailure(
                status: 401, error: "AuthenticationRequired", message: "repo must be the account that is signed in.")
        case .inactive(let status):
            WireFailure(status: 401, error: Self.stateError(status), message: "The account is \(status.rawValue).")
        case .blobNotFound(let cid):
            WireFailure(status: 400, error: "BlobNotFound", message: "Blob \(cid) was not uploaded.")
        case .invalidBlob(let error, let message): WireFailure(status: 400, error: error, message: message)
        case .contended:
            WireFailure(
                status: 503, error: "ServiceUnavailable", message: "The repository is busy. Please try again.",
                headers: [.init(name: "Retry-After", value: "1")])
        }
    }

    /// What a lexicon says against a record: rules on blobs have names of their own, whoever finds them broken.
    init(_ error: LexiconError) {
        switch error.rule {
        case .schema, .unknownSchema: self = .invalidRecord(error.wire.message)
        case .blobType, .blobSize: self = .invalidBlob(error: error.wire.error, message: error.wire.message)
        }
    }

    private static func stateError(_ status: AccountStatus) -> String {
        switch status {
        case .takendown: "AccountTakedown"
        case .suspended: "AccountSuspended"
        case .deactivated: "AccountDeactivated"
        case .pending, .rejected, .disabled, .approved, .confined: "AccountNotApproved"
        }
    }
}
