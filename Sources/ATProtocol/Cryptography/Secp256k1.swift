import Base
import CSecp256k1

/// K-256 by libsecp256k1. Everything here may be called from any thread at once.
enum Secp256k1 {
    /// The one context of the process: made once and never changed again, hence safe to share.
    ///
    /// Its randomisation only blinds the arithmetic against side channels; no result depends on it, so the randomness
    /// is the system's and not passed in.
    private nonisolated(unsafe) static let context: OpaquePointer? = {
        let context = secp256k1_context_create(UInt32(SECP256K1_CONTEXT_NONE))
        if let context {
            // Without blinding the library is still constant-time; failing here would only take the server down.
            _ = secp256k1_context_randomize(context, SystemRandomness().bytes(32))
        }
        return context
    }()

    /// The public half of `secret`, or nil when `secret` is no key: not 32 bytes, zero, or not below the order.
    static func publicKey(secret: [UInt8]) -> secp256k1_pubkey? {
        guard secret.count == 32, let context else { return nil }
        var point = secp256k1_pubkey()
        guard secp256k1_ec_pubkey_create(context, &point, secret) == 1 else { return nil }
        return point
    }

    /// Reads a point from its compressed (33 bytes) or uncompressed (65 bytes, first 0x04) form.
    static func parsePoint(_ bytes: [UInt8]) -> secp256k1_pubkey? {
        // The library would also read the hybrid forms 0x06 and 0x07, which nobody writes and others refuse.
        guard let context, let form = bytes.first else { return nil }
        guard (bytes.count == 33 && (form == 2 || form == 3)) || (bytes.count == 65 && form == 4) else { return nil }
        var point = secp256k1_pubkey()
        guard secp256k1_ec_pubkey_parse(context, &point, bytes, bytes.count) == 1 else { return nil }
        return point
    }

    /// The compressed form of `point`, 33 bytes.
    static func compressed(_ point: secp256k1_pubkey) -> [UInt8] {
        serialized(point, count: 33, flags: UInt32(SECP256K1_EC_COMPRESSED))
    }

    /// The uncompressed form of `point`, 65 bytes.
    static func uncompressed(_ point: secp256k1_pubkey) -> [UInt8] {
        serialized(point, count: 65, flags: UInt32(SECP256K1_EC_UNCOMPRESSED))
    }

    private static func serialized(_ point: secp256k1_pubkey, count: Int, flags: UInt32) -> [UInt8] {
        var point = point
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var length = count
            if let context, let base = buffer.baseAddress {
                secp256k1_ec_pubkey_serialize(context, base, &length, &point, flags)
                initialized = length
            }
        }
    }

    /// Signs a digest; deterministic (RFC 6979), always low-S.
    ///
    /// - Parameter digest: 32 bytes.
    /// - Returns: r ‖ s, 64 bytes, or nil when `secret` is no key.
    static func sign(digest: UnsafeRawBufferPointer, secret: [UInt8]) -> [UInt8]? {
        guard let context, secret.count == 32, digest.count == 32,
            let message = digest.baseAddress?.assumingMemoryBound(to: UInt8.self)
        else { return nil }
        var signature = secp256k1_ecdsa_signature()
        guard secp256k1_ecdsa_sign(context, &signature, message, secret, nil, nil) == 1 else { return nil }
        return [UInt8](unsafeUninitializedCapacity: 64) { buffer, initialized in
            if let base = buffer.baseAddress {
                secp256k1_ecdsa_signature_serialize_compact(context, base, &signature)
                initialized = 64
            }
        }
    }

    /// Whether `signature` (r ‖ s, 64 bytes) over a digest of 32 bytes was made with the key of `point`.
    static func isValid(
        signature: [UInt8], digest: UnsafeRawBufferPointer, point: secp256k1_pubkey, highS: HighS
    ) -> Bool {
        guard let context, signature.count == 64, digest.count == 32,
            let message = digest.baseAddress?.assumingMemoryBound(to: UInt8.self)
        else { return false }
        var parsed = secp256k1_ecdsa_signature()
        guard secp256k1_ecdsa_signature_parse_compact(context, &parsed, signature) == 1 else { return false }
        // `secp256k1_ecdsa_verify` refuses high-S by itself.
        if highS == .allowed {
            _ = withUnsafeMutablePointer(to: &parsed) { secp256k1_ecdsa_signature_normalize(context, $0, $0) }
        }
        var point = point
        return secp256k1_ecdsa_verify(context, &parsed, message, &point) == 1
    }
}

/// Whether a signature may have its s above half the order (it then has a twin with another text).
enum HighS {
    case refused
    case allowed
}
