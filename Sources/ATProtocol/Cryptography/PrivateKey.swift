package import Base
import Crypto

/// What signs a repository's commits: a key in memory, or something that asks for one.
package protocol RepositorySigner: Sendable {
    /// The key that verifies what `sign` returns.
    var publicKey: PublicKey { get }

    /// Signs SHA-256 of `bytes`.
    ///
    /// - Returns: r ‖ s, 64 bytes, low-S.
    func sign(_ bytes: [UInt8]) throws -> [UInt8]
}

/// A private key on either curve. A value that exists can sign. May be used from any thread.
///
/// It never shows itself: descriptions and reflection name only the algorithm.
///
/// - Spec: https://atproto.com/specs/cryptography
package struct PrivateKey: RepositorySigner, CustomStringConvertible, CustomReflectable {
    package let publicKey: PublicKey
    private let secret: Secret

    private enum Secret: Sendable {
        case p256(P256.Signing.PrivateKey)
        case k256([UInt8])
    }

    /// Reads a private key.
    ///
    /// - Parameter rawBytes: the scalar, 32 bytes, big-endian, 1…n−1.
    /// - Throws: `badPrivateKey`.
    package init(algorithm: KeyAlgorithm, rawBytes: [UInt8]) throws(CryptographyError) {
        switch algorithm {
        case .p256:
            guard let key = try? P256.Signing.PrivateKey(rawRepresentation: rawBytes) else { throw .badPrivateKey }
            secret = .p256(key)
            publicKey = PublicKey(p256: key.publicKey)
        case .k256:
            guard let point = Secp256k1.publicKey(secret: rawBytes) else { throw .badPrivateKey }
            secret = .k256(rawBytes)
            publicKey = PublicKey(k256: point)
        }
    }

    /// A new key from 32 random bytes.
    package static func generate(_ algorithm: KeyAlgorithm, using randomness: some Randomness) -> PrivateKey {
        var candidate = randomness.bytes(32)
        while true {
            if let key = try? PrivateKey(algorithm: algorithm, rawBytes: candidate) { return key }
            // Less than once in 2³² draws. Hashing rather than drawing again ends even with a source that repeats.
            candidate = [UInt8](sha256(candidate))
        }
    }

    package var algorithm: KeyAlgorithm { publicKey.algorithm }

    /// The scalar, 32 bytes, big-endian. For the key vault and key export only.
    package var rawBytes: [UInt8] {
        switch secret {
        case .p256(let key): [UInt8](key.rawRepresentation)
        case .k256(let bytes): bytes
        }
    }

    /// Signs SHA-256 of `message`: r ‖ s, 64 bytes, low-S. K-256 signatures are deterministic (RFC 6979).
    package func sign(_ message: [UInt8]) -> [UInt8] {
        let digest = sha256(message)
        switch secret {
        case .k256(let bytes):
            let signature = digest.withUnsafeBytes { Secp256k1.sign(digest: $0, secret: bytes) }
            // The key was checked when it was read, so only a broken library gets here.
            guard let signature else { preconditionFailure("libsecp256k1 refused a valid key") }
            return signature
        case .p256(let key):
            // BoringSSL fails here only when memory runs out.
            guard let made = try? key.signature(for: digest) else { preconditionFailure("BoringSSL has no memory") }
            var signature = [UInt8](made.rawRepresentation)
            P256Signature.normalize(&signature)
            return signature
        }
    }

    package var description: String { "<private key \(algorithm.rawValue)>" }

    package var customMirror: Mirror { Mirror(self, children: ["algorithm": algorithm]) }
}
