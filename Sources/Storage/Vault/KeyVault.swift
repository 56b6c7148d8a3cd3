package import Base
import Crypto
import Foundation

/// What a sealed secret is for. A secret sealed for one purpose doesn't open for another.
package struct KeyPurpose: Sendable, Hashable {
    /// Lowercase words joined by dots, e.g. `repository.signing`. Declared once, by the room that owns the secret.
    package let name: String

    package init(_ name: String) {
        self.name = name
    }
}

/// Why a secret can't be sealed or opened, or the vault not be made.
package enum KeyVaultError: Error, Sendable, Hashable {
    /// The key file may be read or changed by others than its owner, or belongs to another user.
    case exposed(path: String)
    /// The key file is not a regular file of 64 hexadecimal digits.
    case malformed(path: String)
    /// The key file can't be read or made.
    case unavailable(path: String, reason: String)
    /// The given secret is too short to be one.
    case weakSecret(lengthMin: Int)
    /// The envelope is damaged, was sealed with another key, or for another purpose or owner.
    case cannotOpen
    /// The envelope is of a version this program doesn't know.
    case unknownVersion(UInt8)
    /// The secrets in the database were sealed with another key than this one.
    case otherKey
}

extension KeyVaultError: CustomStringConvertible {
    /// For the operator.
    package var description: String {
        switch self {
        case .exposed(let path): "\(path) may be read or changed by others than its owner"
        case .malformed(let path): "\(path) is no file of 64 hexadecimal digits"
        case .unavailable(let path, let reason): "\(path): \(reason)"
        case .weakSecret(let lengthMin): "the secret is shorter than \(lengthMin) bytes"
        case .cannotOpen: "a secret is damaged, or was sealed with another key or for something else"
        case .unknownVersion(let version): "a secret is of version \(version), which this program doesn't know"
        case .otherKey: "\(UnfitDatabase.otherKey)"
        }
    }
}

/// Seals small secrets (signing keys, tokens of partners) before they go into the database.
///
/// An envelope is `version (1 byte, 0x01) ‖ key id (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`: AES-256-GCM under a key
/// derived from the vault's key and the purpose by HKDF-SHA256; purpose and owner are authenticated with it.
package struct KeyVault: Sendable, CustomStringConvertible {
    private static let version: UInt8 = 1
    private static let headBytes = 1 + 4 + 12
    private static let tagBytes = 16

    private let key: SymmetricKey
    private let keyID: [UInt8]
    private let randomness: any Randomness

    /// - Parameter key: 32 bytes.
    init(key: [UInt8], randomness: any Randomness) {
        self.key = SymmetricKey(data: key)
        self.randomness = randomness
        keyID = Array(
            HKDF<SHA256>.deriveKey(inputKeyMaterial: self.key, info: Data("kith vault key id".utf8), outputByteCount: 4)
                .withUnsafeBytes { Array($0) })
    }

    /// A vault whose key is derived from a secret of the operator's keeping (`KITH_KEY_ENCRYPTION_SECRET`).
    /// - Throws: `.weakSecret` when it has fewer than 32 bytes.
    package init(secret: String, randomness: any Randomness) throws(KeyVaultError) {
        guard secret.utf8.count >= Self.secretBytesMin else { throw .weakSecret(lengthMin: Self.secretBytesMin) }
        let derived = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Data(secret.utf8)), info: Data("kith vault secret".utf8),
            outputByteCount: 32)
        self.init(key: derived.withUnsafeBytes { Array($0) }, randomness: randomness)
    }

    /// The fewest bytes an operator's secret may have.
    package static let secretBytesMin = 32

    /// Seals `plaintext`.
    /// - Parameter owner: whose secret it is, e.g. a DID, so that two rows can't be exchanged.
    /// - Returns: the envelope, 33 bytes longer than the plaintext.
    package func seal(
        _ plaintext: [UInt8], purpose: KeyPurpose, owner: String
    ) throws(KeyVaultError) -> [UInt8] {
        let nonce = randomness.bytes(12)
        let head = [Self.version] + keyID + nonce
        guard
            let box = try? AES.GCM.seal(
                plaintext, using: derivedKey(purpose), nonce: AES.GCM.Nonce(data: nonce),
                authenticating: Self.context(head: head, purpose, owner))
        else { throw .cannotOpen }
        return head + box.ciphertext + box.tag
    }

    /// Opens an envelope sealed with the same key, purpose and owner.
    /// - Throws: `.cannotOpen` for any other bytes.
    package func open(
        _ envelope: [UInt8], purpose: KeyPurpose, owner: String
    ) throws(KeyVaultError) -> [UInt8] {
        guard let version = envelope.first else { throw .cannotOpen }
        guard version == Self.version else { throw .unknownVersion(version) }
        guard envelope.count >= Self.headBytes + Self.tagBytes, Array(envelope[1..<5]) == keyID else {
            throw .cannotOpen
        }
        let head = Array(envelope[..<Self.headBytes])
        let body = envelope[Self.headBytes..<(envelope.count - Self.tagBytes)]
        guard
            let nonce = try? AES.GCM.Nonce(data: head[5...]),
            let box = try? AES.GCM.SealedBox(nonce: nonce, ciphertext: body, tag: envelope.suffix(Self.tagBytes)),
            let plaintext = try? AES.GCM.open(
                box, using: derivedKey(purpose), authenticating: Self.context(head: head, purpose, owner))
        else { throw .cannotOpen }
        return Array(plaintext)
    }

    /// Makes sure that the secrets in the database are this key's: the first vault leaves its mark there.
    /// - Throws: `KeyVaultError.otherKey` when it was another's; storage errors.
    package func confirm(in database: some Database) async throws {
        let mark = fingerprint
        let found = try await database.write { scope in
            try scope.execute(
                "INSERT INTO storage_meta (name, value) VALUES ('vault.key', $1) ON CONFLICT (name) DO NOTHING",
                [.text(mark)])
            return try scope.first("SELECT value FROM storage_meta WHERE name = 'vault.key'")?.text(0)
        }
        guard found == mark else { throw KeyVaultError.otherKey }
    }

    /// Tells two keys apart without telling anything of them: 32 hexadecimal digits.
    package var fingerprint: String {
        let bytes = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, info: Data("kith vault fingerprint".utf8), outputByteCount: 16)
        return Hex.encode(bytes.withUnsafeBytes { Array($0) })
    }

    /// Never the key.
    package var description: String { "KeyVault(\(fingerprint))" }

    private func derivedKey(_ purpose: KeyPurpose) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, info: Data("kith vault purpose \(purpose.name)".utf8), outputByteCount: 32)
    }

    /// What is authenticated besides the ciphertext. Each part carries its length, so that none can run into the next.
    private static func context(head: [UInt8], _ purpose: KeyPurpose, _ owner: String) -> [UInt8] {
        var bytes = head
        for part in [purpose.name, owner] {
            withUnsafeBytes(of: UInt64(part.utf8.count).bigEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: part.utf8)
        }
        return bytes
    }
}
