import ATProtocol
package import Base
import Crypto

/// A key that somebody has in another network: Nostr, Meshtastic, WireGuard, SSH, a piece of hardware.
package struct ExternalKey: Sendable, Hashable {
    /// What kind of key; raw values are the wire's.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case ed25519
        case x25519
        case secp256k1
        case p256

        /// The multicodec of a public key of the kind, as a varint.
        var prefix: [UInt8] {
            switch self {
            case .ed25519: [0xED, 0x01]
            case .x25519: [0xEC, 0x01]
            case .secp256k1: [0xE7, 0x01]
            case .p256: [0x80, 0x24]
            }
        }

        /// Bytes of a public key.
        var length: Int {
            switch self {
            case .ed25519, .x25519: 32
            case .secp256k1, .p256: 33
            }
        }

        /// Whether a key of the kind can sign, and so prove that somebody holds it.
        package var signs: Bool { self != .x25519 }
    }

    package var kind: Kind
    /// The bare bytes: a point in compressed form, or 32 bytes.
    package var bytes: [UInt8]

    /// Longest text that is looked at, in bytes.
    private static let textLengthMax = 128

    /// Reads `z…`: base58btc of the multicodec and the key.
    ///
    /// A point of secp256k1 or P-256 must lie on its curve. Of the Edwards and Montgomery curves any 32 bytes are taken that are
    /// no point of small order: which of them are points is not told by the library.
    /// - Throws: `ExternalKeyError.invalidKey`.
    package init(_ text: String, kind: Kind) throws(ExternalKeyError) {
        guard text.utf8.count <= Self.textLengthMax, text.utf8.first == UInt8(ascii: "z"),
            let content = Base58BTC.decode(text.dropFirst())
        else { throw .invalidKey("publicKey must be multibase base58btc (z…)") }
        guard content.starts(with: kind.prefix) else {
            throw .invalidKey("publicKey has another multicodec than that of \(kind.rawValue)")
        }
        bytes = Array(content.dropFirst(kind.prefix.count))
        guard bytes.count == kind.length else {
            throw .invalidKey("publicKey: a key of \(kind.rawValue) has \(kind.length) bytes, this one \(bytes.count)")
        }
        self.kind = kind
        let isPoint =
            switch kind {
            case .secp256k1: (try? PublicKey(algorithm: .k256, pointBytes: bytes)) != nil
            case .p256: (try? PublicKey(algorithm: .p256, pointBytes: bytes)) != nil
            case .ed25519, .x25519: !Self.smallOrder.contains(Self.unsigned(bytes))
            }
        guard isPoint else { throw .invalidKey("publicKey is no point of \(kind.rawValue)") }
    }

    /// The kind that a text names by its multicodec; nil for any other.
    package static func kind(of text: String) -> Kind? {
        guard text.utf8.count <= textLengthMax, text.utf8.first == UInt8(ascii: "z"),
            let content = Base58BTC.decode(text.dropFirst())
        else { return nil }
        return Kind.allCases.first { content.starts(with: $0.prefix) }
    }

    /// The key as `z…`, its only form.
    package var text: String { "z" + Base58BTC.encode(kind.prefix + bytes) }

    /// Whether `signature` was made over `message` with this key: Ed25519 (RFC 8032), or ECDSA over SHA-256 as r ‖ s.
    func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        switch kind {
        case .ed25519:
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
            return key.isValidSignature(signature, for: message)
        case .x25519: return false
        case .secp256k1: return isValid(signature, message, .k256)
        case .p256: return isValid(signature, message, .p256)
        }
    }

    private func isValid(_ signature: [UInt8], _ message: [UInt8], _ algorithm: KeyAlgorithm) -> Bool {
        guard let key = try? PublicKey(algorithm: algorithm, pointBytes: bytes) else { return false }
        return key.isValid(malleableSignature: signature, for: message)
    }

    private static func unsigned(_ bytes: [UInt8]) -> [UInt8] {
        var copy = bytes
        if let last = copy.indices.last { copy[last] &= 0x7F }
        return copy
    }

    /// The least of the points of small order, without the bit of the sign: zero and one in both forms, and minus one.
    private static let smallOrder: Set<[UInt8]> = [
        [UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31),
        [0xEC] + [UInt8](repeating: 0xFF, count: 30) + [0x7F], [0xED] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
        [0xEE] + [UInt8](repeating: 0xFF, count: 30) + [0x7F],
    ]
}

/// Why a key from another network is not taken or not found.
package enum ExternalKeyError: Error, Sendable, Hashable {
    /// The reason as a sentence without a full stop.
    case invalidKey(String)
    /// The proof does not hold for this key, this account and this server.
    case invalidProof(String)
    /// The challenge is too old.
    case challengeExpired
    /// Keys of this kind can't sign.
    case proofNotSupported
    case notFound
    case invalidInput(String)
}

extension ExternalKeyError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .invalidKey(let reason): WireFailure(status: 400, error: "InvalidPublicKey", message: reason)
        case .invalidProof(let reason): WireFailure(status: 400, error: "InvalidProof", message: reason)
        case .challengeExpired:
            WireFailure(status: 400, error: "ChallengeExpired", message: "The challenge is too old; ask for a new one")
        case .proofNotSupported:
            WireFailure(
                status: 400, error: "ProofNotSupported",
                message: "A key of x25519 agrees on secrets and can't sign: its possession can't be proven so")
        case .notFound: WireFailure(status: 404, error: "KeyNotFound", message: "There is no such key")
        case .invalidInput(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        }
    }
}
