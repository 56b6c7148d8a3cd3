/// The two elliptic curves of the AT Protocol, each with ECDSA over SHA-256.
///
/// - Spec: https://atproto.com/specs/cryptography
package enum KeyAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// NIST P-256 (secp256r1).
    case p256
    /// K-256 (secp256k1), the usual one for repositories and did:plc.
    case k256

    /// The `alg` of a JSON Web Signature: `ES256` or `ES256K`.
    package var jwtName: String {
        switch self {
        case .p256: "ES256"
        case .k256: "ES256K"
        }
    }

    /// The algorithm of a JSON Web Signature's `alg`, or nil for any other.
    package init?(jwtName: String) {
        switch jwtName {
        case "ES256": self = .p256
        case "ES256K": self = .k256
        default: return nil
        }
    }

    /// The algorithm a verification method of an old DID document names by its `type`, or nil for any other.
    package init?(legacyVerificationType type: String) {
        switch type {
        case "EcdsaSecp256r1VerificationKey2019": self = .p256
        case "EcdsaSecp256k1VerificationKey2019": self = .k256
        default: return nil
        }
    }

    /// The multicodec of the compressed public key as an unsigned varint, 2 bytes: 0x1200 or 0xE7.
    var multicodecPrefix: [UInt8] {
        switch self {
        case .p256: [0x80, 0x24]
        case .k256: [0xE7, 0x01]
        }
    }
}

/// Why a key cannot be read.
package enum CryptographyError: Error, Sendable, Hashable {
    /// The text does not start with `did:key:`.
    case notADIDKey
    /// Not base58btc multibase (`z…`), or longer than any key.
    case badMultibase
    /// The multicodec prefix is neither P-256 nor K-256.
    case unsupportedAlgorithm
    /// The bytes are not a point of the curve: wrong length, wrong form, or off the curve.
    case badPublicKey
    /// The bytes are not a private key: not 32 bytes, zero, or not below the curve's order.
    case badPrivateKey
}
