import ATProtocol
import Base
import Storage

/// What a commit changes in the tables.
struct RepositoryChange: Sendable {
    var id: Int64
    var tree: Int64
    /// The commit it was made on, which must still be the head. Not its revision: two processes may give the same one to
    /// two commits on one head.
    var previous: CID
    var commit: Commit
    var createdNodes: [TreeNode]
    var removedNodes: [CID]
    var writes: [RecordChange]
}

/// What a commit does to one record.
struct RecordChange: Sendable {
    var path: String
    var collection: String
    /// The record after the commit; nil for a deletion.
    var cid: CID?
    var value: [UInt8] = []
    /// The record before the commit; nil for a creation.
    var previous: CID?
    /// What the record points at, for the collections where one target may be pointed at once.
    var subject: String?
    var blobs: [RecordBlob] = []
}

extension RepositoryStore {
    /// Inserts a repository over the empty tree; returns its id and tree.
    static func insert(_ commit: Commit, now: Timestamp, in scope: any WriteScope) throws -> (id: Int64, tree: Int64) {
        let id = try scope.advance(repositories, by: 1)
        let tree = try scope.advance(trees, by: 1)
        try scope.execute(
            """
            INSERT INTO repository
                (id, did, tree, commit_cid, commit_bytes, rev, data, record_count, node_count, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 1, $8)
            """,
            [
                .integer(id), .text(commit.did.string), .integer(tree), .blob(commit.cid.bytes), .blob(commit.bytes),
                .text(commit.rev.string), .blob(commit.data.bytes), .integer(now.microseconds),
            ])
        try insert(TreeNode.empty, tree: tree, rev: commit.rev, in: scope)
        return (id, tree)
    }

    /// Moves the head, if it is still where the commit was made on; false when it is not, and nothing was changed.
    static func moveHead(
        _ change: RepositoryChange, isCurrent: Bool = false, in scope: any WriteScope
    ) throws -> Bool {
        var records: Int64 = 0
        for write in change.writes { records += (write.cid == nil ? 0 : 1) - (write.previous == nil ? 0 : 1) }
        let nodes = change.createdNodes.count - change.removedNodes.count
        let commit = change.commit
        let update = """
            UPDATE repository SET commit_cid = $3, commit_bytes = $4, rev = $5, data = $6,
                record_count = record_count + $7, node_count = node_count + $8
            WHERE id = $1 AND commit_cid = $2 AND tree = $9
            """
        let values: [SQLValue] = [
            .integer(change.id), .blob(change.previous.bytes), .blob(commit.cid.bytes), .blob(commit.bytes),
            .text(commit.rev.string), .blob(commit.data.bytes), .integer(records), .integer(nodes),
            .integer(change.tree),
        ]
        guard scope.isRemote else { return try scope.execute(update, values) == 1 }
        // Asked ahead, the question costs no time, and the statement can be sent without waiting for what it did.
        guard try isCurrent || isHead(of: change.id, change.previous, tree: change.tree, in: scope) else {
            return false
        }
        try scope.enqueueForOneRow(update, values)
        return true
    }

    /// Whether a repository stands at this commit and tree.
    static func isHead(of id: Int64, _ commit: CID, tree: Int64, in scope: any ReadScope) throws -> Bool {
        guard let row = try scope.first("SELECT commit_cid, tree FROM repository WHERE id = $1", [.integer(id)]) else {
            return false
        }
        return try row.blob(0) == commit.bytes && row.integer(1) == tree
    }

    /// Stores the records of a commit whose head was moved.
    static func storeRecords(_ change: RepositoryChange, in scope: any WriteScope) throws {
        for write in change.writes {
            let key: [SQLValue] = [.integer(change.tree), .text(write.path)]
            if let cid = write.cid {
                try scope.enqueue(
                    """
                    INSERT INTO record (tree, path, cid, rev, value) VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (tree, path) DO UPDATE
                        SET cid = excluded.cid, rev = excluded.rev, value = excluded.value
                    """, key + [.blob(cid.bytes), .text(change.commit.rev.string), .blob(write.value)])
            } else {
                try scope.enqueue("DELETE FROM record WHERE tree = $1 AND path = $2", key)
            }
            try storeSubject(write, tree: change.tree, in: scope)
        }
    }

