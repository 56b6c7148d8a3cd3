import ATProtocol
package import Base
package import Storage

/// Whose data a backup holds.
package struct BackedUpInstance: Sendable, Hashable {
    /// The public name, `host` or `host:port`.
    package var name: String
    /// The identity of the instance itself.
    package var did: String
    /// The program that made the backup.
    package var version: String

    package init(name: String, did: String, version: String) {
        self.name = name
        self.did = did
        self.version = version
    }
}

/// A small file of the secrets directory.
package struct SecretFile: Sendable, Hashable {
    /// Its name, without a directory.
    package var name: String
    package var bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }
}

/// What a backup holds: everything needed to restore it and to prove that nothing is missing. Sealed.
package struct BackupManifest: Sendable {
    /// A table, as `Storage/Transfer` writes it.
    package struct Table: Sendable, Hashable {
        /// Name, rows and digest.
        package var summary: TableSummary
        var description: [UInt8]
        /// The pieces that hold its rows, in order.
        var pieces: [PieceName]
    }

    package var number: Int
    package var madeAt: Timestamp
    package var instance: BackedUpInstance
    /// `sqlite` or `postgresql`: where it came from; it can be restored into either.
    package var engine: String
    package var steps: [SchemaStep]
    /// The number of the newest event.
    package var eventHead: Int64
    package var tables: [Table]
    package var blobCount: Int
    package var blobSizeBytes: Int64
    /// Blobs whose bytes were damaged or gone when the backup was made, by location.
    package var missingBlobs: [String]
    package var secrets: [SecretFile]

    private static let limits = DataLimits(sizeBytesMax: 1 << 30, valueCountMax: 50_000_000)

    func encoded() -> [UInt8] {
        let map: DataMap = [
            "number": .integer(Int64(number)), "madeAt": .integer(madeAt.microseconds), "engine": .string(engine),
            "instance": [
                "name": .string(instance.name), "did": .string(instance.did), "version": .string(instance.version),
            ],
            "steps": .array(
                steps.map {
                    ["room": .string($0.room), "number": .integer(Int64($0.number)), "digest": .bytes($0.digest)]
                }),
            "eventHead": .integer(eventHead),
            "tables": .array(
                tables.map { table in
                    [
                        "name": .string(table.summary.table), "rows": .integer(table.summary.rowCount),
                        "digest": .bytes(table.summary.digest), "description": .bytes(table.description),
                        "pieces": .bytes(table.pieces.flatMap(\.bytes)),
                    ]
                }),
            "blobCount": .integer(Int64(blobCount)), "blobSizeBytes": .integer(blobSizeBytes),
            "missingBlobs": .array(missingBlobs.map { .string($0) }),
            "secrets": .array(secrets.map { ["name": .string($0.name), "bytes": .bytes($0.bytes)] }),
        ]
        return DataValue.map(map).cbor()
    }

    /// - Throws: `.damaged(.inconsistent)` for any bytes that `encoded` doesn't give.
    init(_ bytes: [UInt8]) throws(BackupError) {
        let wrong = BackupError.damaged(.inconsistent("the manifest can't be read"))
        guard let value = try? DataValue(cbor: bytes, limits: Self.limits), let number = value["number"]?.integerValue,
            let madeAt = value["madeAt"]?.integerValue, let engine = value["engine"]?.stringValue,
            let instance = value["instance"], let name = instance["name"]?.stringValue,
            let did = instance["did"]?.stringValue, let version = instance["version"]?.stringValue,
            let eventHead = value["eventHead"]?.integerValue, let blobCount = value["blobCount"]?.integerValue,
            let blobSizeBytes = value["blobSizeBytes"]?.integerValue
        else { throw wrong }
        self.number = Int(number)
        self.madeAt = Timestamp(microseconds: madeAt)
        self.engine = engine
        self.instance = BackedUpInstance(name: name, did: did, version: version)
        self.eventHead = eventHead
        self.blobCount = Int(blobCount)
        self.blobSizeBytes = blobSizeBytes
        missingBlobs = (value["missingBlobs"]?.arrayValue ?? []).compactMap(\.stringValue)
        steps = try Self.all(value["steps"], wrong) { step in
            guard let room = step["room"]?.stringValue, let number = step["number"]?.integerValue,
                let digest = step["digest"]?.bytesValue
            else { return nil }
            return SchemaStep(room: room, number: Int(number), digest: digest)
        }
        tables = try Self.all(value["tables"], wrong, Self.table)
        secrets = try Self.all(value["secrets"], wrong) { secret in
            guard let name = secret["name"]?.stringValue, let bytes = secret["bytes"]?.bytesValue else { return nil }
            return SecretFile(name: name, bytes: bytes)
        }
    }

    init(
        number: Int, madeAt: Timestamp, instance: BackedUpInstance, engine: String, snapshot: SavedSnapshot,
        blobs: SavedBlobs, secrets: [SecretFile]
    ) {
        self.number = number
        self.madeAt = madeAt
        self.instance = instance
        self.engine = engine
        steps = snapshot.steps
        eventHead = snapshot.eventHead
        tables = snapshot.tables
        blobCount = blobs.count
        blobSizeBytes = blobs.sizeBytes
        missingBlobs = blobs.missing
        self.secrets = secrets
    }

    private static func table(_ value: DataValue) -> Table? {
        guard let name = value["name"]?.stringValue, let rows = value["rows"]?.integerValue,
            let digest = value["digest"]?.bytesValue, digest.count == 32,
            let description = value["description"]?.bytesValue, let names = value["pieces"]?.bytesValue,
            names.count % PieceName.byteCount == 0
        else { return nil }
        let pieces = stride(from: 0, to: names.count, by: PieceName.byteCount)
            .compactMap { PieceName(bytes: names[$0..<($0 + PieceName.byteCount)]) }
        return Table(
            summary: .remembered(table: name, rowCount: rows, digest: digest), description: description,
            pieces: pieces)
    }

    private static func all<T>(
        _ value: DataValue?, _ error: BackupError, _ read: (DataValue) -> T?
    ) throws(BackupError) -> [T] {
        var found: [T] = []
        for item in value?.arrayValue ?? [] {
            guard let one = read(item) else { throw error }
            found.append(one)
        }
        return found
    }
}

/// What was kept of the database.
struct SavedSnapshot: Sendable {
    var steps: [SchemaStep] = []
    var eventHead: Int64 = 0
    var tables: [BackupManifest.Table] = []
    /// Every blob whose bytes belong to this state: location and size.
    var blobs: [ListedHolding] = []
}

/// A blob's place and size, as the snapshot tells it.
struct ListedHolding: Sendable, Hashable {
    var location: BlobLocation
    var sizeBytes: Int64
}

/// What was kept of the blobs.
struct SavedBlobs: Sendable {
    var count = 0
    var sizeBytes: Int64 = 0
    var missing: [String] = []
}
