package import ATProtocol
package import Base
package import Contracts
package import Storage

/// Checks a hosted repository, and makes its tree anew from its records: for operators, after damage.
package struct RepositoryRebuild: Sendable {
    let database: any Database
    let log: EventLog
    let writer: RepositoryWriter
    let accounts: any Accounts
    let keys: any SigningKeys
    let clock: any WallClock

    package init(
        database: any Database, log: EventLog, writer: RepositoryWriter, accounts: any Accounts,
        keys: any SigningKeys, clock: any WallClock
    ) {
        self.database = database
        self.log = log
        self.writer = writer
        self.accounts = accounts
        self.keys = keys
        self.clock = clock
    }

    /// What a check found.
    package struct Report: Sendable, Hashable {
        package var did: DID
        package var recordCount: Int
        /// The root that the head commits to.
        package var storedData: CID
        /// The root of the tree over the stored records.
        package var computedData: CID
        /// Nodes that the tree needs and that are not stored, or stored wrong.
        package var missingNodeCount: Int
        /// Records whose bytes do not hash to their CID.
        package var damagedRecords: [String]
        /// Whether the head's signature verifies under the account's key.
        package var isSigned: Bool

        package var isSound: Bool {
            storedData == computedData && missingNodeCount == 0 && damagedRecords.isEmpty && isSigned
        }
    }

    private static let pageCount = 500

    /// Compares the stored tree with the one its records give.
    ///
    /// - Parameter progress: receives records seen and records in all.
    /// - Throws: `RepositoryWriteError.contended` when the repository changes while it is looked at.
    package func check(
        _ did: DID, progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) async throws -> Report {
        let row = try await row(of: did)
        let signer = try await keys.signer(for: did)
        var damaged: [String] = []
        var missing = 0
        let (data, count) = try await build(row, progress: progress) { records, nodes in
            damaged += records.filter { CID.of(dagCBOR: $0.value) != $0.cid }.map(\.path)
            missing += try await self.database.read { scope in
                try nodes.filter { try RepositoryStore.block($0.cid, tree: row.tree, in: scope) != $0.bytes }.count
            }
        }
        guard try await self.row(of: did).rev == row.rev else { throw RepositoryWriteError.contended }
        let commit = try? Commit(bytes: row.commitBytes)
        return Report(
            did: did, recordCount: count, storedData: row.data, computedData: data, missingNodeCount: missing,
            damagedRecords: damaged,
            isSigned: commit.map { $0.cid == row.commit && $0.isSigned(by: signer.publicKey) } ?? false)
    }

    /// Checks every repository in turn; for a database that nobody changes meanwhile.
    ///
    /// - Parameter checked: told each report; nil where the account's key isn't here to check the signature with.
    package func checkAll(_ checked: (DID, Report?) throws -> Void) async throws {
        var last = Int64.min
        while true {
            let cursor = last
            let page = try await database.read {
                try RepositoryStore.repositories(after: cursor, limit: Self.pageCount, in: $0)
            }
            for row in page {
                do {
                    try checked(row.did, try await check(row.did))
                } catch SigningKeyError.notInCustody {
                    try checked(row.did, nil)
                }
            }
            guard let newest = page.last?.id, page.count == Self.pageCount else { return }
            last = newest
        }
    }

    /// Lays a tree over the stored records beside the present one, signs it and puts it in its place.
    ///
    /// Damaged records cannot be made whole; they are left out and named. For an active account `#sync` is logged.
    /// - Returns: the new head and the paths left out.
    package func rebuild(
        _ did: DID, progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) async throws -> (head: RepositoryHead, leftOut: [String]) {
        let before = try await row(of: did)
        let now = clock.now()
        let tree = try await database.write { try RepositoryStore.beginTree(now: now, in: $0) }
        do {
            return try await rebuild(before, as: tree, progress: progress)
        } catch {
            // If even this fails, the tree is found by its age.
            try? await database.write { try RepositoryStore.dispose(tree, in: $0) }
            throw error
        }
    }

    private func rebuild(
        _ before: RepositoryRow, as tree: Int64, progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws -> (head: RepositoryHead, leftOut: [String]) {
        let did = before.did
        let signer = try await keys.signer(for: did)
        let now = clock.now()
        var generator = TIDGenerator(clockID: 0, last: before.rev)
        let rev = generator.next(now: now)
        var leftOut: [String] = []
        var collections: Set<String> = []
        var nodeCount = 0
        let (data, count) = try await build(before, dropsDamaged: true, progress: progress) { records, nodes in
            let sound = records.filter { CID.of(dagCBOR: $0.value) == $0.cid }
            leftOut += records.filter { CID.of(dagCBOR: $0.value) != $0.cid }.map(\.path)
            for record in sound { collections.insert(String(record.path.prefix { $0 != "/" })) }
            nodeCount += nodes.count
            let imported = sound.map(Self.imported)
            try await self.database.append { scope in
                try RepositoryStore.insert(nodes, tree: tree, rev: rev, in: scope)
                for record in imported { try RepositoryStore.insert(record, tree: tree, rev: rev, in: scope) }
            }
        }
        let commit = try Commit(did: did, rev: rev, data: data, signer: signer)
        try await adopt(
            tree: tree, commit: commit, counts: (count, nodeCount), collections: collections, leftOut: leftOut,
            before: before)
        writer.forget(did)
        return (RepositoryHead(did: did, commit: commit.cid, rev: rev, data: data), leftOut)
    }

    /// A stored record as it is laid down anew. One that is no record of the data model keeps its bytes, but points nowhere.
    private static func imported(_ row: RecordRow) -> ImportedRecord {
        ImportedRecord(
            path: row.path, cid: row.cid, bytes: row.value, value: (try? DataValue(cbor: row.value)) ?? .null)
    }

    private func adopt(
        tree: Int64, commit: Commit, counts: (records: Int, nodes: Int), collections: Set<String>,
        leftOut: [String], before: RepositoryRow
    ) async throws {
        let (log, accounts, rules, now) = (log, accounts, writer.rules, clock.now())
        try await database.write { scope in
            guard
                try RepositoryStore.adopt(
                    tree, commit: commit, recordCount: counts.records, nodeCount: counts.nodes, over: before, in: scope)
            else { throw RepositoryWriteError.contended }
            try RepositoryStore.replaceCollections(collections, repository: before.id, in: scope)
            let ledger = BlobLedger()
            try ledger.copyMentions(from: before.tree, to: tree, leftOut: leftOut, in: scope)
            try ledger.recountExpected(repository: before.id, tree: tree, in: scope)
            try rules.retell(tree: tree, of: before.did, in: scope)
            guard try accounts.standing(of: before.did, in: scope)?.status == .approved else { return }
            var blocks = CARWriter.header(roots: [commit.cid])
            CARWriter.append(commit.cid, commit.bytes, to: &blocks)
            let sync = FirehoseSync(did: commit.did, rev: commit.rev, blocks: blocks, time: Datetime(now))
            _ = try log.append(
                LogEntry(did: commit.did, kind: .sync, time: now, frame: FirehoseEvent.sync(sync).prepared()),
                in: scope)
        }
    }

    private func row(of did: DID) async throws -> RepositoryRow {
        guard let row = try await database.read({ try RepositoryStore.repository(did, in: $0) }) else {
            throw RepositoryReadError.repositoryNotFound
        }
        return row
    }

    /// Goes through all records in pages and builds the tree over them.
    private func build(
        _ row: RepositoryRow, dropsDamaged: Bool = false, progress: @Sendable (Int, Int) -> Void,
        page: ([RecordRow], [TreeNode]) async throws -> Void
    ) async throws -> (data: CID, count: Int) {
        var pending: [TreeNode] = []
        let collector = NodeCollector()
        var builder = TreeBuilder { collector.nodes.append($0) }
        var last = ""
        var count = 0
        while true {
            let cursor = last
            let records = try await database.read {
                try RepositoryStore.records(after: cursor, tree: row.tree, limit: Self.pageCount, in: $0)
            }
            for record in records where !dropsDamaged || CID.of(dagCBOR: record.value) == record.cid {
                try builder.append(Array(record.path.utf8), record.cid)
                count += 1
            }
            let isLast = records.count < Self.pageCount
            let data = isLast ? try builder.finish() : nil
            pending = collector.nodes
            collector.nodes = []
            try await page(records, pending)
            progress(count, Int(row.recordCount))
            if let data { return (data, count) }
            last = records.last?.path ?? last
        }
    }

    private final class NodeCollector {
        var nodes: [TreeNode] = []
    }
}
