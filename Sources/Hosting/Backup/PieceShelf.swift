import Base
import Crypto

/// The pieces of a place while a backup is being made: those that are there, and those that are added.
struct PieceShelf: Sendable {
    let key: SealingKey
    let number: Int
    private let files: any BackupFiles
    private let previous: [UInt8]
    private var known: [PieceName: KnownPiece]
    private(set) var added: [PieceName: KnownPiece] = [:]
    /// What the backup is made of.
    private(set) var used: [PieceName: KnownPiece] = [:]

    /// Reads what earlier backups say, removes what none of them speaks of, and forgets pieces that were lost since, so that
    /// they are written anew.
    /// - Throws: `.damaged` when an earlier backup was changed.
    static func open(_ files: any BackupFiles, _ key: SealingKey) async throws -> PieceShelf {
        let chain = try await BackupChain.load(files, key)
        try chain.confirm()
        var known = chain.pieces
        for path in chain.leftovers { await files.remove(path: path) }
        for stranger in try await files.strangers(Set(known.keys.map(\.path))) {
            try await files.renew()
            await files.remove(path: stranger.path)
        }
        for (name, piece) in known where await files.sizeBytes(name) != piece.sizeBytes { known[name] = nil }
        return PieceShelf(
            key: key, number: (chain.files.last?.number ?? chain.mark?.number ?? 0) + 1, files: files,
            previous: chain.last, known: known)
    }

    private init(
        key: SealingKey, number: Int, files: any BackupFiles, previous: [UInt8], known: [PieceName: KnownPiece]
    ) {
        self.key = key
        self.number = number
        self.files = files
        self.previous = previous
        self.known = known
    }

    func holds(_ name: PieceName) -> Bool { known[name] != nil || added[name] != nil }

    /// Takes a piece that is held for one of this backup's.
    private mutating func use(_ name: PieceName) { used[name] = added[name] ?? known[name] }

    /// Takes pieces for this backup's, if all of them are held.
    mutating func use(all names: [PieceName]) -> Bool {
        guard names.allSatisfy(holds) else { return false }
        for name in names { use(name) }
        return true
    }

    /// Keeps content under a name, unless it is there.
    @discardableResult
    mutating func keep(_ content: [UInt8], as name: PieceName) async throws -> PieceName {
        if !holds(name) {
            let sealed = try PieceSeal.seal(content, for: name.bytes, to: key)
            try await files.write(sealed, as: name)
            added[name] = KnownPiece(sizeBytes: Int64(sealed.count), digest: Array(SHA256.hash(data: sealed)))
        }
        use(name)
        return name
    }

    /// Takes a piece back that was added.
    mutating func drop(_ name: PieceName) async {
        used[name] = nil
        guard added.removeValue(forKey: name) != nil else { return }
        await files.remove(path: name.path)
    }

    /// Begins to gather anew. What was added stays at hand until `publish`.
    mutating func startOver() { used = [:] }

    /// Says that somebody is still at it.
    func renew() async throws { try await files.renew() }

    /// Makes the backup count.
    mutating func publish(_ manifest: BackupManifest) async throws {
        for name in added.keys where used[name] == nil { await drop(name) }
        let head = BackupFile.head(
            number: number, madeAt: manifest.madeAt, key: key, previous: previous, pieces: used, new: added)
        let purpose = Array(SHA256.hash(data: head))
        let sealed = try PieceSeal.seal(manifest.encoded(), for: purpose, to: key)
        try await files.publish(
            number, BackupFile.bytes(head: head, sealedManifest: sealed, key: key), adding: added)
    }
}
