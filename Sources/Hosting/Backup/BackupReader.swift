import ATProtocol
import Base
import Contracts
import Crypto
import Storage

/// Reads a place of backups. Believes nothing it hasn't checked.
package struct BackupReader: Sendable {
    let place: any BackupFiles
    let chain: BackupChain
    /// What lies under each name; of a piece that was lost and written anew, the newest.
    let pieces: [PieceName: KnownPiece]

    /// No piece is larger: a row may be.
    static let pieceSizeBytesMax = 512 << 20

    init(files: any BackupFiles, chain: BackupChain) {
        place = files
        self.chain = chain
        pieces = chain.pieces
    }

    /// Opens the place; faults of single backups are kept for `BackupInspection`.
    /// - Throws: `.notABackup`, `.inUse`, `.newer`; `.absent` when there is no backup that can be read.
    package static func open(_ place: BackupPlace) async throws -> BackupReader {
        try await place.files.open()
        let chain = try await BackupChain.load(place.files)
        guard !chain.files.isEmpty || !chain.faults.isEmpty || !chain.others.isEmpty else {
            throw BackupError.absent(number: nil)
        }
        return BackupReader(files: place.files, chain: chain)
    }

    /// Every finished backup, in order.
    var files: [BackupFile] { chain.files }

    /// Faults of the backups' own files.
    var faults: [BackupFault] { chain.faults + (chain.leftovers + chain.others).map { .additional($0) } }

    /// Lets go of the place.
    package func close() async { await place.close() }

    /// What can be told without a key.
    package var outlines: [BackupOutline] { files.map(\.outline) }

    // MARK: With the recovery key

    /// The manifest of a backup; nil is the newest.
    /// - Throws: `.absent`, `.otherKey`, `.damaged`.
    package func manifest(_ number: Int?, _ key: RecoveryKey) async throws(BackupError) -> BackupManifest {
        guard let file = number.map({ number in files.first { $0.number == number } }) ?? files.last else {
            if let fault = faults.first { throw .damaged(fault) }
            throw .absent(number: number)
        }
        guard file.keyFingerprint == key.sealing.fingerprint else { throw .otherKey }
        let path = BackupFile.path(file.number)
        guard let bytes = try await place.read(path, sizeBytesMax: BackupNames.fileSizeBytesMax) else {
            throw .damaged(.missing(path))
        }
        guard BackupFile.isAuthentic(bytes, key.sealing) else { throw .damaged(.changed(path)) }
        let manifest = try BackupManifest(
            PieceSeal.open(file.sealedManifest, for: file.purpose, with: key, path: path))
        guard manifest.number == file.number, manifest.madeAt == file.madeAt else {
            throw .damaged(.unchained(number: file.number))
        }
        let names = Set(file.pieces.map(\.name))
        guard manifest.tables.allSatisfy({ $0.pieces.allSatisfy(names.contains) }) else {
            throw .damaged(.inconsistent("backup \(file.number) doesn't name all its pieces"))
        }
        return manifest
    }

    /// The sealed bytes of a piece, as its backup names them.
    func sealed(_ name: PieceName) async throws(BackupError) -> [UInt8] {
        guard let piece = pieces[name] else { throw .damaged(.inconsistent("no backup names the piece \(name)")) }
        guard let size = await place.sizeBytes(name) else { throw .damaged(.missing(name.path)) }
        guard size == piece.sizeBytes else { throw .damaged(.changed(name.path)) }
        guard let bytes = try await place.piece(name, sizeBytesMax: Self.pieceSizeBytesMax) else {
            throw .damaged(.missing(name.path))
        }
        guard Array(SHA256.hash(data: bytes)) == piece.digest else { throw .damaged(.changed(name.path)) }
        return bytes
    }

    /// The content of a piece.
    func content(_ name: PieceName, _ key: RecoveryKey) async throws(BackupError) -> [UInt8] {
        try PieceSeal.open(try await sealed(name), for: name.bytes, with: key, path: name.path)
    }

    /// The tables of a backup as `TransferLoader` takes them.
    func tables(
        _ manifest: BackupManifest, _ key: RecoveryKey, progress: @escaping @Sendable (BackupProgress) -> Void
    ) -> TableBytes {
        TableBytes(reader: self, manifest: manifest, key: key, progress: progress)
    }

    /// The bytes of a blob, whose hash the caller checks.
    func blob(_ blob: HeldBlob, _ key: RecoveryKey) -> BlobPieces {
        BlobPieces(reader: self, key: key, names: BlobParts.names(blob.cid, sizeBytes: blob.sizeBytes, key.sealing))
    }
}

/// The tables of a backup, read piece by piece.
struct TableBytes: AsyncSequence, Sendable {
    typealias Element = [UInt8]

    let reader: BackupReader
    let manifest: BackupManifest
    let key: RecoveryKey
    let progress: @Sendable (BackupProgress) -> Void

    func makeAsyncIterator() -> Iterator { Iterator(source: self) }

    struct Iterator: AsyncIteratorProtocol {
        let source: TableBytes
        private var table = 0
        private var piece = -1
        private var done: Int64 = 0

        init(source: TableBytes) {
            self.source = source
        }

        mutating func next() async throws -> [UInt8]? {
            let tables = source.manifest.tables
            guard table < tables.count else {
                guard table == tables.count else { return nil }
                table += 1
                return TransferRows.end(tableCount: tables.count)
            }
            let present = tables[table]
            defer { piece += 1 }
            if piece < 0 { return TransferRows.table(present.description) }
            if piece == present.pieces.count {
                (table, piece) = (table + 1, -2)
                return TransferRows.tableEnd(present.summary)
            }
            let name = present.pieces[piece]
            let content = try await source.reader.content(name, source.key)
            guard PieceName.table(present.summary.table, content: content, source.key.sealing) == name else {
                throw BackupError.damaged(.unsealable(name.path))
            }
            done += Int64(content.count)
            source.progress(BackupProgress(.database, done: done))
            return try TransferRows.group(content)
        }
    }
}

/// A blob's bytes, part by part.
struct BlobPieces: AsyncSequence, Sendable {
    typealias Element = [UInt8]

    let reader: BackupReader
    let key: RecoveryKey
    let names: [PieceName]

    func makeAsyncIterator() -> Iterator { Iterator(source: self) }

    struct Iterator: AsyncIteratorProtocol {
        let source: BlobPieces
        private var part = 0

        init(source: BlobPieces) {
            self.source = source
        }

        mutating func next() async throws -> [UInt8]? {
            guard part < source.names.count else { return nil }
            defer { part += 1 }
            return try await source.reader.content(source.names[part], source.key)
        }
    }
}
