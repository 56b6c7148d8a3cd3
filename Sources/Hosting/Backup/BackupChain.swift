import Base
import Crypto

/// All backups of a place, each behind the one before it.
struct BackupChain: Sendable {
    /// Those that can be read, in order.
    private(set) var files: [BackupFile] = []
    /// SHA-256 of the last file; empty when there is none.
    private(set) var last: [UInt8] = []
    /// What is wrong with them.
    private(set) var faults: [BackupFault] = []
    /// Files of backups that were removed and are there still, by path.
    private(set) var leftovers: [String] = []
    /// Files among the backups that are none, by path.
    private(set) var others: [String] = []
    /// Up to where backups were removed.
    private(set) var mark: PruneMark?

    /// Reads every backup's file. With a key they have to be of whoever holds it.
    /// - Throws: `.otherKey`, `.newer`; what can't be read at all.
    static func load(_ place: any BackupFiles, _ key: SealingKey? = nil) async throws(BackupError) -> BackupChain {
        var chain = BackupChain()
        try await chain.readMark(place, key)
        let (numbers, others) = try await place.numbers()
        chain.others = others
        let first = chain.mark?.number ?? 0
        chain.last = chain.mark?.digest ?? []
        for number in numbers {
            guard number > first else {
                chain.leftovers.append(BackupFile.path(number))
                continue
            }
            try await chain.readFile(number, place, key)
        }
        return chain
    }

    /// Of a piece that was lost and written anew, the newest.
    var pieces: [PieceName: KnownPiece] {
        var pieces: [PieceName: KnownPiece] = [:]
        for file in files { for (name, piece) in file.pieces { pieces[name] = piece } }
        return pieces
    }

    /// - Throws: the first fault, where there is one.
    func confirm() throws(BackupError) {
        if let fault = faults.first { throw .damaged(fault) }
    }

    private mutating func readMark(_ place: any BackupFiles, _ key: SealingKey?) async throws(BackupError) {
        let path = BackupNames.pruned
        guard let bytes = try await place.read(path, sizeBytesMax: BackupNames.headerSizeBytesMax) else { return }
        mark = PruneMark(bytes)
        if mark == nil { faults.append(.changed(path)) }
        if let mark, let key, mark.encoded(key) != bytes { throw .otherKey }
    }

    private mutating func readFile(
        _ number: Int, _ place: any BackupFiles, _ key: SealingKey?
    ) async throws(BackupError) {
        let path = BackupFile.path(number)
        guard let bytes = try await place.read(path, sizeBytesMax: BackupNames.fileSizeBytesMax) else {
            return faults.append(.missing(path))
        }
        do throws(BackupError) {
            let file = try BackupFile(bytes, path: path)
            if let key {
                guard file.keyFingerprint == key.fingerprint, BackupFile.isAuthentic(bytes, key) else {
                    throw .otherKey
                }
            }
            let isNext = number == (files.last?.number ?? mark?.number ?? 0) + 1
            if !isNext || file.previous != last { faults.append(.unchained(number: number)) }
            files.append(file)
        } catch {
            guard case .damaged(let fault) = error else { throw error }
            faults.append(fault)
        }
        last = Array(SHA256.hash(data: bytes))
    }
}

/// Says that backups up to a number were removed by whoever may, and which was the last of them.
///
/// Three lines: `kith pruned 1, up to NUMBER, DIGEST`, HMAC-SHA256 of it under the authentication key, SHA-256 of both; in
/// hexadecimal.
struct PruneMark: Sendable, Hashable {
    /// The newest backup that is gone.
    let number: Int
    /// SHA-256 of its file.
    let digest: [UInt8]

    init(number: Int, digest: [UInt8]) {
        self.number = number
        self.digest = digest
    }

    /// Nil for any bytes but those that `encoded` gives, whatever the key.
    init?(_ bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        let words = (lines.first ?? "").split(separator: " ")
        guard lines.count == 3, words.count == 7, let number = Int(words[5].dropLast()),
            (1..<BackupFile.numberMax).contains(number), let digest = Hex.decode(String(words[6])), digest.count == 32,
            let code = Hex.decode(lines[1]), code.count == 32
        else { return nil }
        self.init(number: number, digest: digest)
        guard encoded(code: code) == bytes else { return nil }
    }

    func encoded(_ key: SealingKey) -> [UInt8] {
        encoded(
            code: Array(
                HMAC<SHA256>.authenticationCode(for: statement, using: SymmetricKey(data: key.authentication))))
    }

    private var statement: [UInt8] { Array("kith pruned 1, up to \(number), \(Hex.encode(digest))\n".utf8) }

    private func encoded(code: [UInt8]) -> [UInt8] {
        let body = statement + Array("\(Hex.encode(code))\n".utf8)
        return body + Array("\(Hex.encode(Array(SHA256.hash(data: body))))\n".utf8)
    }
}