    private static func storeSubject(_ write: RecordChange, tree: Int64, in scope: any WriteScope) throws {
        guard SubjectCollections.contains(write.collection) else { return }
        if write.previous != nil {
            try scope.enqueue(
                "DELETE FROM record_subject WHERE tree = $1 AND path = $2", [.integer(tree), .text(write.path)])
        }
        if let subject = write.subject {
            try scope.enqueue(
                """
                INSERT INTO record_subject (tree, collection, subject, path) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING
                """, [.integer(tree), .text(write.collection), .text(subject), .text(write.path)])
        }
    }

    static func insert(_ node: TreeNode, tree: Int64, rev: TID, in scope: any WriteScope) throws {
        try scope.enqueue(
            """
            INSERT INTO node (tree, cid, rev, bytes) VALUES ($1, $2, $3, $4)
            ON CONFLICT (tree, cid) DO UPDATE SET rev = excluded.rev
            """, [.integer(tree), .blob(node.cid.bytes), .text(rev.string), .blob(node.bytes)])
    }

    static func insert(_ nodes: [TreeNode], tree: Int64, rev: TID, in scope: any WriteScope) throws {
        for node in nodes { try insert(node, tree: tree, rev: rev, in: scope) }
    }

    static func removeNode(_ cid: CID, tree: Int64, in scope: any WriteScope) throws {
        try scope.enqueue("DELETE FROM node WHERE tree = $1 AND cid = $2", [.integer(tree), .blob(cid.bytes)])
    }

