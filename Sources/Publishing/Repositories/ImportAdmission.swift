package import ATProtocol
package import Base
import Synchronization

/// Bounds of imports.
package struct ImportLimits: Sendable, Hashable {
    /// Imports that may be underway, arriving ones included.
    package var countMax = 32
    /// Blocks of all archives underway together: each costs about 150 bytes of memory.
    package var blockCountMax = 3_000_000

    package init() {}
}

/// Why an import is not begun, or goes no further. Nothing was changed.
package enum RepositoryImportError: Error, Sendable, Hashable, WireConvertible {
    /// Another import into the same repository is underway.
    case underway
    /// Others hold all that imports may hold; may be tried again.
    case overloaded
    /// The archive is older than the repository of an account that is active.
    case older(than: TID)

    package var wire: WireFailure {
        switch self {
        case .underway:
            WireFailure(
                status: 409, error: "ImportInProgress", message: "Another import into this repository is underway.")
        case .older(let rev):
            WireFailure(
                status: 400, error: "InvalidRequest",
                message: "The archive is older than the repository, which is at \(rev). "
                    + "Deactivate the account first if it is to go back.")
        case .overloaded:
            WireFailure(
                status: 503, error: "ServiceUnavailable",
                message: "Too many imports are underway. Please try again later.",
                headers: [.init(name: "Retry-After", value: "60")])
        }
    }
}

/// Who imports at this moment, and how much memory for it is taken.
final class ImportAdmission: Sendable {
    private let limits: ImportLimits
    private let blockCounts = Mutex<[DID: Int]>([:])

    init(_ limits: ImportLimits) {
        self.limits = limits
    }

    /// Runs `body` as the one import into the repository of `did`.
    func admit<T: Sendable>(_ did: DID, _ body: () async throws -> T) async throws -> T {
        try begin(did)
        defer { blockCounts.withLock { $0[did] = nil } }
        return try await body()
    }

    /// Notes that the archive for `did` has `count` blocks by now.
    ///
    /// - Throws: `.overloaded` when that is more than there is room for beside the others.
    func note(_ count: Int, for did: DID) throws(RepositoryImportError) {
        let isTooMuch = blockCounts.withLock { counts in
            guard counts[did] != count else { return false }
            counts[did] = count
            return counts.count > 1 && counts.values.reduce(0, +) > limits.blockCountMax
        }
        if isTooMuch { throw .overloaded }
    }

    private func begin(_ did: DID) throws(RepositoryImportError) {
        let refusal: RepositoryImportError? = blockCounts.withLock { counts in
            guard counts[did] == nil else { return .underway }
            guard counts.count < limits.countMax else { return .overloaded }
            counts[did] = 0
            return nil
        }
        if let refusal { throw refusal }
    }
}
