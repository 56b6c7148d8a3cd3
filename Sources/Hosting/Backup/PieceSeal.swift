import Base
import Crypto
import Foundation

/// The name of a piece: a keyed hash of what it holds, so that nobody without the key learns that two backups, or a
/// backup and a file in hand, hold the same.
struct PieceName: Sendable, Hashable, Comparable, CustomStringConvertible {
    static let byteCount = 32

    let bytes: [UInt8]

    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    private init(_ key: SealingKey, _ message: [UInt8]) {
        let code = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: key.naming))
        bytes = Array(code)
    }

    /// A piece of a table, by its content.
    static func table(_ name: String, content: [UInt8], _ key: SealingKey) -> PieceName {
        PieceName(key, [1] + Array(SHA256.hash(data: Array(name.utf8))) + Array(SHA256.hash(data: content)))
    }

    /// A part of a blob, by the blob's CID: it can be told from a row whether the bytes are there already.
    static func blob(_ cid: [UInt8], part: Int, _ key: SealingKey) -> PieceName {
        PieceName(key, [2] + withUnsafeBytes(of: UInt64(part).bigEndian) { Array($0) } + cid)
    }

    /// Where it lies among the backups.
    var path: String { "\(folder)/\(description)" }

    /// The folder in which it lies.
    var folder: String { "pieces/\(description.prefix(2))" }

    var description: String { Base32.encode(bytes) }

    static func < (left: PieceName, right: PieceName) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// Seals bytes to the recovery key, so that the one who seals can't open.
///
/// `"KBP1" ‖ encapsulated key (32) ‖ ciphertext ‖ tag (16)`: HPKE (RFC 9180) with X25519, HKDF-SHA256 and AES-256-GCM, mode
/// PSK: the pre-shared key shows that a server with the sealing key made it. The purpose is authenticated with it. What is
/// sealed is `length (8) ‖ content ‖ zeros`, filled up as Padmé does (https://arxiv.org/abs/1806.03160, section 4) so that
/// sizes tell little.
enum PieceSeal {
    private static let magic = Array("KBP1".utf8)
    private static let suite = HPKE.Ciphersuite(kem: .Curve25519_HKDF_SHA256, kdf: .HKDF_SHA256, aead: .AES_GCM_256)
    private static let information = Data("kith backup 1".utf8)
    private static let keyIdentifier = Data("kith backup authentication".utf8)
    private static let encapsulatedBytes = 32

    static func seal(_ content: [UInt8], for purpose: [UInt8], to key: SealingKey) throws -> [UInt8] {
        let recipient = try Curve25519.KeyAgreement.PublicKey(rawRepresentation: key.publicKey)
        var sender = try HPKE.Sender(
            recipientKey: recipient, ciphersuite: suite, info: information,
            presharedKey: SymmetricKey(data: key.authentication), presharedKeyIdentifier: keyIdentifier)
        var plain = withUnsafeBytes(of: UInt64(content.count).bigEndian) { Array($0) }
        plain.reserveCapacity(padded(content.count + 8))
        plain += content
        plain += [UInt8](repeating: 0, count: padded(plain.count) - plain.count)
        let sealed = try sender.seal(plain, authenticating: purpose)
        return magic + sender.encapsulatedKey + sealed
    }

    /// - Throws: `.unsealable` naming `path`, for any bytes but those that were sealed for `purpose`.
    static func open(
        _ sealed: [UInt8], for purpose: [UInt8], with key: RecoveryKey, path: String
    ) throws(BackupError) -> [UInt8] {
        let start = magic.count + encapsulatedBytes
        guard sealed.count >= start, Array(sealed.prefix(magic.count)) == magic,
            var recipient = try? HPKE.Recipient(
                privateKey: key.privateKey, ciphersuite: suite, info: information,
                encapsulatedKey: Data(sealed[magic.count..<start]),
                presharedKey: SymmetricKey(data: key.sealing.authentication), presharedKeyIdentifier: keyIdentifier),
            let plain = try? recipient.open(sealed[start...], authenticating: purpose), plain.count >= 8
        else { throw .damaged(.unsealable(path)) }
        let bytes = [UInt8](plain)
        let count = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard count <= UInt64(bytes.count - 8), padded(Int(count) + 8) == bytes.count else {
            throw .damaged(.unsealable(path))
        }
        return Array(bytes[8..<(8 + Int(count))])
    }

    /// The length to fill up to: at most 12 % more, of a kind that many lengths share.
    static func padded(_ count: Int) -> Int {
        guard count > 256 else { return 256 }
        let exponent = Int.bitWidth - 1 - count.leadingZeroBitCount
        let digits = Int.bitWidth - exponent.leadingZeroBitCount
        let mask = (1 << (exponent - digits)) - 1
        return (count + mask) & ~mask
    }
}
