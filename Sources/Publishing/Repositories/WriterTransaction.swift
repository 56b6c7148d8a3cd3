package import ATProtocol
import Base
package import Contracts
import Storage
import Synchronization

/// Edits and signs inside the transaction, where nobody can move a head.
///
/// For acts that read, judge and write as one, for what a guard or an observer may refuse, and for repositories that other
/// processes write to as well. It holds up the committer for as long as an edit takes, which plain writes don't.
final class WriterTransaction: RepositoryTransaction {
    let scope: any WriteScope
    let now: Timestamp
    private let writer: RepositoryWriter
    private let signers: [DID: any RepositorySigner]

    init(_ writer: RepositoryWriter, signers: [DID: any RepositorySigner], now: Timestamp, scope: any WriteScope) {
        self.writer = writer
        self.signers = signers
        self.now = now
        self.scope = scope
    }

    func newKey() -> RecordKey { writer.newKey() }

    func record(_ path: RepositoryPath, of did: DID) throws -> (cid: CID, value: DataValue)? {
        guard let row = try RepositoryStore.record(path.string, did: did, in: scope) else { return nil }
        return (row.cid, try DataValue(cbor: row.value))
    }

    @discardableResult
    func apply(_ writes: [RecordWrite], to did: DID, by origin: WriteOrigin) throws -> RepositoryWriteOutcome {
        try apply(try writer.prepare(writes, mode: .whenKnown), to: did, by: origin)
    }

    func apply(
        _ writes: [PreparedWrite], to did: DID, by origin: WriteOrigin, swapCommit: CID? = nil
    ) throws -> RepositoryWriteOutcome {
        guard let standing = try writer.accounts.standing(of: did, in: scope) else {
            throw RepositoryWriteError.notHosted
        }
        do {
            try judge(writes, standing, origin)
        } catch GuardRefusal.hidden {
            throw RepositoryWriteError.notOwner
        }
        return RepositoryWriter.outcome(try commit(writes, to: standing, swapCommit: swapCommit), writes)
    }

    private func judge(_ writes: [PreparedWrite], _ standing: AccountStanding, _ origin: WriteOrigin) throws {
        guard let judge = writer.rules.guards[standing.kind] else {
            if case .direct(let caller) = origin, caller.did != standing.did { throw RepositoryWriteError.notOwner }
            return
        }
        let judged = try writes.map { write in
            JudgedWrite(
                path: write.path, value: try write.cid.map { _ in try DataValue(cbor: write.bytes) },
                exists: try RepositoryStore.record(write.path.string, did: standing.did, in: scope) != nil)
        }
        try judge.judge(judged, to: standing.did, by: origin, in: scope)
    }

    /// A commit that was judged already.
    func commit(_ writes: [PreparedWrite], to did: DID, swapCommit: CID?) throws -> Commit? {
        guard let standing = try writer.accounts.standing(of: did, in: scope) else {
            throw RepositoryWriteError.notHosted
        }
        return try commit(writes, to: standing, swapCommit: swapCommit)
    }

    private func commit(_ writes: [PreparedWrite], to standing: AccountStanding, swapCommit: CID?) throws -> Commit? {
        let did = standing.did
        // Nobody outside may learn of what a private community does.
        if standing.status != .confined { try RepositoryWriter.admit(standing.status) }
        guard let signer = signers[did] else { throw SigningKeyError.notInCustody }
        let tip = try RepositoryWriter.tip(of: did, in: scope)
        if let swapCommit, swapCommit != tip.commit {
            throw RepositoryWriteError.invalidSwap("The head is \(tip.commit), not \(swapCommit).")
        }
        let edit = CommitEdit(
            did: did, signer: signer,
            writes: try RepositoryWriter.withReplaced(writes, tree: tip.tree, in: scope), now: now,
            rev: TIDGenerator.following(tip.rev, now: now))
        let source = LoadingSource(tree: tip.tree, scope: scope)
        guard let outcome = try source.reading({ try edit.apply(to: tip, source: $0) }) else { return nil }
        let change = outcome.change
        try writer.blobs.check(change, in: scope)
        guard try RepositoryStore.moveHead(change, isCurrent: true, in: scope) else {
            throw RepositoryWriteError.contended
        }
        let entry = CommitBatch.Entry(
            change: change, collections: writer.collectionChanges(change, tip: tip),
            event: LogEntry(did: did, kind: .commit, time: now, frame: outcome.frame),
            pending: PendingCommit { _ in })
        try CommitBatch.store(
            entry, blobs: writer.blobs, log: standing.isAnnounced && !standing.isConfined ? writer.log : nil, in: scope)
        var nodes = NodeChanges()
        nodes.add(change)
        try nodes.store(tree: tip.tree, in: scope)
        try writer.rules.tell(change, of: did, in: scope)
        try writer.rules.check(standing, in: scope)
        return change.commit
    }
}

extension RepositoryWriter: RepositoryDoor {
    package func transact<T: Sendable>(
        on dids: [DID], newcomers: [DID: any RepositorySigner],
        _ body: @escaping @Sendable (any RepositoryTransaction) throws -> T
    ) async throws -> T {
        try await transact(on: dids, newcomers: newcomers) { (transaction: WriterTransaction) in
            try body(transaction)
        }
    }

    func transact<T: Sendable>(
        on dids: [DID], newcomers: [DID: any RepositorySigner],
        _ body: @escaping @Sendable (WriterTransaction) throws -> T
    ) async throws -> T {
        guard dids.count <= RepositoryDoorLimits.repositoryCountMax else {
            throw RepositoryWriteError.invalidRequest(
                "at most \(RepositoryDoorLimits.repositoryCountMax) repositories can be written to at once")
        }
        var signers = newcomers
        for did in dids { signers[did] = try await keys.signer(for: did) }
        let (all, now) = (signers, clock.now())
        let slots = Set(dids).sorted().map { slot(of: $0) }
        // Who comes later builds on what this brings about, once it has landed.
        let pending = PendingCommit { failed in
            for slot in slots { slot.pending.withLock { if $0 === failed { $0 = nil } } }
        }
        let answer = Answer<T>()
        await Self.withLocks(of: slots[...]) { [self] in
            for slot in slots {
                slot.tip.withLock { $0 = nil }
                slot.pending.withLock { $0 = pending }
            }
            database.submit(
                { scope in try body(WriterTransaction(self, signers: all, now: now, scope: scope)) },
                failing: .undone, asking: [],
                settled: { result in
                    pending.settle(result.map { _ in true })
                    answer.settle(result)
                })
        }
        return try await answer.value()
    }

    /// Runs `body` while holding the locks of all `slots`, which come in one order for everybody.
    private static func withLocks(of slots: ArraySlice<Slot>, _ body: @Sendable () -> Void) async {
        guard let first = slots.first else { return body() }
        await first.lock.withLock { await withLocks(of: slots.dropFirst(), body) }
    }
}

/// What a submitted body came to, waited for by the one who submitted it.
private final class Answer<T: Sendable>: Sendable {
    private struct State {
        var result: Result<T, any Error>?
        var waiter: CheckedContinuation<T, any Error>?
    }

    private let state = Mutex(State())

    func settle(_ result: Result<T, any Error>) {
        let waiter = state.withLock { state in
            state.result = result
            return state.waiter
        }
        waiter?.resume(with: result)
    }

    func value() async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<T, any Error>? = state.withLock { state in
                if state.result == nil { state.waiter = continuation }
                return state.result
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
