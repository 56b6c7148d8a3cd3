package import ATProtocol
package import Base
package import Contracts
package import Storage
import Synchronization

/// The one door through which repositories change: admits, validates, edits, signs and appends.
///
/// Writes to one repository are ordered by its lock; those of different repositories run side by side and share the
/// committer's groups. `swapRecord` and `swapCommit` are judged on the very state the edit is made on; the head is
/// moved by compare-and-set, so that a second process, or an import, cannot be overwritten.
package final class RepositoryWriter: Sendable {
    let database: any Database
    let log: EventLog
    let accounts: any Accounts
    let keys: any SigningKeys
    let blobs: BlobLedger
    let catalog: LexiconCatalog
    let rules: RepositoryRules
    let clock: any WallClock
    private let slots: Mutex<Slots>
    private let keyGenerator: Mutex<TIDGenerator>

    /// How often a write is made anew because the head moved under it, before it is made inside the transaction.
    private static let attemptCountMax = 3

    /// The writers' memory of one repository. `tip` is touched only by the holder of `lock`.
    final class Slot: Sendable {
        let lock = AsyncLock()
        let tip = Mutex<RepositoryTip?>(nil)
        /// The commit submitted last: the tip is as durable as it is.
        let pending = Mutex<PendingCommit?>(nil)
        /// The batch begun last; later commits join it until the committer takes it.
        let batch = Mutex<CommitBatch?>(nil)
        let lastUse = Atomic<UInt64>(0)
        /// Nodes held by the last tip that was kept.
        let nodeCount = Atomic<Int>(0)
    }

    private struct Slots {
        var byDID: [DID: Slot] = [:]
        var uses: UInt64 = 0
        /// Nodes held in all, as of the last count and what came since.
        var nodeCount = 0
        /// Beyond these the half used longest ago is forgotten: repositories, and tree nodes (about 1 kB each).
        static let countMax = 4096
        static let nodeCountMax = 32_768

        /// Forgets the idle half used longest ago.
        mutating func shrink() {
            let stamps = byDID.values.map { $0.lastUse.load(ordering: .relaxed) }.sorted()
            guard !stamps.isEmpty else { return }
            let middle = stamps[stamps.count / 2]
            byDID = byDID.filter { $0.value.lock.isHeld || $0.value.lastUse.load(ordering: .relaxed) > middle }
            nodeCount = byDID.values.reduce(0) { $0 + $1.nodeCount.load(ordering: .relaxed) }
        }
    }

    package init(
        database: any Database, log: EventLog, accounts: any Accounts, keys: any SigningKeys, blobs: BlobLedger,
        catalog: LexiconCatalog, rules: RepositoryRules = RepositoryRules(), clock: any WallClock,
        randomness: any Randomness
    ) {
        self.database = database
        self.log = log
        self.accounts = accounts
        self.keys = keys
        self.blobs = blobs
        self.catalog = catalog
        self.rules = rules
        self.clock = clock
        slots = Mutex(Slots())
        keyGenerator = Mutex(TIDGenerator(clockID: UInt16(truncatingIfNeeded: randomness.uint64()) & 0x3FF))
    }

    /// Applies operations to a repository as a single commit.
    ///
    /// - Parameters:
    ///   - did: whose repository; the caller's own, or one whose guard lets the caller write.
    ///   - writes: 1…200 operations, applied in order.
    ///   - swapCommit: when given, must be the present head.
    /// - Returns: after the commit is on disk: its CID and revision, and each operation's result.
    /// - Throws: `RepositoryWriteError`, `StorageError`, what a guard or an observer refuses with; nothing was changed.
    /// - Complexity: O(k · log n) for k operations on a repository of n records.
    package func apply(
        _ writes: [RecordWrite], to did: DID, by caller: Caller, mode: RecordValidationMode = .whenKnown,
        swapCommit: CID? = nil
    ) async throws -> RepositoryWriteOutcome {
        let kind = try await admit(did, caller)
        let prepared = try prepare(writes, mode: mode)
        guard kind == .person, !rules.observe(prepared) else {
            return try await transact(on: [did], newcomers: [:]) { transaction in
                try transaction.apply(prepared, to: did, by: .direct(caller), swapCommit: swapCommit)
            }
        }
        let commit = try await commit(prepared, did: did, swapCommit: swapCommit)
        return Self.outcome(commit, prepared)
    }

    func prepare(
        _ writes: [RecordWrite], mode: RecordValidationMode
    ) throws(RepositoryWriteError) -> [PreparedWrite] {
        try RecordPreparation(catalog: catalog, mode: mode).prepare(writes, newKey: newKey)
    }

    func newKey() -> RecordKey { RecordKey(keyGenerator.withLock { $0.next(now: clock.now()) }) }

    static func outcome(_ commit: Commit?, _ writes: [PreparedWrite]) -> RepositoryWriteOutcome {
        RepositoryWriteOutcome(
            commit: commit?.cid, rev: commit?.rev,
            results: writes.map {
                RecordWriteResult(path: $0.path, cid: $0.cid, validationStatus: $0.validationStatus)
            })
    }

    /// Turns away early whom the transaction would turn away.
    private func admit(_ did: DID, _ caller: Caller) async throws -> AccountKind {
        let standing = try await accounts.standing(of: did)
        if let standing, standing.kind != .person { return standing.kind }
        guard caller.did == did else { throw RepositoryWriteError.notOwner }
        try Self.admit(standing?.status)
        return .person
    }

    static func admit(_ status: AccountStatus?) throws(RepositoryWriteError) {
        guard let status else { throw .notHosted }
        guard status == .approved else { throw .inactive(status) }
    }

    func slot(of did: DID) -> Slot {
        slots.withLock { slots in
            slots.uses += 1
            let uses = slots.uses
            if let slot = slots.byDID[did] {
                slot.lastUse.store(uses, ordering: .relaxed)
                return slot
            }
            if slots.byDID.count >= Slots.countMax { slots.shrink() }
            let slot = Slot()
            slot.lastUse.store(uses, ordering: .relaxed)
            slots.byDID[did] = slot
            return slot
        }
    }

    /// Forgets what is held of a repository: after an import, a rebuild or its removal.
    package func forget(_ did: DID) {
        _ = slots.withLock { $0.byDID.removeValue(forKey: did) }
    }

    /// Edits, signs and submits under the repository's lock; waits for durability outside of it, so that the next
    /// commit can join the same group. A commit built on one that fails finds another head, and is made anew.
    private func commit(_ writes: [PreparedWrite], did: DID, swapCommit: CID?) async throws -> Commit? {
        let signer = try await keys.signer(for: did)
        let slot = slot(of: did)
        // Whether a subject is pointed at already is asked of the database, and a blob that isn't there is found out at the
        // last moment: such a write waits inside the lock, so that nothing is built on one that is refused.
        let waitsInside = writes.contains { $0.subject != nil || !$0.blobs.isEmpty }
        for _ in 0..<Self.attemptCountMax {
            let step: Step = try await slot.lock.withLock {
                let step = try await submit(writes, did: did, signer: signer, slot: slot, swapCommit: swapCommit)
                if waitsInside, case .submitted(_, let pending) = step { _ = try? await pending.value() }
                return step
            }
            switch step {
            case .submitted(let commit, let pending): if try await pending.value() { return commit }
            case .unchanged(let pending):
                // Judged on a state that is on its way to disk: the answer waits for it.
                if await Self.hasLanded(pending) { return nil }
            case .refused(let refusal, let pending):
                if await Self.hasLanded(pending) { throw refusal }
            case .stale: break
            }
        }
        // Other processes write to the repository, too: made outside, a commit would time and again be built on a head that
        // theirs have moved.
        return try await transact(on: [did], newcomers: [:]) { transaction in
            try transaction.commit(writes, to: did, swapCommit: swapCommit)
        }
    }

    /// Whether the state that something was judged on is on disk; waits for it.
    private static func hasLanded(_ pending: PendingCommit?) async -> Bool {
        guard let pending else { return true }
        return (try? await pending.value()) == true
    }

    private enum Step: Sendable {
        /// Nothing had to change in the state that this commit, if any, brings about.
        case unchanged(PendingCommit?)
        case submitted(Commit, PendingCommit)
        /// The state that this commit, if any, brings about forbids the write.
        case refused(RepositoryWriteError, PendingCommit?)
        /// The state that was remembered is no longer in the database: another process writes to the repository too.
        case stale
    }

    private func submit(
        _ writes: [PreparedWrite], did: DID, signer: any RepositorySigner, slot: Slot, swapCommit: CID?
    ) async throws -> Step {
        var tip = try await takeTip(of: did, slot)
        let now = clock.now()
        let edited: CommitEdit.Outcome?
        do {
            if let swapCommit, swapCommit != tip.commit {
                throw RepositoryWriteError.invalidSwap("The head is \(tip.commit), not \(swapCommit).")
            }
            let edit = CommitEdit(
                did: did, signer: signer, writes: try await withReplaced(writes, tip: tip), now: now,
                rev: TIDGenerator.following(tip.rev, now: now))
            edited = try await self.edited(edit, &tip, slot)
        } catch let refusal as RepositoryWriteError {
            // The state forbade it; the state itself is as good as before.
            slot.tip.withLock { $0 = tip }
            return .refused(refusal, slot.pending.withLock { $0 })
        } catch RepositoryError.missingBlock {
            return .stale
        }
        guard let outcome = edited else {
            slot.tip.withLock { $0 = tip }
            return .unchanged(slot.pending.withLock { $0 })
        }
        let followUp = collectionChanges(outcome.change, tip: tip)
        keep(outcome, tip: tip, collections: followUp, in: slot)
        // What was built on a commit that did not land must not be built upon.
        let pending = PendingCommit { failed in
            slot.tip.withLock { $0 = nil }
            slot.pending.withLock { if $0 === failed { $0 = nil } }
        }
        slot.pending.withLock { $0 = pending }
        let event = LogEntry(did: did, kind: .commit, time: now, frame: outcome.frame)
        append(
            CommitBatch.Entry(change: outcome.change, collections: followUp, event: event, pending: pending), to: slot)
        return .submitted(outcome.change.commit, pending)
    }

    /// Takes the tip out of the slot, so that a failure on the way leaves none behind.
    private func takeTip(of did: DID, _ slot: Slot) async throws -> RepositoryTip {
        let held = slot.tip.withLock { tip in
            defer { tip = nil }
            return tip
        }
        if let held { return held }
        // What is on its way lands, or fails, first: else this would be built on the state before it, and its failure would
        // take away the tip laid down here.
        if let pending = slot.pending.withLock({ $0 }) { _ = try? await pending.value() }
        return try await database.read { try Self.tip(of: did, in: $0) }
    }

    static func tip(of did: DID, in scope: any ReadScope) throws -> RepositoryTip {
        guard let row = try RepositoryStore.repository(did, in: scope) else { throw RepositoryWriteError.notHosted }
        let collections = try RepositoryStore.collections(of: row.id, in: scope)
        return RepositoryTip(
            id: row.id, tree: row.tree, commit: row.commit, rev: row.rev, data: row.data,
            collections: Set(collections))
    }

    /// Edits on cached nodes; when one is missing, once more inside a read that loads them. One that was made by a commit
    /// on its way to disk and is cached no longer can be read once that is there.
    private func edited(_ edit: CommitEdit, _ tip: inout RepositoryTip, _ slot: Slot) async throws
        -> CommitEdit.Outcome?
    {
        do {
            return try edit.apply(to: tip, source: tip.nodes)
        } catch RepositoryError.missingBlock {
            do {
                return try await editedLoading(edit, &tip)
            } catch RepositoryError.missingBlock(let cid) {
                guard let pending = slot.pending.withLock({ $0 }), (try? await pending.value()) == true else {
                    throw RepositoryError.missingBlock(cid)
                }
                return try await editedLoading(edit, &tip)
            }
        }
    }

    private func editedLoading(_ edit: CommitEdit, _ tip: inout RepositoryTip) async throws -> CommitEdit.Outcome? {
        let before = tip
        let (outcome, loaded) = try await database.read { scope in
            let source = LoadingSource(cached: before.nodes, tree: before.tree, scope: scope)
            let outcome = try source.reading { try edit.apply(to: before, source: $0) }
            return (outcome, source.loaded)
        }
        for node in loaded.nodes.values { tip.nodes.insert(node) }
        return outcome
    }

    /// Adds the deletion of an older record with the same subject: a second like replaces the first.
    private func withReplaced(_ writes: [PreparedWrite], tip: RepositoryTip) async throws -> [PreparedWrite] {
        guard writes.contains(where: { $0.subject != nil }) else { return writes }
        let tree = tip.tree
        return try await database.read { try Self.withReplaced(writes, tree: tree, in: $0) }
    }

    static func withReplaced(
        _ writes: [PreparedWrite], tree: Int64, in scope: any ReadScope
    ) throws -> [PreparedWrite] {
        let older = try writes.filter { $0.subject != nil }.flatMap { write in
            try RepositoryStore.paths(write.path.collection, subject: write.subject ?? "", tree: tree, in: scope)
        }
        var result = writes
        for text in older where !result.contains(where: { $0.path.string == text }) {
            let path = try RepositoryPath(parsing: text)
            result.append(
                PreparedWrite(kind: .delete(mustExist: false), path: path, key: Array(text.utf8), swap: .anything))
        }
        guard result.count <= WriteLimits.operationCountMax else {
            throw RepositoryWriteError.invalidRequest(
                "writes: with \(result.count - writes.count) records that are replaced, as they point at the same subjects, the "
                    + "commit would have \(result.count) operations; \(WriteLimits.operationCountMax) are allowed")
        }
        return result
    }

    func collectionChanges(_ change: RepositoryChange, tip: RepositoryTip) -> CollectionChanges {
        var result = CollectionChanges()
        for write in change.writes {
            if write.cid == nil {
                result.shrunk.insert(write.collection)
            } else if !tip.collections.contains(write.collection) {
                result.added.insert(write.collection)
            }
        }
        return result
    }

    /// Step 6: with the commits that wait already, or as the first of the next batch; one transaction for everything.
    private func append(_ entry: CommitBatch.Entry, to slot: Slot) {
        let begun: CommitBatch? = slot.batch.withLock { batch in
            if let batch, batch.add(entry) { return nil }
            let next = CommitBatch(entry, log: log, blobs: blobs, accounts: accounts)
            batch = next
            return next
        }
        guard let begun else { return }
        database.submit(
            { scope in try begun.write(in: scope) }, failing: .early, asking: begun.questions,
            settled: { begun.settle($0) })
    }

    private func keep(
        _ outcome: CommitEdit.Outcome, tip: RepositoryTip, collections: CollectionChanges, in slot: Slot
    ) {
        var next = tip
        next.commit = outcome.change.commit.cid
        next.rev = outcome.change.commit.rev
        next.data = outcome.change.commit.data
        for cid in outcome.change.removedNodes { next.nodes.remove(cid) }
        if next.nodes.nodes.count > RepositoryTip.nodeCountMax { next.nodes = TreeNodeSet() }
        for node in outcome.nodes.nodes.values { next.nodes.insert(node) }
        // A collection that shrank may be empty now: the row is written again with its next record.
        next.collections.subtract(collections.shrunk)
        next.collections.formUnion(collections.added.subtracting(collections.shrunk))
        let nodeCount = next.nodes.nodes.count
        let before = slot.nodeCount.exchange(nodeCount, ordering: .relaxed)
        slot.tip.withLock { $0 = next }
        slots.withLock { slots in
            slots.nodeCount += nodeCount - before
            if slots.nodeCount > Slots.nodeCountMax { slots.shrink() }
        }
    }
}

extension TIDGenerator {
    /// A revision after `last`, of time `now` or later.
    static func following(_ last: TID, now: Timestamp) -> TID {
        var generator = TIDGenerator(clockID: UInt16(last.value & 0x3FF), last: last)
        return generator.next(now: now)
    }
}
