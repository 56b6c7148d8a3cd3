import ATProtocol
import Base
import Contracts
import Storage
import Synchronization

extension RepositoryWriter {
    /// Edits and signs inside the transaction, where nobody can move the head.
    ///
    /// For a repository that other processes write to as well: made outside, a commit would time and again be built on a
    /// head that theirs have moved. It holds up the committer for as long as the edit takes, which other writes don't.
    func commitInside(
        _ writes: [PreparedWrite], did: DID, signer: any RepositorySigner, slot: Slot, swapCommit: CID?
    ) async throws -> Commit? {
        let now = clock.now()
        // Others of this process wait: what they would build on is about to change.
        return try await slot.lock.withLock {
            // One that is still on its way comes first; how it fares is the business of whoever waits for it.
            slot.tip.withLock { $0 = nil }
            defer { slot.tip.withLock { $0 = nil } }
            return try await database.write { [self] scope in
                let tip = try Self.tip(of: did, in: scope)
                if let swapCommit, swapCommit != tip.commit {
                    throw RepositoryWriteError.invalidSwap("The head is \(tip.commit), not \(swapCommit).")
                }
                let edit = CommitEdit(
                    did: did, signer: signer, writes: try Self.withReplaced(writes, tree: tip.tree, in: scope),
                    now: now, rev: TIDGenerator.following(tip.rev, now: now))
                let source = LoadingSource(tree: tip.tree, scope: scope)
                guard let outcome = try source.reading({ try edit.apply(to: tip, source: $0) }) else { return nil }
                let entry = CommitBatch.Entry(
                    change: outcome.change, collections: collectionChanges(outcome.change, tip: tip),
                    event: LogEntry(did: did, kind: .commit, time: now, frame: outcome.frame),
                    pending: PendingCommit { _ in })
                switch try CommitBatch(entry, log: log, blobs: blobs, accounts: accounts).write(in: scope).first {
                case .landed: return outcome.change.commit
                case .refused(let refusal): throw refusal
                case .headMoved, nil: throw RepositoryWriteError.contended
                }
            }
        }
    }
}
