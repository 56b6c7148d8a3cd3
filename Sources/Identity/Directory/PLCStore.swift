import ATProtocol
import Base
import Storage

/// The SQL of the embedded directory.
enum PLCStore {
    private static let sequence = SequenceName("plc.operation")

    /// An operation as the export tells it.
    struct Exported: Sendable, Hashable {
        var did: DID
        var seq: Int64
        var entry: PLCLog.Entry
    }

    /// The log of `did`; without operations when it isn't registered here.
    static func log(of did: DID, in scope: any ReadScope) throws -> PLCLog {
        let rows = try scope.query(
            "SELECT operation, received_at, nullified FROM plc_operation WHERE did = $1 ORDER BY position",
            [.text(did.string)])
        return PLCLog(did: did, trusted: try rows.map { try entry($0, from: 0) })
    }

    /// Whether the directory knows the DID.
    static func knows(_ did: DID, in scope: any ReadScope) throws(StorageError) -> Bool {
        try scope.first("SELECT 1 FROM plc_operation WHERE did = $1 AND position = 0", [.text(did.string)]) != nil
    }

    /// The moment of the newest operation of all, which the next one must be after, so that the export has no ties.
    static func newest(in scope: any ReadScope) throws(StorageError) -> Timestamp? {
        try scope.first("SELECT received_at FROM plc_operation ORDER BY received_at DESC LIMIT 1")
            .map { (row) throws(StorageError) in Timestamp(microseconds: try row.integer(0)) }
    }

    /// Writes the last entry of `log`, and the marks of those it undoes.
    static func append(_ log: PLCLog, undone: [CID], in scope: any WriteScope) throws(StorageError) {
        guard let head = log.head else { return }
        let seq = try scope.advance(sequence, by: 1)
        try scope.execute(
            """
            INSERT INTO plc_operation (did, position, seq, received_at, nullified, operation)
            VALUES ($1, $2, $3, $4, 0, $5)
            """,
            [
                .text(log.did.string), .integer(log.entries.count - 1), .integer(seq),
                .integer(head.receivedAt.microseconds), .blob(head.operation.bytes),
            ])
        guard !undone.isEmpty else { return }
        for (position, entry) in log.entries.enumerated() where undone.contains(entry.operation.cid) {
            try scope.execute(
                "UPDATE plc_operation SET nullified = 1 WHERE did = $1 AND position = $2",
                [.text(log.did.string), .integer(position)])
        }
    }

    /// Operations of all identities after a moment, in order of time.
    static func export(after: Timestamp?, limit: Int, in scope: any ReadScope) throws -> [Exported] {
        try exported(
            "received_at > $1 ORDER BY received_at", .integer(after?.microseconds ?? .min), limit, in: scope)
    }

    /// Operations of all identities after a sequence number, in that order.
    static func export(afterSeq seq: Int64, limit: Int, in scope: any ReadScope) throws -> [Exported] {
        try exported("seq > $1 ORDER BY seq", .integer(seq), limit, in: scope)
    }

    private static func exported(
        _ clause: String, _ parameter: SQLValue, _ limit: Int, in scope: any ReadScope
    ) throws -> [Exported] {
        try scope.query(
            "SELECT did, seq, operation, received_at, nullified FROM plc_operation WHERE \(clause) LIMIT $2",
            [parameter, .integer(limit)]
        ).map { row in
            Exported(did: try DID(parsing: row.text(0)), seq: try row.integer(1), entry: try entry(row, from: 2))
        }
    }

    // MARK: Waiting

    /// Keeps the first operation of an identity that nobody is to know of yet.
    static func keepWaiting(_ operation: PLCOperation, for did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "INSERT INTO plc_waiting (did, operation) VALUES ($1, $2)",
            [.text(did.string), .blob(operation.bytes)])
    }

    static func waiting(_ did: DID, in scope: any ReadScope) throws -> PLCOperation? {
        try scope.first("SELECT operation FROM plc_waiting WHERE did = $1", [.text(did.string)])
            .map { try PLCOperation(DataValue(cbor: $0.blob(0))) }
    }

    static func removeWaiting(_ did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM plc_waiting WHERE did = $1", [.text(did.string)])
    }

    private static func entry(_ row: Row, from column: Int) throws -> PLCLog.Entry {
        PLCLog.Entry(
            operation: try PLCOperation(DataValue(cbor: row.blob(column))),
            receivedAt: Timestamp(microseconds: try row.integer(column + 1)),
            isNullified: try row.boolean(column + 2))
    }
}
