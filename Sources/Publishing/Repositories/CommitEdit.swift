import ATProtocol
import Base
import Contracts
import Storage

/// The head of a repository as the writer holds it in memory, with the tree nodes that edits touch.
struct RepositoryTip: Sendable {
    var id: Int64
    var tree: Int64
    var commit: CID
    var rev: TID
    var data: CID
    /// Nodes of the present tree only. Thrown away with the tip when a commit fails.
    var nodes = TreeNodeSet()
    /// Collections that have records.
    var collections: Set<String>

    /// More nodes than this are forgotten after a commit; the next edit loads what it needs.
    static let nodeCountMax = 2048
}

/// Steps 4 and 5 of the write path: edits the tree and signs the commit. Pure but for the signer.
struct CommitEdit: Sendable {
    let did: DID
    let signer: any RepositorySigner
    let writes: [PreparedWrite]
    let now: Timestamp
    let rev: TID

    /// A signed commit and what it changes; nil when nothing had to change.
    struct Outcome: Sendable {
        var change: RepositoryChange
        var frame: PreparedFrame
        /// Nodes loaded on the way that are still part of the tree.
        var nodes: TreeNodeSet
    }

    /// - Throws: `RepositoryError.missingBlock` when `nodes` lacks one; `RepositoryWriteError` for what the state forbids.
    func apply(to tip: RepositoryTip, source: some TreeNodeSource) throws -> Outcome? {
        var editor = try TreeEditor(root: tip.data, source: source)
        var changes: [RecordChange] = []
        var operations: [FirehoseOperation] = []
        for write in writes {
            let previous = try apply(write, to: &editor)
            guard previous != write.cid else { continue }
            changes.append(
                RecordChange(
                    path: write.path.string, collection: write.path.collection.string, cid: write.cid,
                    value: write.bytes, previous: previous, subject: write.subject, blobs: write.blobs))
            operations.append(FirehoseOperation(path: write.path, action: action(write.cid, previous)))
        }
        guard !changes.isEmpty else { return nil }
        let edit = editor.finish()
        let commit = try Commit(did: did, rev: rev, data: edit.root, signer: signer)
        let overlay = Overlay(created: TreeNodeSet(edit.created), base: source)
        let changedKeys = writes.filter { write in changes.contains { $0.path == write.path.string } }.map(\.key)
        let proof = try TreeProof.covering(keys: changedKeys, root: edit.root, source: overlay)
        let blocks = try blocks(commit: commit, created: edit.created, proof: proof, changes: changes)
        let frame = FirehoseEvent.commit(
            FirehoseCommit(
                repository: did, commit: commit.cid, rev: rev, since: tip.rev, previousData: tip.data, blocks: blocks,
                operations: operations, time: Datetime(now))
        ).prepared()
        var nodes = TreeNodeSet(proof)
        for node in edit.created { nodes.insert(node) }
        return Outcome(
            change: RepositoryChange(
                id: tip.id, tree: tip.tree, previous: tip.commit, commit: commit, createdNodes: edit.created,
                removedNodes: edit.removed, writes: changes),
            frame: frame, nodes: nodes)
    }

    private func apply(
        _ write: PreparedWrite, to editor: inout TreeEditor<some TreeNodeSource>
    ) throws -> CID? {
        let previous: CID?
        if let cid = write.cid {
            previous = try editor.put(write.key, cid)
        } else {
            previous = try editor.delete(write.key)
        }
        switch write.swap {
        case .anything: break
        case .absent:
            if let previous {
                throw RepositoryWriteError.invalidSwap("The record was expected to be absent, but is \(previous).")
            }
        case .record(let expected):
            guard previous == expected else {
                throw RepositoryWriteError.invalidSwap(
                    "The record was expected to be \(expected), but is \(previous?.string ?? "absent").")
            }
        }
        switch write.kind {
        case .create where previous != nil: throw RepositoryWriteError.recordAlreadyExists(path: write.path.string)
        case .update where previous == nil, .delete(mustExist: true) where previous == nil:
            throw RepositoryWriteError.recordNotFound(path: write.path.string)
        default: return previous
        }
    }

    private func action(_ cid: CID?, _ previous: CID?) -> FirehoseOperation.Action {
        guard let cid else { return .delete(previous: previous) }
        return previous == nil ? .create(cid) : .update(cid, previous: previous)
    }

    private func blocks(
        commit: Commit, created: [TreeNode], proof: [TreeNode], changes: [RecordChange]
    ) throws -> [UInt8] {
        var archive = CARWriter.header(roots: [commit.cid])
        archive.reserveCapacity(4096)
        CARWriter.append(commit.cid, commit.bytes, to: &archive)
        var seen: Set<CID> = []
        for node in proof where seen.insert(node.cid).inserted {
            CARWriter.append(node.cid, node.bytes, to: &archive)
        }
        for node in created where seen.insert(node.cid).inserted {
            CARWriter.append(node.cid, node.bytes, to: &archive)
        }
        for change in changes {
            guard let cid = change.cid, seen.insert(cid).inserted else { continue }
            CARWriter.append(cid, change.value, to: &archive)
        }
        guard archive.count <= WriteLimits.blocksSizeBytesMax else {
            throw RepositoryWriteError.invalidRequest(
                "The commit's blocks would be \(archive.count) bytes; \(WriteLimits.blocksSizeBytesMax) are allowed.")
        }
        return archive
    }

    /// New nodes over those of the tree before.
    private struct Overlay<Base: TreeNodeSource>: TreeNodeSource {
        let created: TreeNodeSet
        let base: Base

        func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
            if let node = created.nodes[cid] { return node }
            return try base.node(cid)
        }
    }
}

/// Nodes from memory first, then from the database. Lives inside one read.
final class LoadingSource: TreeNodeSource {
    /// What is done with the nodes that were loaded.
    enum Memory {
        /// They are found again, and in `loaded`.
        case kept
        /// A walk needs each only while it stands on it.
        case none
    }

    private let cached: TreeNodeSet
    private let tree: Int64
    private let scope: any ReadScope
    private let memory: Memory
    private(set) var loaded = TreeNodeSet()
    /// Why the database could not be asked: no fault of the tree.
    private var failure: (any Error)?

    init(cached: TreeNodeSet = TreeNodeSet(), tree: Int64, scope: any ReadScope, memory: Memory = .kept) {
        self.cached = cached
        self.tree = tree
        self.scope = scope
        self.memory = memory
    }

    /// Runs what asks for nodes; what the database failed with comes before what followed from it.
    func reading<T>(_ body: (LoadingSource) throws -> T) throws -> T {
        do { return try body(self) } catch { throw failure ?? error }
    }

    func node(_ cid: CID) throws(RepositoryError) -> TreeNode {
        if let node = cached.nodes[cid] ?? loaded.nodes[cid] { return node }
        let found: TreeNode?
        do { found = try RepositoryStore.node(cid, tree: tree, in: scope) } catch let error as RepositoryError {
            throw error
        } catch {
            failure = error
            throw .missingBlock(cid)
        }
        guard let node = found else { throw .missingBlock(cid) }
        if memory == .kept { loaded.insert(node) }
        return node
    }
}
