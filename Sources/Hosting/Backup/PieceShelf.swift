import Base
import Crypto

/// The pieces of a folder while a backup is being made: those that are there, and those that are added.
struct PieceShelf: Sendable {
    let key: SealingKey
    let number: Int
    private let directory: BackupDirectory
    private let previous: [UInt8]
    private var known: [PieceName: KnownPiece]
    private(set) var added: [PieceName: KnownPiece] = [:]

    /// Reads what earlier backups say, removes what none of them speaks of, and forgets pieces that were lost since, so that
    /// they are written anew.
    /// - Throws: `.damaged` when an earlier backup was changed.
    static func open(_ directory: BackupDirectory, _ key: SealingKey) async throws -> PieceShelf {
        var previous: [UInt8] = []
        var known: [PieceName: KnownPiece] = [:]
        let (numbers, _) = try await directory.numbers()
        for (index, number) in numbers.enumerated() {
            let bytes = try await directory.backup(number)
            let file = try BackupFile(bytes, path: BackupFile.path(number))
            guard file.keyFingerprint == key.fingerprint, BackupFile.isAuthentic(bytes, key) else {
                throw BackupError.otherKey
            }
            guard number == index + 1, file.previous == previous else {
                throw BackupError.damaged(.unchained(number: number))
            }
            for (name, piece) in file.pieces { known[name] = piece }
            previous = Array(SHA256.hash(data: bytes))
        }
        for path in try await directory.strangers(Set(known.keys.map(\.path))) { await directory.remove(path: path) }
        for (name, piece) in known where await directory.sizeBytes(name) != piece.sizeBytes { known[name] = nil }
        return PieceShelf(
            key: key, number: numbers.count + 1, directory: directory, previous: previous, known: known)
    }

    private init(
        key: SealingKey, number: Int, directory: BackupDirectory, previous: [UInt8], known: [PieceName: KnownPiece]
    ) {
        self.key = key
        self.number = number
        self.directory = directory
        self.previous = previous
        self.known = known
    }

    func holds(_ name: PieceName) -> Bool { known[name] != nil || added[name] != nil }

    /// Keeps content under a name, unless it is there.
    @discardableResult
    mutating func keep(_ content: [UInt8], as name: PieceName) async throws -> PieceName {
        if holds(name) { return name }
        let sealed = try PieceSeal.seal(content, for: name.bytes, to: key)
        try await directory.write(sealed, as: name)
        added[name] = KnownPiece(sizeBytes: Int64(sealed.count), digest: Array(SHA256.hash(data: sealed)))
        return name
    }

    /// Takes a piece back that was added.
    mutating func drop(_ name: PieceName) async {
        guard added.removeValue(forKey: name) != nil else { return }
        await directory.remove(name)
    }

    /// Makes the backup count.
    func publish(_ manifest: BackupManifest) async throws {
        let head = BackupFile.head(
            number: number, madeAt: manifest.madeAt, key: key, previous: previous, pieces: added)
        let purpose = Array(SHA256.hash(data: head))
        let sealed = try PieceSeal.seal(manifest.encoded(), for: purpose, to: key)
        try await directory.publish(
            number, BackupFile.bytes(head: head, sealedManifest: sealed, key: key), adding: Array(added.keys))
    }
}
