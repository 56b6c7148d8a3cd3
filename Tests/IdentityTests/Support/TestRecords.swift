import ATProtocol
import Contracts
import Identity
import Storage
import Synchronization

/// People's records in memory; whoever writes owns them.
final class TestRecords: PersonalRecords {
    private let database: any Database
    private let observer: any RecordObserver = ExternalKeyProjection()
    private let records = Mutex<[DID: [String: StoredRecord]]>([:])
    /// Run before each write: what somebody else does at the same moment.
    let meanwhile = Mutex<@Sendable () -> Void>({})

    init(database: any Database) { self.database = database }

    func record(at path: RepositoryPath, of did: DID) async throws -> StoredRecord? {
        records.withLock { $0[did]?[path.string] }
    }

    func collections(of did: DID) async throws -> [NSID] {
        Set(records.withLock { $0[did, default: [:]].values.map(\.path.collection) }).sorted { $0.string < $1.string }
    }

    func put(
        _ value: DataValue, at path: RepositoryPath, replacing expected: RecordExpectation, by caller: Caller
    ) async throws -> CID {
        guard let did = caller.did else { throw RecordConflict() }
        let act = meanwhile.withLock { action in
            defer { action = {} }
            return action
        }
        act()
        let cid = try records.withLock { records in
            let present = records[did]?[path.string]?.cid
            switch expected {
            case .anything: break
            case .absent: guard present == nil else { throw RecordConflict() }
            case .record(let cid): guard present == cid else { throw RecordConflict() }
            }
            let cid = CID.of(dagCBOR: value.cbor())
            records[did, default: [:]][path.string] = StoredRecord(path: path, cid: cid, value: value)
            return cid
        }
        try await tell(ObservedRecord(path: path, cid: cid, value: value), did)
        return cid
    }

    private func tell(_ record: ObservedRecord, _ did: DID) async throws {
        guard observer.collections.contains(record.path.collection) else { return }
        try await database.write { [observer] in try observer.observe([record], of: did, in: $0) }
    }

    /// Writes as somebody who asks for nothing.
    func write(_ value: DataValue, at path: String, of did: DID) throws {
        let path = try RepositoryPath(parsing: path)
        records.withLock {
            $0[did, default: [:]][path.string] = StoredRecord(
                path: path, cid: CID.of(dagCBOR: value.cbor()), value: value)
        }
    }

    func remove(at path: RepositoryPath, by caller: Caller) async throws -> Bool {
        guard let did = caller.did else { return false }
        guard records.withLock({ $0[did]?.removeValue(forKey: path.string) != nil }) else { return false }
        try await tell(ObservedRecord(path: path, cid: nil, value: nil), did)
        return true
    }

    func dump(_ did: DID, head: [UInt8], tail: [UInt8], for client: String) async throws -> ByteStream {
        let count = records.withLock { $0[did]?.count ?? 0 }
        return try await database.stream(for: client) { _, sink in
            try sink.write(head + Array(#"{"records":\#(count)}"#.utf8) + tail)
        }
    }
}
