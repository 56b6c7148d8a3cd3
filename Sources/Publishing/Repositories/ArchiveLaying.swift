import ATProtocol
import Dispatch
import Storage
import Synchronization

/// A record of an archive as it is laid down.
struct ImportedRecord: Sendable {
    var path: String
    var collection: String
    var cid: CID
    /// Canonical DAG-CBOR.
    var bytes: [UInt8]
    /// What the record points at, for the collections where one target may be pointed at once.
    var subject: String?
    /// The blobs it mentions, each once.
    var blobs: Set<CID>

    init(path: String, cid: CID, bytes: [UInt8], value: DataValue) {
        self.path = path
        collection = String(path.prefix { $0 != "/" })
        self.cid = cid
        self.bytes = bytes
        subject = SubjectCollections.subject(of: value, collection: collection)
        blobs = Set(RecordShape.blobs(in: value)).filter { $0.codec == .raw }
    }
}

/// Verifies the tree of a spooled archive and lays it beside the present one, on the thread that calls `run`.
///
/// Records are handed on in batches, each one small transaction so that other writes are not held up; while one is
/// stored the next is verified. A fault found late leaves a tree that nobody refers to and that is disposed of.
struct ArchiveLaying: Sendable {
    let database: any Database
    let blobs: BlobLedger
    let spool: ArchiveSpool
    /// The root of the tree in the archive.
    let root: CID
    /// The tree to lay down.
    let tree: Int64
    /// The revision that its nodes and records get.
    let rev: TID
    /// Raised when nobody waits for the outcome any more.
    let stop: ImportStop

    /// What was laid down.
    struct Counts: Sendable {
        var records = 0
        var nodes = 0
        var collections: Set<String> = []
    }

    private struct Batch: Sendable {
        var nodes: [TreeNode] = []
        var records: [ImportedRecord] = []
        var sizeBytes = 0

        static let countMax = 500
        static let sizeBytesMax = 4 << 20

        var isFull: Bool {
            records.count >= Self.countMax || nodes.count >= Self.countMax || sizeBytes >= Self.sizeBytesMax
        }
    }

    /// - Throws: `RepositoryError` for the first fault of the archive; storage errors; `CancellationError`. Nothing of
    ///   it is on its way to disk any more then.
    func run() throws -> Counts {
        let underway = BatchesUnderway(database)
        do {
            let counts = try layAll(underway)
            try underway.finish()
            return counts
        } catch {
            try? underway.finish()
            throw error
        }
    }

    private func layAll(_ underway: BatchesUnderway) throws -> Counts {
        var counts = Counts()
        var batch = Batch()
        let verification = RepositoryVerification(source: spool)
        counts.records = try verification.tree(
            root: root,
            nodes: { node in
                counts.nodes += 1
                batch.nodes.append(node)
                batch.sizeBytes += node.bytes.count
                try handOn(&batch, underway)
            },
            records: { path, cid, bytes in
                let value = try verifyRecord(bytes, path: path)
                if let type = value["$type"], type.stringValue != path.collection.string {
                    throw RepositoryError.invalidRecord(path: path.string, reason: "its $type is not its collection")
                }
                counts.collections.insert(path.collection.string)
                batch.records.append(ImportedRecord(path: path.string, cid: cid, bytes: bytes, value: value))
                batch.sizeBytes += bytes.count
                try handOn(&batch, underway)
            })
        try store(batch, underway)
        return counts
    }

    private func handOn(_ batch: inout Batch, _ underway: BatchesUnderway) throws {
        guard batch.isFull else { return }
        try store(batch, underway)
        batch = Batch()
    }

    private func store(_ batch: Batch, _ underway: BatchesUnderway) throws {
        if stop.isRaised { throw CancellationError() }
        let (blobs, tree, rev) = (blobs, tree, rev)
        try underway.submit { scope in
            try RepositoryStore.insert(batch.nodes, tree: tree, rev: rev, in: scope)
            for record in batch.records {
                try RepositoryStore.insert(record, tree: tree, rev: rev, in: scope)
                for cid in record.blobs { try blobs.mention(cid, path: record.path, tree: tree, in: scope) }
            }
        }
    }
}

/// Batches on their way to disk: few, so that verifying and storing go side by side in bounded memory.
private final class BatchesUnderway: Sendable {
    private static let countMax = 2

    private let database: any Database
    private let room = DispatchSemaphore(value: countMax)
    private let failure = Mutex<(any Error)?>(nil)

    init(_ database: any Database) {
        self.database = database
    }

    /// Hands a batch to the committer; waits while too many are underway.
    ///
    /// - Throws: what an earlier batch failed with.
    func submit(_ body: @escaping @Sendable (any WriteScope) throws -> Void) throws {
        room.wait()
        if let failure = failure.withLock({ $0 }) {
            room.signal()
            throw failure
        }
        database.submit(body) { [self] result in
            if case .failure(let error) = result { failure.withLock { $0 = $0 ?? error } }
            room.signal()
        }
    }

    /// Waits until every batch is on disk, or has failed.
    func finish() throws {
        for _ in 0..<Self.countMax { room.wait() }
        for _ in 0..<Self.countMax { room.signal() }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }
}

/// Says that nobody waits for an import any more.
final class ImportStop: Sendable {
    private let raised = Atomic(false)

    var isRaised: Bool { raised.load(ordering: .relaxed) }

    func raise() { raised.store(true, ordering: .relaxed) }
}