    static func addCollection(_ collection: String, repository: Int64, in scope: any WriteScope) throws {
        try scope.enqueue(
            "INSERT INTO repository_collection (repository, collection) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            [.integer(repository), .text(collection)])
    }

    static func removeCollection(_ collection: String, repository: Int64, in scope: any WriteScope) throws {
        try scope.enqueue(
            "DELETE FROM repository_collection WHERE repository = $1 AND collection = $2",
            [.integer(repository), .text(collection)])
    }

    // MARK: Whole trees

    /// Begins a tree beside the present one; it is disposed of unless `adopt` takes it up.
    static func beginTree(now: Timestamp, in scope: any WriteScope) throws -> Int64 {
        let tree = try scope.advance(trees, by: 1)
        try scope.execute(
            "INSERT INTO tree_disposal (tree, is_retired, begun_at) VALUES ($1, 0, $2)",
            [.integer(tree), .integer(now.microseconds)])
        return tree
    }

    /// Lays one record of an import down.
    static func insert(_ record: ImportedRecord, tree: Int64, rev: TID, in scope: any WriteScope) throws {
        try scope.enqueue(
            "INSERT INTO record (tree, path, cid, rev, value) VALUES ($1, $2, $3, $4, $5)",
            [.integer(tree), .text(record.path), .blob(record.cid.bytes), .text(rev.string), .blob(record.bytes)])
        guard let subject = record.subject else { return }
        try scope.enqueue(
            """
            INSERT INTO record_subject (tree, collection, subject, path) VALUES ($1, $2, $3, $4)
            ON CONFLICT DO NOTHING
            """, [.integer(tree), .text(record.collection), .text(subject), .text(record.path)])
    }

    /// Puts a tree in the place of the present one; false when the head moved meanwhile, or the tree was given up for
    /// abandoned, and nothing was changed.
    static func adopt(
        _ tree: Int64, commit: Commit, recordCount: Int, nodeCount: Int, over previous: RepositoryRow,
        in scope: any WriteScope
    ) throws -> Bool {
        let isWhole = try scope.first(
            "SELECT 1 FROM tree_disposal WHERE tree = $1 AND is_retired = 0", [.integer(tree)])
        guard isWhole != nil else { return false }
        let moved = try scope.execute(
            """
            UPDATE repository SET tree = $3, commit_cid = $4, commit_bytes = $5, rev = $6, data = $7,
                record_count = $8, node_count = $9
            WHERE id = $1 AND commit_cid = $2
            """,
            [
                .integer(previous.id), .blob(previous.commit.bytes), .integer(tree), .blob(commit.cid.bytes),
                .blob(commit.bytes), .text(commit.rev.string), .blob(commit.data.bytes), .integer(recordCount),
                .integer(nodeCount),
            ])
        guard moved == 1 else { return false }
        try scope.execute("DELETE FROM tree_disposal WHERE tree = $1", [.integer(tree)])
        try dispose(previous.tree, in: scope)
        return true
    }

    /// Marks a tree for removal by the background loop.
    static func dispose(_ tree: Int64, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO tree_disposal (tree, is_retired, begun_at) VALUES ($1, 1, 0)
            ON CONFLICT (tree) DO UPDATE SET is_retired = 1
            """, [.integer(tree)])
    }

    static func replaceCollections(
        _ collections: some Sequence<String>, repository: Int64, in scope: any WriteScope
    ) throws {
        try scope.execute("DELETE FROM repository_collection WHERE repository = $1", [.integer(repository)])
        for collection in collections { try addCollection(collection, repository: repository, in: scope) }
    }

    /// Removes a repository's row; its tree follows by the background loop.
    static func remove(_ row: RepositoryRow, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM repository_collection WHERE repository = $1", [.integer(row.id)])
        try scope.execute("DELETE FROM repository WHERE id = $1", [.integer(row.id)])
        try dispose(row.tree, in: scope)
    }

    /// A tree that waits for removal, or nil.
    static func nextDisposal(in scope: any ReadScope) throws -> Int64? {
        try scope.first("SELECT tree FROM tree_disposal WHERE is_retired = 1 ORDER BY tree LIMIT 1")?.integer(0)
    }

    /// Gives up trees begun before `moment` and never adopted: whoever laid them down has ended.
    static func retireAbandoned(before moment: Timestamp, in scope: any WriteScope) throws {
        try scope.execute(
            "UPDATE tree_disposal SET is_retired = 1 WHERE is_retired = 0 AND begun_at < $1",
            [.integer(moment.microseconds)])
    }

    /// Removes up to `limit` rows of a disposed tree from each table; returns how many.
    static func removeBatch(tree: Int64, limit: Int, in scope: any WriteScope) throws -> Int {
        var removed = 0
        for (table, column) in [("record", "path"), ("node", "cid"), ("record_subject", "path")] {
            removed += try scope.execute(
                """
                DELETE FROM \(table) WHERE tree = $1 AND \(column) IN
                    (SELECT \(column) FROM \(table) WHERE tree = $1 LIMIT $2)
                """, [.integer(tree), .integer(limit)])
        }
        return removed
    }

    /// Strikes a tree of which nothing is left off the list.
    static func disposed(tree: Int64, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM tree_disposal WHERE tree = $1", [.integer(tree)])
    }
}

/// Collections in which one target may be pointed at by one record only: a second like replaces the first.
///
/// As the reference server does (https://github.com/bluesky-social/atproto, packages/pds, back-links).
enum SubjectCollections {
    private static let names: Set<String> = [
        "app.bsky.feed.like", "app.bsky.feed.repost", "app.bsky.graph.follow", "app.bsky.graph.block",
    ]

    static func contains(_ collection: String) -> Bool {
        names.contains(collection)
    }

    /// What `record` points at: the URI of a strong reference, or a DID.
    static func subject(of record: DataValue, collection: String) -> String? {
        guard contains(collection), let subject = record["subject"] else { return nil }
        return subject.stringValue ?? subject["uri"]?.stringValue
    }
}
