package import ATProtocol
import Storage

/// A repository's row.
package struct RepositoryRow: Sendable, Hashable {
    /// Stable number, in order of creation.
    package var id: Int64
    package var did: DID
    /// The storage generation its records and nodes hang on.
    package var tree: Int64
    package var commit: CID
    package var commitBytes: [UInt8]
    package var rev: TID
    package var data: CID
    package var recordCount: Int64
    /// Nodes of the tree.
    package var nodeCount: Int64
}

/// A stored record.
package struct RecordRow: Sendable, Hashable {
    package var path: String
    package var cid: CID
    /// Canonical DAG-CBOR.
    package var value: [UInt8]
}

/// All SQL on repositories, their records and nodes; see `RepositorySchema`.
package enum RepositoryStore {
    static let repositories = SequenceName("repository.id")
    static let trees = SequenceName("repository.tree")

    private static let columns = "id, did, tree, commit_cid, commit_bytes, rev, data, record_count, node_count"

    // MARK: Reading

    static func repository(_ did: DID, in scope: any ReadScope) throws -> RepositoryRow? {
        try scope.first("SELECT \(columns) FROM repository WHERE did = $1", [.text(did.string)]).map(repository)
    }

    /// Repositories after the one numbered `id`, in order of creation.
    static func repositories(after id: Int64, limit: Int, in scope: any ReadScope) throws -> [RepositoryRow] {
        try scope.query(
            "SELECT \(columns) FROM repository WHERE id > $1 ORDER BY id LIMIT $2", [.integer(id), .integer(limit)]
        ).map(repository)
    }

    /// Whose the repositories numbered `ids` are.
    static func owners(of ids: Set<Int64>, in scope: any ReadScope) throws -> [Int64: DID] {
        var owners: [Int64: DID] = [:]
        for id in ids {
            let row = try scope.first("SELECT did FROM repository WHERE id = $1", [.integer(id)])
            owners[id] = try row.map { try DID(parsing: $0.text(0)) }
        }
        return owners
    }

    /// Repositories with records of `collection` after the one numbered `id`.
    static func repositories(
        with collection: NSID, after id: Int64, limit: Int, in scope: any ReadScope
    ) throws -> [(id: Int64, did: DID)] {
        try scope.query(
            """
            SELECT c.repository, r.did FROM repository_collection c JOIN repository r ON r.id = c.repository
            WHERE c.collection = $1 AND c.repository > $2 ORDER BY c.repository LIMIT $3
            """, [.text(collection.string), .integer(id), .integer(limit)]
        ).map { (try $0.integer(0), try DID(parsing: $0.text(1))) }
    }

    static func collections(of repository: Int64, in scope: any ReadScope) throws -> [String] {
        try scope.query(
            "SELECT collection FROM repository_collection WHERE repository = $1 ORDER BY collection",
            [.integer(repository)]
        ).map { try $0.text(0) }
    }

    static func record(_ path: String, tree: Int64, in scope: any ReadScope) throws -> RecordRow? {
        try scope.first(
            "SELECT path, cid, value FROM record WHERE tree = $1 AND path = $2", [.integer(tree), .text(path)]
        ).map(record)
    }

    /// The record at `path` in the repository of `did`, in one question.
    static func record(_ path: String, did: DID, in scope: any ReadScope) throws -> RecordRow? {
        try scope.first(
            """
            SELECT r.path, r.cid, r.value FROM repository p JOIN record r ON r.tree = p.tree AND r.path = $2
            WHERE p.did = $1
            """, [.text(did.string), .text(path)]
        ).map(record)
    }

    /// A page of a collection's records, by key; `cursor` is the last key of the page before.
    static func records(
        _ collection: NSID, tree: Int64, cursor: String?, isAscending: Bool, limit: Int, in scope: any ReadScope
    ) throws -> [RecordRow] {
        // "0" is the character after "/": the range holds the keys of this collection and no other's.
        let low = isAscending ? cursor.map { "\(collection)/\($0)" } ?? "\(collection)/" : "\(collection)/"
        let high = isAscending ? "\(collection)0" : cursor.map { "\(collection)/\($0)" } ?? "\(collection)0"
        return try scope.query(
            """
            SELECT path, cid, value FROM record WHERE tree = $1 AND path > $2 AND path < $3
            ORDER BY path \(isAscending ? "ASC" : "DESC") LIMIT $4
            """, [.integer(tree), .text(low), .text(high), .integer(limit)]
        ).map(record)
    }

    /// Records of all collections after the path `path`.
    static func records(
        after path: String, tree: Int64, limit: Int, in scope: any ReadScope
    ) throws -> [RecordRow] {
        try scope.query(
            "SELECT path, cid, value FROM record WHERE tree = $1 AND path > $2 ORDER BY path LIMIT $3",
            [.integer(tree), .text(path), .integer(limit)]
        ).map(record)
    }

    /// Calls `body` with every record in order of paths.
    static func forEachRecord(
        tree: Int64, in scope: any ReadScope, _ body: (RecordRow) throws -> Bool
    ) throws {
        try scope.forEach(
            "SELECT path, cid, value FROM record WHERE tree = $1 ORDER BY path", [.integer(tree)]
        ) { try body(record($0)) }
    }

    static func node(_ cid: CID, tree: Int64, in scope: any ReadScope) throws -> TreeNode? {
        let row = try scope.first(
            "SELECT bytes FROM node WHERE tree = $1 AND cid = $2", [.integer(tree), .blob(cid.bytes)])
        return try row.map { try TreeNode(cid: cid, bytes: $0.blob(0)) }
    }

    /// The revision in which a node entered the tree.
    static func nodeRevision(_ cid: CID, tree: Int64, in scope: any ReadScope) throws -> String? {
        try scope.first(
            "SELECT rev FROM node WHERE tree = $1 AND cid = $2", [.integer(tree), .blob(cid.bytes)])?.text(0)
    }

    /// A record with the revision in which it was last written.
    static func recordRevision(
        _ path: String, tree: Int64, in scope: any ReadScope
    ) throws -> (rev: String, value: [UInt8])? {
        try scope.first("SELECT rev, value FROM record WHERE tree = $1 AND path = $2", [.integer(tree), .text(path)])
            .map { (try $0.text(0), try $0.blob(1)) }
    }

    /// The bytes of any block of the tree by CID.
    static func block(_ cid: CID, tree: Int64, in scope: any ReadScope) throws -> [UInt8]? {
        let parameters: [SQLValue] = [.integer(tree), .blob(cid.bytes)]
        if let row = try scope.first("SELECT bytes FROM node WHERE tree = $1 AND cid = $2", parameters) {
            return try row.blob(0)
        }
        return try scope.first("SELECT value FROM record WHERE tree = $1 AND cid = $2 LIMIT 1", parameters)?.blob(0)
    }

    /// The paths of records in `collection` that point at `subject`.
    static func paths(
        _ collection: NSID, subject: String, tree: Int64, in scope: any ReadScope
    ) throws -> [String] {
        try scope.query(
            "SELECT path FROM record_subject WHERE tree = $1 AND collection = $2 AND subject = $3",
            [.integer(tree), .text(collection.string), .text(subject)]
        ).map { try $0.text(0) }
    }

    /// Whether `collection` has any record.
    static func hasRecords(_ collection: String, tree: Int64, in scope: any ReadScope) throws -> Bool {
        try scope.first(
            "SELECT 1 FROM record WHERE tree = $1 AND path > $2 AND path < $3 LIMIT 1",
            [.integer(tree), .text("\(collection)/"), .text("\(collection)0")]) != nil
    }

    private static func repository(_ row: Row) throws -> RepositoryRow {
        RepositoryRow(
            id: try row.integer(0), did: try DID(parsing: row.text(1)), tree: try row.integer(2),
            commit: try CID(bytes: row.blob(3)), commitBytes: try row.blob(4), rev: try TID(parsing: row.text(5)),
            data: try CID(bytes: row.blob(6)), recordCount: try row.integer(7),
            nodeCount: try row.integer(8))
    }

    private static func record(_ row: Row) throws -> RecordRow {
        RecordRow(path: try row.text(0), cid: try CID(bytes: row.blob(1)), value: try row.blob(2))
    }
}
