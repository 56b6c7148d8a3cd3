import ATProtocol
import Contracts
import Storage
import Synchronization

/// Commits of one repository, each built on the one before, that go to disk together.
///
/// While the committer is busy with one group, the commits of a repository that is written to by many gather here, as one
/// body of the next. What the later ones replace of the earlier ones' tree is never written: in a large repository the
/// rows of nodes lie far apart, and they are most of what a commit dirties.
final class CommitBatch: Sendable {
    /// One commit and what comes with it.
    struct Entry: Sendable {
        var change: RepositoryChange
        var collections: CollectionChanges
        var event: LogEntry
        var pending: PendingCommit
    }

    /// How one commit fared.
    enum Landing: Sendable {
        case landed
        /// The head was no longer the one it was built on, or what it was built on did not land.
        case headMoved
        case refused(any Error)
    }

    /// Commits in a batch; the next one begins another. Keeps a body within the committer's time.
    static let countMax = 32

    private struct State {
        var entries: [Entry]
        var isTaken = false
    }

    private let state: Mutex<State>
    private let log: EventLog
    private let blobs: BlobLedger
    private let accounts: any Accounts

    init(_ first: Entry, log: EventLog, blobs: BlobLedger, accounts: any Accounts) {
        state = Mutex(State(entries: [first]))
        self.log = log
        self.blobs = blobs
        self.accounts = accounts
    }

    /// Adds a commit built on the last one; false when the batch is on its way, or full.
    func add(_ entry: Entry) -> Bool {
        state.withLock { state in
            guard !state.isTaken, state.entries.count < Self.countMax else { return false }
            state.entries.append(entry)
            return true
        }
    }

    /// What `write` asks first.
    var questions: [BodyQuestion] {
        guard let first = state.withLock({ $0.entries.first }) else { return [] }
        let (did, change) = (first.event.did, first.change)
        return [
            { [accounts] scope in _ = try accounts.standing(of: did, in: scope) },
            { scope in
                _ = try RepositoryStore.isHead(
                    of: change.id, change.previous, tree: change.tree, in: scope)
            },
        ]
    }

    /// Writes all commits, up to the first that is refused. Takes no further ones from then on; may run again.
    /// - Returns: how each fared, in order.
    func write(in scope: any WriteScope) throws -> [Landing] {
        let entries = state.withLock { state in
            state.isTaken = true
            return state.entries
        }
        if let did = entries.first?.event.did {
            // Judged here once more: no commit may follow the event that the account was taken down.
            try RepositoryWriter.admit(try accounts.standing(of: did, in: scope)?.status)
        }
        var nodes = NodeChanges()
        var landings: [Landing] = []
        for entry in entries {
            do {
                try blobs.check(entry.change, in: scope)
            } catch let refusal where !(refusal is StorageError) {
                landings.append(.refused(refusal))
                break
            }
            // Each but the first was built on the one before, which has just moved the head.
            guard try RepositoryStore.moveHead(entry.change, isCurrent: !landings.isEmpty, in: scope) else { break }
            try Self.store(entry, blobs: blobs, log: log, in: scope)
            nodes.add(entry.change)
            landings.append(.landed)
        }
        if let tree = entries.first?.change.tree { try nodes.store(tree: tree, in: scope) }
        landings += repeatElement(.headMoved, count: entries.count - landings.count)
        return landings
    }

    /// What a commit whose head was moved changes beside the tree's nodes.
    /// - Parameter log: nil when nobody outside may learn of it.
    static func store(_ entry: Entry, blobs: BlobLedger, log: EventLog?, in scope: any WriteScope) throws {
        let change = entry.change
        try RepositoryStore.storeRecords(change, in: scope)
        for collection in entry.collections.added {
            try RepositoryStore.addCollection(collection, repository: change.id, in: scope)
        }
        for collection in entry.collections.shrunk
        where try !RepositoryStore.hasRecords(collection, tree: change.tree, in: scope) {
            try RepositoryStore.removeCollection(collection, repository: change.id, in: scope)
        }
        try blobs.apply(change, in: scope)
        _ = try log?.append(entry.event, in: scope)
    }

    /// Tells everyone who waits. Called once, when the batch is durable or can't be.
    func settle(_ result: Result<[Landing], any Error>) {
        let entries = state.withLock { state in
            // Refused before it ran: nobody may add to it any more.
            state.isTaken = true
            return state.entries
        }
        switch result {
        case .failure(let error): for entry in entries { entry.pending.settle(.failure(error)) }
        case .success(let landings):
            for (entry, landing) in zip(entries, landings) {
                switch landing {
                case .landed: entry.pending.settle(.success(true))
                case .headMoved: entry.pending.settle(.success(false))
                case .refused(let error): entry.pending.settle(.failure(error))
                }
            }
        }
    }
}

/// Collections that get their first record, and those that may have lost their last.
struct CollectionChanges: Sendable {
    var added: Set<String> = []
    var shrunk: Set<String> = []
}

/// What a row of commits, taken together, changes in the nodes of a tree.
struct NodeChanges {
    private struct Created {
        var node: TreeNode
        var rev: TID
        /// The same node was there before and removed by an earlier commit of the row: its row still stands.
        var hasRow: Bool
    }

    private var created: [CID: Created] = [:]
    private var removed: Set<CID> = []

    mutating func add(_ change: RepositoryChange) {
        for cid in change.removedNodes {
            if let node = created.removeValue(forKey: cid), !node.hasRow { continue }
            removed.insert(cid)
        }
        for node in change.createdNodes {
            let hasRow = removed.remove(node.cid) != nil
            created[node.cid] = Created(node: node, rev: change.commit.rev, hasRow: hasRow)
        }
    }

    func store(tree: Int64, in scope: any WriteScope) throws {
        for cid in removed { try RepositoryStore.removeNode(cid, tree: tree, in: scope) }
        for one in created.values { try RepositoryStore.insert(one.node, tree: tree, rev: one.rev, in: scope) }
    }
}

/// A commit on its way to disk: settled once, waited for by one or two.
final class PendingCommit: Sendable {
    private struct State {
        var result: Result<Bool, any Error>?
        var waiters: [CheckedContinuation<Bool, any Error>] = []
    }

    private let state = Mutex(State())
    private let onFailure: @Sendable (PendingCommit) -> Void

    /// - Parameter onFailure: called before anyone is told, when the commit did not land.
    init(onFailure: @escaping @Sendable (PendingCommit) -> Void) {
        self.onFailure = onFailure
    }

    func settle(_ result: Result<Bool, any Error>) {
        if (try? result.get()) != true { onFailure(self) }
        let waiters = state.withLock { state in
            state.result = result
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(with: result) }
    }

    /// Whether the commit landed; waits for it.
    func value() async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<Bool, any Error>? = state.withLock { state in
                if state.result == nil { state.waiters.append(continuation) }
                return state.result
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
