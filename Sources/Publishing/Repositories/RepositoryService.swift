package import ATProtocol
package import Base
package import Contracts
package import Storage

/// Creation and removal of repositories for the rooms that own accounts (`Contracts.Repositories`).
package struct RepositoryService: Repositories {
    private let database: any Database
    private let log: EventLog
    private let clock: any WallClock
    private let blobs: BlobLedger
    private let rules: RepositoryRules

    package init(
        database: any Database, log: EventLog, clock: any WallClock, blobs: BlobLedger,
        rules: RepositoryRules = RepositoryRules()
    ) {
        self.rules = rules
        self.database = database
        self.log = log
        self.clock = clock
        self.blobs = blobs
    }

    package func prepareCreation(did: DID, signer: any RepositorySigner) throws -> RepositoryCreation {
        var generator = TIDGenerator(clockID: 0)
        let rev = generator.next(now: clock.now())
        return RepositoryCreation(commit: try Commit(did: did, rev: rev, data: TreeNode.empty.cid, signer: signer))
    }

    package func create(_ creation: RepositoryCreation, announced: Bool, in scope: any WriteScope) throws {
        let commit = creation.commit
        let now = clock.now()
        _ = try RepositoryStore.insert(commit, now: now, in: scope)
        guard announced else { return }
        var blocks = CARWriter.header(roots: [commit.cid])
        CARWriter.append(commit.cid, commit.bytes, to: &blocks)
        let syncBlocks = blocks
        CARWriter.append(TreeNode.empty.cid, TreeNode.empty.bytes, to: &blocks)
        let event = FirehoseCommit(
            repository: commit.did, commit: commit.cid, rev: commit.rev, since: nil, previousData: nil, blocks: blocks,
            operations: [], time: Datetime(now))
        try append(.commit(event), kind: .commit, now: now, in: scope)
        let sync = FirehoseSync(did: commit.did, rev: commit.rev, blocks: syncBlocks, time: Datetime(now))
        try append(.sync(sync), kind: .sync, now: now, in: scope)
    }

    package func announceHead(of did: DID, in scope: any WriteScope) throws {
        guard let row = try RepositoryStore.repository(did, in: scope) else {
            throw RepositoryReadError.repositoryNotFound
        }
        var blocks = CARWriter.header(roots: [row.commit])
        CARWriter.append(row.commit, row.commitBytes, to: &blocks)
        let now = clock.now()
        let sync = FirehoseSync(did: did, rev: row.rev, blocks: blocks, time: Datetime(now))
        try append(.sync(sync), kind: .sync, now: now, in: scope)
    }

    package func renewHead(
        of did: DID, signer: any RepositorySigner, announced: Bool, in scope: any WriteScope
    ) throws {
        guard let row = try RepositoryStore.repository(did, in: scope) else { return }
        var generator = TIDGenerator(clockID: 0, last: row.rev)
        let commit = try Commit(did: did, rev: generator.next(now: clock.now()), data: row.data, signer: signer)
        let change = RepositoryChange(
            id: row.id, tree: row.tree, previous: row.commit, commit: commit, createdNodes: [], removedNodes: [],
            writes: [])
        guard try RepositoryStore.moveHead(change, in: scope) else { throw RepositoryWriteError.contended }
        if announced { try announceHead(of: did, in: scope) }
    }

    private func append(
        _ event: FirehoseEvent, kind: LogEventKind, now: Timestamp, in scope: any WriteScope
    ) throws {
        let frame = event.prepared()
        _ = try log.append(
            LogEntry(did: event.did, kind: kind, time: now, frame: frame), in: scope)
    }

    package func remove(_ did: DID, in scope: any WriteScope) throws {
        guard let row = try RepositoryStore.repository(did, in: scope) else { return }
        try rules.forget(did, in: scope)
        try blobs.removeAll(row, in: scope)
        try RepositoryStore.remove(row, in: scope)
    }

    package func head(of did: DID) async throws -> RepositoryHead? {
        try await database.read { scope in
            try RepositoryStore.repository(did, in: scope).map {
                RepositoryHead(did: $0.did, commit: $0.commit, rev: $0.rev, data: $0.data)
            }
        }
    }

    package func figures(of did: DID) async throws -> RepositoryFigures? {
        let blobs = blobs
        return try await database.read { scope in
            guard let row = try RepositoryStore.repository(did, in: scope) else { return nil }
            let usage = try blobs.usage(repository: row.id, in: scope)
            return RepositoryFigures(
                head: RepositoryHead(did: row.did, commit: row.commit, rev: row.rev, data: row.data),
                recordCount: row.recordCount, blockCount: 1 + row.nodeCount + row.recordCount,
                expectedBlobCount: usage.expected, heldBlobCount: usage.held)
        }
    }
}
