package import ATProtocol
package import Base
package import Contracts

/// Why something of a repository is not shown. All are HTTP 400, as the lexicons of `com.atproto.sync` want it.
package enum RepositoryReadError: Error, Sendable, Hashable, WireConvertible {
    case repositoryNotFound
    case repositoryInactive(HostingStatus)
    case recordNotFound(String)
    case blockNotFound(CID)
    case invalidRequest(String)

    package var wire: WireFailure {
        switch self {
        case .repositoryNotFound:
            WireFailure(status: 400, error: "RepoNotFound", message: "Could not find that repository here.")
        case .repositoryInactive(let status):
            switch status {
            case .takendown:
                WireFailure(status: 400, error: "RepoTakendown", message: "That repository was taken down.")
            case .suspended:
                WireFailure(status: 400, error: "RepoSuspended", message: "That repository is suspended.")
            case .active, .deactivated, .deleted:
                WireFailure(status: 400, error: "RepoDeactivated", message: "That repository is deactivated.")
            }
        case .recordNotFound(let uri):
            WireFailure(status: 400, error: "RecordNotFound", message: "Could not locate record: \(uri)")
        case .blockNotFound(let cid):
            WireFailure(status: 400, error: "BlockNotFound", message: "Could not find block \(cid).")
        case .invalidRequest(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        }
    }
}
