package import ATProtocol
package import Base
package import Contracts
package import Storage

/// Takes up a repository from an archive of untrusted bytes.
///
/// The archive is spooled to a file while every block's hash is checked; then, on a thread of its own, tree and records
/// are verified and laid beside the present tree in small transactions; last, in one small transaction, a commit of our
/// own over the imported tree takes the head. Until then nothing visible has changed, whatever happens.
package struct RepositoryImport: Sendable {
    let database: any Database
    let log: EventLog
    let writer: RepositoryWriter
    let accounts: any Accounts
    let keys: any SigningKeys
    let blobs: BlobLedger
    let clock: any WallClock
    /// One archive is verified at a time: another processor is left for everybody else.
    private let turn = AsyncLock()
    private let admission: ImportAdmission
    /// Where archives are spooled. Files in it are removed with the import that made them.
    let spoolDirectory: String

    package init(
        database: any Database, log: EventLog, writer: RepositoryWriter, accounts: any Accounts,
        keys: any SigningKeys, blobs: BlobLedger, clock: any WallClock, spoolDirectory: String,
        limits: ImportLimits = ImportLimits()
    ) {
        self.database = database
        self.log = log
        self.writer = writer
        self.accounts = accounts
        self.keys = keys
        self.blobs = blobs
        self.clock = clock
        self.spoolDirectory = spoolDirectory
        admission = ImportAdmission(limits)
    }

    /// On whose word an import is done.
    package enum Authority: Sendable, Hashable {
        /// The account's own, while it is active or deactivated.
        case owner
        /// The operator's, whatever the account's state.
        case `operator`
    }

    /// What was taken up.
    package struct Outcome: Sendable, Hashable {
        package var commit: CID
        package var rev: TID
        package var data: CID
        package var recordCount: Int
    }

    /// Imports the archive that arrives as `body` into the repository of `did`; for an active account `#sync` is logged.
    ///
    /// - Throws: `RepositoryError` naming what is wrong with the archive; `RepositoryImportError`;
    ///   `RepositoryWriteError.inactive` when the account's state forbids it by the end. Nothing was changed.
    package func run(
        _ body: some AsyncSequence<[UInt8], any Error>, did: DID, by authority: Authority
    ) async throws -> Outcome {
        try await admission.admit(did) {
            let spool = try ArchiveSpool(directory: spoolDirectory)
            defer { spool.remove() }
            for try await piece in body {
                try spool.append(piece)
                try admission.note(spool.blockCount, for: did)
            }
            return try await turn.withLock { try await takeUp(spool, did: did, by: authority) }
        }
    }

    private func takeUp(_ spool: ArchiveSpool, did: DID, by authority: Authority) async throws -> Outcome {
        let fields = try RepositoryVerification(source: spool).commit(try spool.finish(), did: did, key: nil)
        guard let before = try await database.read({ try RepositoryStore.repository(did, in: $0) }) else {
            throw RepositoryReadError.repositoryNotFound
        }
        let now = clock.now()
        let tree = try await database.write { try RepositoryStore.beginTree(now: now, in: $0) }
        let (counts, commit): (ArchiveLaying.Counts, Commit)
        do {
            counts = try await lay(spool, root: fields.data, as: tree, after: before.rev)
            commit = try await adopt(
                tree: tree, data: fields.data, over: before, imported: fields.rev, counts: counts, by: authority)
        } catch {
            // If even this fails, the tree is found by its age.
            try? await database.write { try RepositoryStore.dispose(tree, in: $0) }
            throw error
        }
        writer.forget(did)
        return Outcome(commit: commit.cid, rev: commit.rev, data: commit.data, recordCount: counts.records)
    }

    /// Verifies and lays down on a thread of its own; told to stop when nobody waits any more.
    private func lay(
        _ spool: ArchiveSpool, root: CID, as tree: Int64, after previous: TID
    ) async throws -> ArchiveLaying.Counts {
        var revisions = TIDGenerator(clockID: 0, last: previous)
        let stop = ImportStop()
        let laying = ArchiveLaying(
            database: database, blobs: blobs, spool: spool, root: root, tree: tree,
            rev: revisions.next(now: clock.now()), stop: stop)
        return try await withTaskCancellationHandler {
            try await OwnThread.run("kith-import") { try laying.run() }
        } onCancel: {
            stop.raise()
        }
    }

    /// Who is active doesn't go back in time by mistake; deactivating is how one says that it is none.
    private static func check(
        _ status: AccountStatus, _ authority: Authority, imported: TID?, data: CID, over present: RepositoryRow
    ) throws {
        guard authority == .owner else { return }
        switch status {
        case .deactivated: return
        case .approved:
            // What is there already may come again: an answer may have been lost.
            guard data != present.data else { return }
            guard let imported, imported >= present.rev else {
                throw RepositoryImportError.older(than: present.rev)
            }
        case .pending, .rejected, .disabled, .suspended, .takendown, .confined:
            throw RepositoryWriteError.inactive(status)
        }
    }

    private func adopt(
        tree: Int64, data: CID, over before: RepositoryRow, imported: TID?, counts: ArchiveLaying.Counts,
        by authority: Authority
    ) async throws -> Commit {
        let signer = try await keys.signer(for: before.did)
        let now = clock.now()
        var generator = TIDGenerator(clockID: 0, last: before.rev)
        // The network has seen the imported revision: the new one must come after it, but not lie in the future.
        if let imported, imported.microseconds <= now.microseconds { generator.advance(past: imported) }
        let commit = try Commit(did: before.did, rev: generator.next(now: now), data: data, signer: signer)
        let (log, blobs, accounts, rules) = (log, blobs, accounts, writer.rules)
        try await database.write { scope in
            // Judged here: much may have happened since the archive began to arrive.
            guard let standing = try accounts.standing(of: before.did, in: scope) else {
                throw RepositoryWriteError.notHosted
            }
            let status = standing.status
            try Self.check(status, authority, imported: imported, data: data, over: before)
            guard
                try RepositoryStore.adopt(
                    tree, commit: commit, recordCount: counts.records, nodeCount: counts.nodes, over: before, in: scope)
            else { throw RepositoryWriteError.contended }
            try RepositoryStore.replaceCollections(counts.collections, repository: before.id, in: scope)
            var row = before
            row.tree = tree
            row.rev = commit.rev
            try blobs.reconcile(row, in: scope)
            try rules.retell(tree: tree, of: before.did, in: scope)
            try rules.check(standing, in: scope)
            guard status == .approved else { return }
            var blocks = CARWriter.header(roots: [commit.cid])
            CARWriter.append(commit.cid, commit.bytes, to: &blocks)
            let frame = FirehoseEvent.sync(
                FirehoseSync(did: commit.did, rev: commit.rev, blocks: blocks, time: Datetime(now))
            ).prepared()
            let entry = LogEntry(
                did: commit.did, kind: .sync, time: now, frame: frame)
            _ = try log.append(entry, in: scope)
        }
        return commit
    }
}
