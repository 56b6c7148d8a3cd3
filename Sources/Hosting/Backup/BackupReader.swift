import ATProtocol
import Base
import Contracts
import Crypto
import Storage

/// Reads a folder of backups. Believes nothing it hasn't checked.
package struct BackupReader: Sendable {
    let directory: BackupDirectory
    /// Every finished backup, in order.
    let files: [BackupFile]
    /// What lies under each name; of a piece that was lost and written anew, the newest.
    let pieces: [PieceName: KnownPiece]
    /// Faults of the backups' own files.
    let faults: [BackupFault]

    /// No piece is larger: a row may be.
    static let pieceSizeBytesMax = 512 << 20

    /// Opens the folder; faults of single backups are kept for `BackupInspection`.
    /// - Throws: `.notABackup`, `.inUse`, `.newer`; `.absent` when there is no backup that can be read.
    package static func open(_ directory: BackupDirectory) async throws -> BackupReader {
        try await directory.open()
        var files: [BackupFile] = []
        var faults: [BackupFault] = []
        var previous: [UInt8] = []
        let (numbers, others) = try await directory.numbers()
        for number in numbers {
            let bytes = try await directory.backup(number)
            do {
                let file = try BackupFile(bytes, path: BackupFile.path(number))
                let isNext = number == (files.last?.number ?? 0) + 1
                if !isNext || (file.previous != previous) { faults.append(.unchained(number: number)) }
                files.append(file)
            } catch {
                guard case .damaged(let fault) = error else { throw error }
                faults.append(fault)
            }
            previous = Array(SHA256.hash(data: bytes))
        }
        faults += others.map { .additional($0) }
        guard !files.isEmpty || !faults.isEmpty else { throw BackupError.absent(number: nil) }
        var pieces: [PieceName: KnownPiece] = [:]
        for file in files { for (name, piece) in file.pieces { pieces[name] = piece } }
        return BackupReader(directory: directory, files: files, pieces: pieces, faults: faults)
    }

    /// Lets go of the folder.
    package func close() async { await directory.close() }

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
        let bytes = try await directory.backup(file.number)
        guard BackupFile.isAuthentic(bytes, key.sealing) else { throw .damaged(.changed(path)) }
        let manifest = try BackupManifest(
            PieceSeal.open(file.sealedManifest, for: file.purpose, with: key, path: path))
        guard manifest.number == file.number, manifest.madeAt == file.madeAt else {
            throw .damaged(.unchained(number: file.number))
        }
        return manifest
    }

    /// The sealed bytes of a piece, as its backup names them.
    func sealed(_ name: PieceName) async throws(BackupError) -> [UInt8] {
        guard let piece = pieces[name] else { throw .damaged(.inconsistent("no backup names the piece \(name)")) }
        guard let size = await directory.sizeBytes(name) else { throw .damaged(.missing(name.path)) }
        guard size == piece.sizeBytes else { throw .damaged(.changed(name.path)) }
        let bytes = try await directory.piece(name, sizeBytesMax: Self.pieceSizeBytesMax)
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
