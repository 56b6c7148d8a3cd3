import ATProtocol
import Base
import Contracts

/// An operation that was checked and encoded.
struct PreparedWrite: Sendable {
    enum Kind: Sendable {
        case create
        case put
        case update
        case delete(mustExist: Bool)
    }

    var kind: Kind
    var path: RepositoryPath
    var key: [UInt8]
    var swap: RecordWrite.Swap
    var cid: CID?
    var bytes: [UInt8] = []
    var blobs: [RecordBlob] = []
    var subject: String?
    var validationStatus: String?
}

/// Limits of one write (https://atproto.com/specs/sync, https://atproto.com/specs/repository).
package enum WriteLimits {
    /// Operations of one commit.
    package static let operationCountMax = 200
    /// A record, encoded.
    package static let recordSizeBytesMax = 1_048_576
    /// The blocks of a `#commit` event.
    package static let blocksSizeBytesMax = 2_000_000
}

/// Steps 3 of the write path: validates and encodes, without any lock.
struct RecordPreparation: Sendable {
    let catalog: LexiconCatalog
    let mode: RecordValidationMode

    /// - Throws: `RepositoryWriteError`.
    func prepare(_ writes: [RecordWrite], newKey: () -> RecordKey) throws(RepositoryWriteError) -> [PreparedWrite] {
        guard !writes.isEmpty else { throw .invalidRequest("writes must not be empty") }
        guard writes.count <= WriteLimits.operationCountMax else {
            throw .invalidRequest("writes: at most \(WriteLimits.operationCountMax) operations are allowed")
        }
        var prepared: [PreparedWrite] = []
        prepared.reserveCapacity(writes.count)
        for write in writes { prepared.append(try prepare(write, newKey: newKey)) }
        if writes.count > 1, Set(prepared.map(\.key)).count != prepared.count {
            throw .invalidRequest("writes: a record may be written once only in one commit")
        }
        var subjects: Set<[String]> = []
        for write in prepared {
            guard let subject = write.subject else { continue }
            guard subjects.insert([write.path.collection.string, subject]).inserted else {
                throw .invalidRequest("writes: two \(write.path.collection) records point at \(subject); one may")
            }
        }
        return prepared
    }

    private func prepare(_ write: RecordWrite, newKey: () -> RecordKey) throws(RepositoryWriteError) -> PreparedWrite {
        let collection = write.collection
        switch write.action {
        case .create(let key, let record):
            return try encode(.create, collection, key ?? newKey(), record, write.swap)
        case .put(let key, let record): return try encode(.put, collection, key, record, write.swap)
        case .update(let key, let record): return try encode(.update, collection, key, record, write.swap)
        case .delete(let key, let mustExist):
            let path = RepositoryPath(collection, key)
            return PreparedWrite(
                kind: .delete(mustExist: mustExist), path: path, key: Array(path.string.utf8), swap: write.swap)
        }
    }

    private func encode(
        _ kind: PreparedWrite.Kind, _ collection: NSID, _ key: RecordKey, _ record: DataValue, _ swap: RecordWrite.Swap
    ) throws(RepositoryWriteError) -> PreparedWrite {
        let validation = catalog.validateRecord(record, collection: collection, key: key, mode: mode)
        let checked: CheckedRecord
        do { checked = try validation.record() } catch { throw RepositoryWriteError(error) }
        let bytes = checked.value.cbor()
        guard bytes.count <= WriteLimits.recordSizeBytesMax else {
            throw .invalidRecord("record: at most \(WriteLimits.recordSizeBytesMax) bytes are allowed")
        }
        let path = RepositoryPath(collection, key)
        let text = path.string
        guard text.utf8.count <= TreeKey.byteCountMax else {
            throw .invalidRequest("rkey: collection and key are longer than \(TreeKey.byteCountMax) bytes together")
        }
        let subject =
            mode == .skipped ? nil : SubjectCollections.subject(of: checked.value, collection: collection.string)
        return PreparedWrite(
            kind: kind, path: path, key: Array(text.utf8), swap: swap, cid: CID.of(dagCBOR: bytes), bytes: bytes,
            blobs: checked.blobs, subject: subject, validationStatus: validation.status)
    }
}
