import Base
import CSecp256k1
import Crypto

/// A public key on either curve: what a DID document, a did:key and a did:plc operation name.
///
/// Equal keys are equal whatever form they were read from. A value that exists is a point of its curve.
///
/// - Spec: https://atproto.com/specs/cryptography
package struct PublicKey: Sendable, Hashable, CustomStringConvertible {
    package let algorithm: KeyAlgorithm
    /// The compressed point: 0x02 or 0x03 and the x coordinate, 33 bytes.
    package let compressedBytes: [UInt8]
    private let point: Point

    private enum Point: Sendable {
        case p256(P256.Signing.PublicKey)
        case k256(secp256k1_pubkey)
    }

    /// The longest multibase text of a key: an uncompressed point takes 89 characters.
    private static let multibaseCharacterCountMax = 128
    private static let didKeyPrefix = "did:key:"

    /// Reads a point.
    ///
    /// - Parameter pointBytes: compressed (33 bytes) or uncompressed (65 bytes, first 0x04).
    /// - Throws: `badPublicKey`.
    package init(algorithm: KeyAlgorithm, pointBytes: [UInt8]) throws(CryptographyError) {
        switch algorithm {
        case .k256:
            guard let point = Secp256k1.parsePoint(pointBytes) else { throw .badPublicKey }
            self.init(k256: point)
        case .p256:
            guard let key = Self.parseP256(pointBytes) else { throw .badPublicKey }
            self.init(p256: key)
        }
    }

    /// Reads `did:key:z…`, which must hold a compressed point.
    package init(didKey: String) throws(CryptographyError) {
        guard didKey.hasPrefix(Self.didKeyPrefix) else { throw .notADIDKey }
        try self.init(multikey: String(didKey.dropFirst(Self.didKeyPrefix.count)))
    }

    /// Reads a Multikey (`publicKeyMultibase` of the type `Multikey`): `z`, base58btc of multicodec ‖ compressed point.
    package init(multikey: String) throws(CryptographyError) {
        let bytes = try Self.multibaseBytes(multikey)
        guard let algorithm = KeyAlgorithm.allCases.first(where: { bytes.starts(with: $0.multicodecPrefix) }) else {
            throw .unsupportedAlgorithm
        }
        let pointBytes = Array(bytes.dropFirst(algorithm.multicodecPrefix.count))
        guard pointBytes.count == 33 else { throw .badPublicKey }
        try self.init(algorithm: algorithm, pointBytes: pointBytes)
    }

    /// Reads the `publicKeyMultibase` of an old verification method (`EcdsaSecp256…VerificationKey2019`): `z` and
    /// base58btc of the bare point, which is uncompressed in practice.
    package init(algorithm: KeyAlgorithm, legacyMultibase: String) throws(CryptographyError) {
        try self.init(algorithm: algorithm, pointBytes: Self.multibaseBytes(legacyMultibase))
    }

    init(k256 point: secp256k1_pubkey) {
        algorithm = .k256
        compressedBytes = Secp256k1.compressed(point)
        self.point = .k256(point)
    }

    init(p256 key: P256.Signing.PublicKey) {
        algorithm = .p256
        compressedBytes = [UInt8](key.compressedRepresentation)
        point = .p256(key)
    }

    /// The key as `did:key:z…`.
    package var didKey: String { Self.didKeyPrefix + multikey }

    /// The key as a Multikey, `z…`.
    package var multikey: String { "z" + Base58BTC.encode(algorithm.multicodecPrefix + compressedBytes) }

    /// The uncompressed point: 0x04 ‖ x ‖ y, 65 bytes.
    package var uncompressedBytes: [UInt8] {
        switch point {
        case .k256(let point): Secp256k1.uncompressed(point)
        case .p256(let key): [UInt8](key.x963Representation)
        }
    }

    package var description: String { didKey }

    /// Whether `signature` was made over SHA-256 of `message` with this key.
    ///
    /// - Parameter signature: r ‖ s, 64 bytes, low-S. High-S, DER and any other length are refused.
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        verify(signature, message: message, highS: .refused)
    }

    /// As `isValid(signature:for:)`, but a high s is accepted. Only for service tokens: JSON Web Signatures
    /// (RFC 7515) do not ask for low-S, so other systems' libraries make both kinds.
    package func isValid(malleableSignature signature: [UInt8], for message: [UInt8]) -> Bool {
        verify(signature, message: message, highS: .allowed)
    }

    private func verify(_ signature: [UInt8], message: [UInt8], highS: HighS) -> Bool {
        guard signature.count == 64 else { return false }
        let digest = sha256(message)
        switch point {
        case .k256(let point):
            return digest.withUnsafeBytes {
                Secp256k1.isValid(signature: signature, digest: $0, point: point, highS: highS)
            }
        case .p256(let key):
            guard highS == .allowed || P256Signature.isLowS(signature),
                let parsed = try? P256.Signing.ECDSASignature(rawRepresentation: signature)
            else { return false }
            return key.isValidSignature(parsed, for: digest)
        }
    }

    private static func multibaseBytes(_ text: String) throws(CryptographyError) -> [UInt8] {
        guard text.utf8.count <= multibaseCharacterCountMax, text.utf8.first == UInt8(ascii: "z"),
            let bytes = Base58BTC.decode(text.dropFirst())
        else { throw .badMultibase }
        return bytes
    }

    private static func parseP256(_ bytes: [UInt8]) -> P256.Signing.PublicKey? {
        switch (bytes.count, bytes.first) {
        case (33, 2), (33, 3): try? P256.Signing.PublicKey(compressedRepresentation: bytes)
        case (65, 4): try? P256.Signing.PublicKey(x963Representation: bytes)
        default: nil
        }
    }

    package static func == (left: PublicKey, right: PublicKey) -> Bool {
        left.algorithm == right.algorithm && left.compressedBytes == right.compressedBytes
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(algorithm)
        hasher.combine(compressedBytes)
    }
}

/// SHA-256 of `message`, without copying it.
func sha256(_ message: [UInt8]) -> SHA256Digest {
    var hash = SHA256()
    message.withUnsafeBytes { hash.update(bufferPointer: $0) }
    return hash.finalize()
}
