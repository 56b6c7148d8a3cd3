import ATProtocol
import Base
import Contracts
import Storage
import Synchronization

/// Repositories that only keep their heads and write the events of theirs that accounts cause.
final class TestRepositories: Repositories {
    /// When to fail, as a full disk would.
    enum Failure: Error, Sendable {
        case onCreate
    }

    let log: EventLog
    let clock: ManualClock
    let failure: Failure?
    private let heads = Mutex<[DID: RepositoryHead]>([:])

    init(log: EventLog, clock: ManualClock, failure: Failure?) {
        self.log = log
        self.clock = clock
        self.failure = failure
    }

    func prepareCreation(did: DID, signer: any RepositorySigner) throws -> RepositoryCreation {
        let tree = CID.of(dagCBOR: DataValue.map(["e": [], "l": .null]).cbor())
        var tids = TIDGenerator(clockID: 1)
        return RepositoryCreation(
            commit: try Commit(did: did, rev: tids.next(now: clock.now()), data: tree, signer: signer))
    }

    func create(_ creation: RepositoryCreation, announced: Bool, in scope: any WriteScope) throws {
        if failure == .onCreate { throw Failure.onCreate }
        let commit = creation.commit
        let head = RepositoryHead(did: commit.did, commit: commit.cid, rev: commit.rev, data: commit.data)
        if announced {
            try append(.commit, head.did, in: scope)
            try append(.sync, head.did, in: scope)
        }
        scope.afterCommit { self.heads.withLock { $0[head.did] = head } }
    }

    func announceHead(of did: DID, in scope: any WriteScope) throws {
        try append(.sync, did, in: scope)
    }

    func renewHead(of did: DID, signer: any RepositorySigner, announced: Bool, in scope: any WriteScope) throws {
        if announced { try append(.sync, did, in: scope) }
    }

    func remove(_ did: DID, in scope: any WriteScope) throws {
        scope.afterCommit { self.heads.withLock { $0[did] = nil } }
    }

    func head(of did: DID) async throws -> RepositoryHead? { heads.withLock { $0[did] } }

    func figures(of did: DID) async throws -> RepositoryFigures? {
        try await head(of: did).map {
            RepositoryFigures(head: $0, recordCount: 3, blockCount: 7, expectedBlobCount: 2, heldBlobCount: 1)
        }
    }

    private func append(_ kind: LogEventKind, _ did: DID, in scope: any WriteScope) throws {
        let frame = PreparedFrame(prefix: Array(kind.rawValue.utf8), suffix: [])
        _ = try log.append(LogEntry(did: did, kind: kind, time: clock.now(), frame: frame), in: scope)
    }
}
