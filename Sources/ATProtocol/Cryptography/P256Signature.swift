/// The arithmetic that makes and recognises low-S signatures of P-256 (swift-crypto makes and accepts both kinds).
enum P256Signature {
    /// The order n of the group, big-endian.
    private static let order: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ]

    /// ⌊n / 2⌋, big-endian: the greatest s that is low.
    private static let halfOrder: [UInt8] = [
        0x7F, 0xFF, 0xFF, 0xFF, 0x80, 0x00, 0x00, 0x00, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xDE, 0x73, 0x7D, 0x56, 0xD3, 0x8B, 0xCF, 0x42, 0x79, 0xDC, 0xE5, 0x61, 0x7E, 0x31, 0x92, 0xA8,
    ]

    /// Whether s, the last 32 of the 64 bytes, is at most half the order.
    static func isLowS(_ signature: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        for index in 0..<32 where signature[32 + index] != halfOrder[index] {
            return signature[32 + index] < halfOrder[index]
        }
        return true
    }

    /// Replaces a high s by n − s in place. `signature` is r ‖ s, 64 bytes, with s below n.
    static func normalize(_ signature: inout [UInt8]) {
        guard signature.count == 64, !isLowS(signature) else { return }
        var borrow = 0
        for index in stride(from: 31, through: 0, by: -1) {
            let difference = Int(order[index]) - Int(signature[32 + index]) - borrow
            borrow = difference < 0 ? 1 : 0
            signature[32 + index] = UInt8(truncatingIfNeeded: difference)
        }
    }
}
