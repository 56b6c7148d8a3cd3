package import ATProtocol
import Base
import Contracts
package import Storage

/// Makes archives of repositories.
///
/// A whole export reads records in order of their paths while walking the tree in pre-order, so both meet without a
/// look-up and memory stays O(depth). Spec: https://atproto.com/specs/repository#car-file-serialization
package struct RepositoryExport: RecordProofs {
    let database: any Database

    package init(database: any Database) {
        self.database = database
    }

    /// The archive of the repository's present state: commit, then nodes and records in pre-order.
    ///
    /// - Parameters:
    ///   - since: leaves out what the reader had at that revision already.
    ///   - client: whose share of the database's streams it takes; nil is this server itself.
    package func stream(_ did: DID, since: TID?, for client: String? = nil) async throws -> ByteStream {
        try await database.stream(for: client, .replica) { scope, sink in
            guard let row = try RepositoryStore.repository(did, in: scope) else {
                throw RepositoryReadError.repositoryNotFound
            }
            var head = CARWriter.header(roots: [row.commit])
            CARWriter.append(row.commit, row.commitBytes, to: &head)
            try sink.write(head)
            if let since {
                try Self.writeChanges(of: row, since: since, scope: scope, sink: sink)
            } else {
                try Self.writeAll(of: row, scope: scope, sink: sink)
            }
        }
    }

    private static func writeAll(of row: RepositoryRow, scope: any ReadScope, sink: any ByteSink) throws {
        try LoadingSource(tree: row.tree, scope: scope, memory: .none).reading { source in
            try writeAll(of: row, source: source, scope: scope, sink: sink)
        }
    }

    private static func writeAll(
        of row: RepositoryRow, source: LoadingSource, scope: any ReadScope, sink: any ByteSink
    ) throws {
        var walk = TreeWalk(root: row.data, source: source)
        var block: [UInt8] = []
        /// Writes nodes up to the next entry; false at the end of the tree.
        func writeNodes(expecting record: RecordRow?) throws -> Bool {
            while let step = try walk.next() {
                switch step {
                case .node(let node):
                    block.removeAll(keepingCapacity: true)
                    CARWriter.append(node.cid, node.bytes, to: &block)
                    try sink.write(block)
                case .entry(let key, let cid):
                    guard let record, record.cid == cid, record.path.utf8.elementsEqual(key) else {
                        throw RepositoryError.missingBlock(cid)
                    }
                    return true
                }
            }
            return false
        }
        try RepositoryStore.forEachRecord(tree: row.tree, in: scope) { record in
            guard try writeNodes(expecting: record) else {
                throw RepositoryError.invalidNode("the tree lacks \(record.path)")
            }
            block.removeAll(keepingCapacity: true)
            CARWriter.append(record.cid, record.value, to: &block)
            try sink.write(block)
            return true
        }
        _ = try writeNodes(expecting: nil)
    }

    /// A subtree whose node is not newer than `since` has nothing new below: every change renews the way up.
    private static func writeChanges(
        of row: RepositoryRow, since: TID, scope: any ReadScope, sink: any ByteSink
    ) throws {
        try LoadingSource(tree: row.tree, scope: scope, memory: .none).reading { source in
            try writeChanges(of: row, since: since.string, source: source, scope: scope, sink: sink)
        }
    }

    private static func writeChanges(
        of row: RepositoryRow, since: String, source: LoadingSource, scope: any ReadScope, sink: any ByteSink
    ) throws {
        var walk = TreeWalk(root: row.data, source: source)
        while let step = try walk.next() {
            var block: [UInt8] = []
            switch step {
            case .node(let node):
                let rev = try RepositoryStore.nodeRevision(node.cid, tree: row.tree, in: scope)
                guard let rev, rev > since else {
                    walk.skipNode()
                    continue
                }
                CARWriter.append(node.cid, node.bytes, to: &block)
            case .entry(let key, let cid):
                let path = String(decoding: key, as: UTF8.self)
                guard let found = try RepositoryStore.recordRevision(path, tree: row.tree, in: scope) else {
                    throw RepositoryError.missingBlock(cid)
                }
                guard found.rev > since else { continue }
                CARWriter.append(cid, found.value, to: &block)
            }
            try sink.write(block)
        }
    }

    /// The proof of a record's presence or absence: commit, the nodes on its way and, if there is one, the record.
    ///
    /// - Returns: an archive as `RecordProof` reads it; nil when there is no such repository.
    package func proof(of path: RepositoryPath, in did: DID) async throws -> [UInt8]? {
        try await database.read { scope in
            guard let row = try RepositoryStore.repository(did, in: scope) else { return nil }
            let (nodes, value) = try LoadingSource(tree: row.tree, scope: scope).reading { source in
                try TreeProof.path(to: Array(path.string.utf8), root: row.data, source: source)
            }
            var record: CARBlock?
            if let value {
                guard let stored = try RepositoryStore.record(path.string, tree: row.tree, in: scope),
                    stored.cid == value
                else { throw RepositoryError.missingBlock(value) }
                record = CARBlock(cid: value, bytes: stored.value)
            }
            return RecordProof.archive(
                commit: CARBlock(cid: row.commit, bytes: row.commitBytes), nodes: nodes, record: record)
        }
    }

    /// Blocks that can be asked for at once.
    package static let blockCountMax = 500

    /// Blocks by CID, as an archive without roots.
    ///
    /// - Parameter cids: at most `blockCountMax`.
    /// - Throws: `.invalidRequest` for more; `.blockNotFound` for the first that is not part of the present state.
    package func blocks(_ cids: [CID], of did: DID) async throws -> [UInt8] {
        guard cids.count <= Self.blockCountMax else {
            throw RepositoryReadError.invalidRequest(
                "cids: at most \(Self.blockCountMax) blocks can be asked for at once")
        }
        return try await database.read { scope in
            guard let row = try RepositoryStore.repository(did, in: scope) else {
                throw RepositoryReadError.repositoryNotFound
            }
            var archive = CARWriter.header(roots: [])
            for cid in cids {
                let bytes =
                    if cid == row.commit { row.commitBytes as [UInt8]? } else {
                        try RepositoryStore.block(cid, tree: row.tree, in: scope)
                    }
                guard let bytes else { throw RepositoryReadError.blockNotFound(cid) }
                CARWriter.append(cid, bytes, to: &archive)
            }
            return archive
        }
    }
}

extension RepositoryExport: RepositoryArchives {
    package func archive(of did: DID, for client: String?) async throws -> ByteStream {
        try await stream(did, since: nil, for: client)
    }
}
