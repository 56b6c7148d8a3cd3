import ATProtocol
package import Base
import Crypto
import Foundation

/// What can be told of one backup without the recovery key.
package struct BackupOutline: Sendable, Hashable {
    /// 1, 2, 3 … within the folder.
    package let number: Int
    package let madeAt: Timestamp
    /// Pieces that this backup is made of, and their bytes.
    package let pieceCount: Int
    package let sizeBytes: Int64
    /// Those that it added to what was there, and their bytes.
    package let newPieceCount: Int
    package let newSizeBytes: Int64
    /// Whose recovery key opens it (`SealingKey.fingerprint`).
    package let keyFingerprint: String
}

/// A piece as a backup names it: what lies under which name.
struct KnownPiece: Sendable, Hashable {
    let sizeBytes: Int64
    /// SHA-256 of the sealed bytes.
    let digest: [UInt8]
}

/// The file of one backup, `backups/000001`: which pieces it is made of, and the sealed manifest.
///
/// CBOR array `["kith backup 1", number, time, key fingerprint, digest of the backup before, pieces added, their bytes,
/// [name ‖ size ‖ digest …], sealed manifest]`, then 32 bytes of HMAC-SHA256 under the authentication key and 32 of
/// SHA-256, each over all before it. Names are in order. The manifest is sealed for the digest of what stands before it.
///
/// It names all pieces and not only the new ones, so that whoever has only the sealing key can tell what may go.
struct BackupFile: Sendable {
    static let format = "kith backup 1"
    static let pieceBytes = PieceName.byteCount + 8 + 32
    private static let trailerBytes = 64
    /// Backups of a folder.
    static let numberMax = 999_999

    let number: Int
    let madeAt: Timestamp
    let keyFingerprint: String
    /// SHA-256 of the whole file of the backup before; empty for the first.
    let previous: [UInt8]
    let newPieceCount: Int
    let newSizeBytes: Int64
    let pieces: [(name: PieceName, piece: KnownPiece)]
    let sealedManifest: [UInt8]
    /// What the manifest is sealed for.
    let purpose: [UInt8]

    static func path(_ number: Int) -> String {
        let digits = String(number)
        return "backups/" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// What stands before the manifest.
    static func head(
        number: Int, madeAt: Timestamp, key: SealingKey, previous: [UInt8], pieces: [PieceName: KnownPiece],
        new: [PieceName: KnownPiece]
    ) -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: pieces.count * pieceBytes + 256)
        writer.array(count: 9)
        writer.text(format)
        writer.integer(Int64(number))
        writer.integer(madeAt.microseconds)
        writer.text(key.fingerprint)
        writer.byteString(previous)
        writer.integer(Int64(new.count))
        writer.integer(new.values.reduce(0) { $0 + $1.sizeBytes })
        var list: [UInt8] = []
        list.reserveCapacity(pieces.count * pieceBytes)
        for (name, piece) in pieces.sorted(by: { $0.key < $1.key }) {
            list += name.bytes
            withUnsafeBytes(of: piece.sizeBytes.bigEndian) { list += $0 }
            list += piece.digest
        }
        writer.byteString(list)
        return writer.bytes
    }

    /// The whole file.
    static func bytes(head: [UInt8], sealedManifest: [UInt8], key: SealingKey) -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: head.count + sealedManifest.count + 128)
        writer.bytes = head
        writer.byteString(sealedManifest)
        let sealed = writer.bytes + code(writer.bytes, key)
        return sealed + Array(SHA256.hash(data: sealed))
    }

    /// Reads a file; its outer hash must be right.
    init(_ bytes: [UInt8], path: String) throws(BackupError) {
        let changed = BackupError.damaged(.changed(path))
        guard bytes.count > Self.trailerBytes else { throw changed }
        let body = bytes.prefix(bytes.count - Self.trailerBytes)
        guard Array(SHA256.hash(data: bytes.dropLast(32))) == Array(bytes.suffix(32)) else { throw changed }
        do {
            var reader = CBORReader(Array(body))
            guard try reader.arrayCount() == 9 else { throw changed }
            let format = try reader.text()
            guard format == Self.format else { throw BackupError.newer(format) }
            number = Int(try reader.integer())
            madeAt = Timestamp(microseconds: try reader.integer())
            keyFingerprint = try reader.text()
            previous = Array(try reader.byteString())
            newPieceCount = Int(try reader.integer())
            newSizeBytes = try reader.integer()
            pieces = try Self.pieces(try reader.byteString(), changed)
            purpose = Array(SHA256.hash(data: body.prefix(reader.position)))
            sealedManifest = Array(try reader.byteString())
            try reader.finish()
        } catch let error as BackupError {
            throw error
        } catch {
            throw changed
        }
        guard (1...Self.numberMax).contains(number), Self.path(number) == path else {
            throw .damaged(.unchained(number: number))
        }
    }

    /// Whether whoever holds the key wrote these bytes.
    static func isAuthentic(_ bytes: [UInt8], _ key: SealingKey) -> Bool {
        let body = bytes.prefix(max(0, bytes.count - trailerBytes))
        return HMAC<SHA256>.isValidAuthenticationCode(
            bytes.dropFirst(body.count).prefix(32), authenticating: body,
            using: SymmetricKey(data: key.authentication))
    }

    var outline: BackupOutline {
        BackupOutline(
            number: number, madeAt: madeAt, pieceCount: pieces.count,
            sizeBytes: pieces.reduce(0) { $0 + $1.piece.sizeBytes }, newPieceCount: newPieceCount,
            newSizeBytes: newSizeBytes, keyFingerprint: keyFingerprint)
    }

    private static func pieces(
        _ list: ArraySlice<UInt8>, _ changed: BackupError
    ) throws(BackupError) -> [(name: PieceName, piece: KnownPiece)] {
        guard list.count % pieceBytes == 0 else { throw changed }
        var pieces: [(name: PieceName, piece: KnownPiece)] = []
        pieces.reserveCapacity(list.count / pieceBytes)
        for start in stride(from: list.startIndex, to: list.endIndex, by: pieceBytes) {
            let middle = start + PieceName.byteCount
            guard let name = PieceName(bytes: list[start..<middle]) else { throw changed }
            if let last = pieces.last, last.name >= name { throw changed }
            let size = list[middle..<(middle + 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let digest = Array(list[(middle + 8)..<(start + pieceBytes)])
            pieces.append((name, KnownPiece(sizeBytes: Int64(clamping: size), digest: digest)))
        }
        return pieces
    }

    private static func code(_ body: [UInt8], _ key: SealingKey) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: key.authentication)))
    }
}
