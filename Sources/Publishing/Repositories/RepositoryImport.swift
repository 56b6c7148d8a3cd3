package import ATProtocol
package import Base
package import Contracts
import Foundation
package import Storage

/// Takes up a repository from an archive of untrusted bytes.
///
/// The archive is spooled to a file while every block's hash is checked; then owner, tree and records are verified;
/// then a tree is laid beside the present one in small transactions; last, in one small transaction, a commit of our
/// own over the imported tree takes the head. Until then nothing visible has changed, whatever happens.
package struct RepositoryImport: Sendable {
    let database: any Database
    let log: EventLog
    let writer: RepositoryWriter
    let keys: any SigningKeys
    let blobs: BlobLedger
    let clock: any WallClock
    /// One import at a time: each holds the places of its blocks in memory and a processor while it verifies.
    private let turn = AsyncLock()
    /// Where archives are spooled. Files in it are removed with the import that made them.
    let spoolDirectory: String

    package init(
        database: any Database, log: EventLog, writer: RepositoryWriter, keys: any SigningKeys, blobs: BlobLedger,
        clock: any WallClock, spoolDirectory: String
    ) {
        self.database = database
        self.log = log
        self.writer = writer
        self.keys = keys
        self.blobs = blobs
        self.clock = clock
        self.spoolDirectory = spoolDirectory
    }

    /// What was taken up.
    package struct Outcome: Sendable, Hashable {
        package var commit: CID
        package var rev: TID
        package var data: CID
        package var recordCount: Int
    }

    /// Records laid down in one transaction: small, so that other writes are not held up.
    private static let batchCount = 500

    /// Imports the archive that arrives as `body` into the repository of `did`.
    ///
    /// - Parameters:
    ///   - announced: whether to log `#sync` with the new head: for accounts that are active.
    ///   - progress: receives the number of records laid down so far and in all.
    /// - Throws: `RepositoryError` naming what is wrong with the archive; nothing was changed.
    package func run(
        _ body: some AsyncSequence<[UInt8], any Error>, did: DID, announced: Bool,
        progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) async throws -> Outcome {
        let spool = try ArchiveSpool(directory: spoolDirectory)
        defer { spool.remove() }
        for try await piece in body { try spool.append(piece) }
        return try await turn.withLock {
            try await takeUp(spool, did: did, announced: announced, progress: progress)
        }
    }

    private func takeUp(
        _ spool: ArchiveSpool, did: DID, announced: Bool, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws -> Outcome {
        let root = try spool.finish()
        let verification = RepositoryVerification(source: spool)
        let fields = try verification.commit(root, did: did, key: nil)
        guard let before = try await database.read({ try RepositoryStore.repository(did, in: $0) }) else {
            throw RepositoryReadError.repositoryNotFound
        }
        let tree = try await database.write { try RepositoryStore.beginTree(in: $0) }
        let (counts, commit): (Counts, Commit)
        do {
            counts = try await lay(
                verification, root: fields.data, tree: tree, after: before.rev, spool: spool, progress: progress)
            commit = try await adopt(
                tree: tree, data: fields.data, over: before, imported: fields.rev, counts: counts,
                announced: announced)
        } catch {
            // If even this fails, the next start finds the tree.
            try? await database.write { try RepositoryStore.dispose(tree, in: $0) }
            throw error
        }
        writer.forget(did)
        return Outcome(commit: commit.cid, rev: commit.rev, data: commit.data, recordCount: counts.records)
    }

    private struct Counts: Sendable {
        var records = 0
        var nodes = 0
        var collections: Set<String> = []
    }

    /// Verifies the whole tree first, then lays it down; a fault found late would have cost writes for nothing.
    private func lay(
        _ verification: RepositoryVerification<ArchiveSpool>, root: CID, tree: Int64, after previous: TID,
        spool: ArchiveSpool,
        progress: @Sendable (Int, Int) -> Void
    ) async throws -> Counts {
        var counts = Counts()
        counts.records = try verification.tree(
            root: root, nodes: { _ in counts.nodes += 1 },
            records: { path, _, bytes in
                let record = try verifyRecord(bytes, path: path)
                if let type = record["$type"], type.stringValue != path.collection.string {
                    throw RepositoryError.invalidRecord(path: path.string, reason: "its $type is not its collection")
                }
                counts.collections.insert(path.collection.string)
            })
        var revisions = TIDGenerator(clockID: 0, last: previous)
        let rev = revisions.next(now: clock.now())
        var batch = Batch()
        var walk = TreeWalk(root: root, source: SpoolNodes(spool: spool))
        var done = 0
        while let step = try walk.next() {
            switch step {
            case .node(let node): batch.nodes.append(node)
            case .entry(let key, let cid):
                guard let bytes = try spool.block(cid) else { throw RepositoryError.missingBlock(cid) }
                batch.records.append((String(decoding: key, as: UTF8.self), cid, bytes))
            }
            if batch.records.count >= Self.batchCount || batch.nodes.count >= Self.batchCount {
                done += batch.records.count
                try await store(batch, tree: tree, rev: rev)
                batch = Batch()
                progress(done, counts.records)
            }
        }
        try await store(batch, tree: tree, rev: rev)
        progress(counts.records, counts.records)
        return counts
    }

    private struct Batch: Sendable {
        var nodes: [TreeNode] = []
        var records: [(path: String, cid: CID, bytes: [UInt8])] = []
    }

    private func store(_ batch: Batch, tree: Int64, rev: TID) async throws {
        let blobs = blobs
        try await database.append { scope in
            try RepositoryStore.insert(batch.nodes, tree: tree, rev: rev, in: scope)
            for record in batch.records {
                try RepositoryStore.insertImported(
                    path: record.path, cid: record.cid, value: record.bytes, tree: tree, rev: rev, in: scope)
                guard let value = try? DataValue(cbor: record.bytes) else { continue }
                for cid in Set(RecordShape.blobs(in: value)) where cid.codec == .raw {
                    try blobs.mention(cid, path: record.path, tree: tree, in: scope)
                }
            }
        }
    }

    private func adopt(
        tree: Int64, data: CID, over before: RepositoryRow, imported: TID?, counts: Counts, announced: Bool
    ) async throws -> Commit {
        let signer = try await keys.signer(for: before.did)
        let now = clock.now()
        var generator = TIDGenerator(clockID: 0, last: before.rev)
        // The network has seen the imported revision: the new one must come after it, but not lie in the future.
        if let imported, imported.microseconds <= now.microseconds { generator.advance(past: imported) }
        let commit = try Commit(did: before.did, rev: generator.next(now: now), data: data, signer: signer)
        let (log, blobs) = (log, blobs)
        try await database.write { scope in
            guard
                try RepositoryStore.adopt(
                    tree, commit: commit, recordCount: counts.records, nodeCount: counts.nodes, over: before, in: scope)
            else { throw RepositoryWriteError.contended }
            try RepositoryStore.replaceCollections(counts.collections, repository: before.id, in: scope)
            var row = before
            row.tree = tree
            row.rev = commit.rev
            try blobs.reconcile(row, in: scope)
            guard announced else { return }
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

/// Nodes of a spooled archive that was verified.
private struct SpoolNodes: TreeNodeSource {
    let spool: ArchiveSpool

    func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
        guard let bytes = try spool.block(cid) else { throw .missingBlock(cid) }
        return try TreeNode(cid: cid, bytes: bytes)
    }
}
