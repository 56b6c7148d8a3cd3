package import Base
package import Storage

/// Where backups lie: a folder of this machine, or a bucket. Sealed pieces, so that neither need be trusted.
///
///     kith-backup       one line: the format and whose key it is sealed to
///     lock              says who makes or removes backups at present
///     backups/000001    one file a backup (`BackupFile`)
///     pruned            up to which number backups were removed (`PruneMark`)
///     pieces/ab/abcd…   sealed pieces, shared by all backups
///
/// A backup counts from the moment its file is there; by then all its pieces are.
package struct BackupPlace: Sendable {
    let files: any BackupFiles

    /// - Parameter path: of a folder; nothing is read or made yet.
    package static func folder(_ path: String) -> BackupPlace { BackupPlace(files: BackupDirectory(path)) }

    /// - Parameters:
    ///   - store: a bucket and a prefix that nothing else uses; closed by whoever opened it.
    ///   - clock: tells a lock that was left behind from one that is held.
    package static func bucket(
        _ store: S3ObjectStore, clock: any WallClock, randomness: any Randomness
    ) -> BackupPlace {
        BackupPlace(files: BackupBucket(store, clock: clock, randomness: randomness))
    }

    /// Lets go of the lock. Can be repeated, and has to be where the first attempt was cancelled.
    package func close() async { await files.close() }
}

/// A file in a place of backups.
struct PlacedFile: Sendable, Hashable {
    /// Its path in the place.
    let path: String
    let sizeBytes: Int64
}

/// The files of one place. `begin` or `open` comes first.
protocol BackupFiles: Sendable {
    /// Takes the place for one that makes or removes backups, making it if it isn't there.
    /// - Throws: `.notABackup` when it holds something else; `.otherKey`, `.inUse`.
    func begin(_ key: SealingKey) async throws(BackupError)

    /// Opens the place for reading.
    /// - Throws: `.notABackup`; `.inUse` while a backup is being made, where that can be told for sure.
    func open() async throws(BackupError)

    /// Says that the one who took the place is still at it; called often.
    /// - Throws: `.inUse` when somebody else has taken it.
    func renew() async throws(BackupError)

    /// Lets go of the lock. Can be repeated.
    func close() async

    /// What is wrong with the line of the place.
    func checkHeader(_ fingerprint: String) async throws(BackupError) -> [BackupFault]

    /// The numbers of all files of backups, in order; and what else lies among them, by path.
    func numbers() async throws(BackupError) -> (numbers: [Int], others: [String])

    /// The bytes of a small file; nil when there is none.
    func read(_ path: String, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]?

    /// Puts a small file in place of an older one, at once and durably.
    func replace(_ path: String, by bytes: [UInt8]) async throws(BackupError)

    /// Makes a backup count: its pieces are durable, then its file gets its name.
    func publish(_ number: Int, _ bytes: [UInt8], adding pieces: [PieceName: KnownPiece]) async throws(BackupError)

    /// Keeps a piece; durable once a backup that adds it is published.
    func write(_ bytes: [UInt8], as name: PieceName) async throws(BackupError)

    /// Nil when there is none.
    func piece(_ name: PieceName, sizeBytesMax: Int) async throws(BackupError) -> [UInt8]?

    /// The size of a piece's file, or nil when there is none.
    func sizeBytes(_ name: PieceName) async -> Int64?

    /// Removes a file, if it can. What stays is found as a stranger.
    func remove(path: String) async

    /// Every file below `pieces` that is no piece of `known`.
    func strangers(_ known: Set<String>) async throws(BackupError) -> [PlacedFile]

    /// What lies in the place itself and doesn't belong there.
    func looseFiles() async throws(BackupError) -> [String]
}

/// The names of the files that aren't pieces or backups.
enum BackupNames {
    static let header = "kith-backup"
    static let lock = "lock"
    static let incoming = "incoming"
    static let pruned = "pruned"
    /// Bytes of a backup's file: some millions of pieces.
    static let fileSizeBytesMax = 1 << 30
    static let headerSizeBytesMax = 4096

    /// The line of a place whose backups are sealed to this key.
    static func line(_ fingerprint: String) -> [UInt8] { Array("kith backup 1, sealed to \(fingerprint)\n".utf8) }

    /// Why a place with another line isn't ours.
    static func headerFault(_ line: [UInt8]) -> BackupError {
        let words = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        let isOurs = words.count == 6 && line == Self.line(String(words[5]))
        return isOurs ? .otherKey : .damaged(.changed(header))
    }

    /// The number of a backup by the path of its file.
    static func number(_ path: String) -> Int? {
        guard let number = Int(path.dropFirst("backups/".count)), BackupFile.path(number) == path else { return nil }
        return number
    }
}
