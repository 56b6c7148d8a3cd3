package import Base
import Crypto
import Foundation

/// The operator's key to all backups. The server never keeps it.
///
/// All other keys are derived from its 32 bytes, so that it alone opens every backup.
package struct RecoveryKey: Sendable, CustomStringConvertible {
    private static let prefix = "kith-recovery-"
    private static let seedBytes = 32
    private static let checkBytes = 4
    private static let groupLength = 6

    private let seed: [UInt8]
    let privateKey: Curve25519.KeyAgreement.PrivateKey
    /// What the server keeps.
    package let sealing: SealingKey

    /// Makes a new one.
    package init(randomness: any Randomness) throws(BackupError) {
        try self.init(seed: randomness.bytes(Self.seedBytes))
    }

    /// Reads a key as it was shown: case, spaces and line breaks don't matter, hyphens only in its first word.
    /// - Throws: `.malformedKey`, for one wrong letter too.
    package init(parsing text: String) throws(BackupError) {
        let letters = text.lowercased().filter { !$0.isWhitespace }
        guard letters.hasPrefix(Self.prefix),
            let bytes = Base32.decode(letters.dropFirst(Self.prefix.count).filter { $0 != "-" }),
            bytes.count == Self.seedBytes + Self.checkBytes
        else { throw .malformedKey }
        let seed = Array(bytes.prefix(Self.seedBytes))
        guard Array(bytes.suffix(Self.checkBytes)) == Self.check(seed) else { throw .malformedKey }
        try self.init(seed: seed)
    }

    private init(seed: [UInt8]) throws(BackupError) {
        guard
            let privateKey = try? Curve25519.KeyAgreement.PrivateKey(
                rawRepresentation: Self.derive(seed, "kith backup private key"))
        else { throw .malformedKey }
        self.seed = seed
        self.privateKey = privateKey
        sealing = SealingKey(
            publicKey: privateKey.publicKey, naming: Self.derive(seed, "kith backup names"),
            authentication: Self.derive(seed, "kith backup authentication"))
    }

    /// What the operator writes down: `kith-recovery-` and 58 letters and digits in groups of six.
    package var text: String {
        let letters = Array(Base32.encode(seed + Self.check(seed)))
        let groups = stride(from: 0, to: letters.count, by: Self.groupLength).map {
            String(letters[$0..<min($0 + Self.groupLength, letters.count)])
        }
        return Self.prefix + groups.joined(separator: "-")
    }

    /// Never the key.
    package var description: String { "RecoveryKey(\(sealing.fingerprint))" }

    private static func check(_ seed: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: Array("kith recovery key".utf8) + seed).prefix(checkBytes))
    }

    private static func derive(_ seed: [UInt8], _ purpose: String) -> [UInt8] {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: seed), info: Data(purpose.utf8), outputByteCount: 32
        ).withUnsafeBytes { Array($0) }
    }
}

/// What a server needs to make backups, and not to read them: the public key, the key that names pieces, and the one by
/// which the operator knows that this server sealed them.
package struct SealingKey: Sendable, Hashable, CustomStringConvertible {
    private static let head = "kith-sealing-1 "

    let publicKey: [UInt8]
    /// Names pieces and cuts tables into them.
    let naming: [UInt8]
    let authentication: [UInt8]

    init(publicKey: Curve25519.KeyAgreement.PublicKey, naming: [UInt8], authentication: [UInt8]) {
        self.publicKey = Array(publicKey.rawRepresentation)
        self.naming = naming
        self.authentication = authentication
    }

    /// Reads the line kept in `secrets/backup.key`.
    package init(parsing line: String) throws(BackupError) {
        let words = line.split(separator: "\n").first ?? ""
        guard words.hasPrefix(Self.head), let bytes = Hex.decode(String(words.dropFirst(Self.head.count))),
            bytes.count == 96,
            let publicKey = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: bytes.prefix(32))
        else { throw .malformedKey }
        self.init(
            publicKey: publicKey, naming: Array(bytes[32..<64]), authentication: Array(bytes[64..<96]))
    }

    /// The line kept on the server.
    package var line: String { Self.head + Hex.encode(publicKey + naming + authentication) }

    /// Tells two keys apart without telling anything of them: 16 hexadecimal digits.
    package var fingerprint: String {
        Hex.encode(Array(SHA256.hash(data: Array("kith backup key".utf8) + publicKey).prefix(8)))
    }

    package var description: String { "SealingKey(\(fingerprint))" }
}
