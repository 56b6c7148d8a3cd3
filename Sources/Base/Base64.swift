/// Base64 of RFC 4648 section 4 (standard alphabet, padded).
package enum Base64 {
    fileprivate static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    fileprivate static let values = valueTable(alphabet)

    /// What to do with `=` at the end.
    package enum Padding: Sendable {
        /// Written; required when reading.
        case required
        /// Not written; refused when reading.
        case none
        /// Not written; allowed when reading.
        case optional
    }

    /// The text of `bytes`; padded unless told otherwise.
    package static func encode(_ bytes: [UInt8], padding: Padding = .required) -> String {
        String(decoding: characters(bytes, alphabet: alphabet, padded: padding == .required), as: UTF8.self)
    }

    /// What to do with the bits of the last character that belong to no byte.
    package enum TrailingBits: Sendable {
        /// Refused unless zero: each text stands for other bytes.
        case zero
        /// Dropped, as most other decoders do.
        case ignored
    }

    /// The bytes of `text`, or nil for a foreign character, a wrong length, wrong padding or a set trailing bit.
    package static func decode(
        _ text: some StringProtocol, padding: Padding = .required, trailingBits: TrailingBits = .zero
    ) -> [UInt8]? {
        bytes(Array(text.utf8)[...], values: values, padding: padding, trailingBits: trailingBits)
    }

    fileprivate static func valueTable(_ alphabet: [UInt8]) -> [UInt8] {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
        return table
    }

    fileprivate static func characters(_ bytes: [UInt8], alphabet: [UInt8], padded: Bool) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0)
            }
            for position in 0..<4 {
                if position <= count {
                    result.append(alphabet[Int((group >> UInt32(18 - 6 * position)) & 63)])
                } else if padded {
                    result.append(UInt8(ascii: "="))
                }
            }
            index += 3
        }
        return result
    }

    fileprivate static func bytes(
        _ text: ArraySlice<UInt8>, values: [UInt8], padding: Padding, trailingBits: TrailingBits
    ) -> [UInt8]? {
        var body = text
        var padCount = 0
        while padCount < 2, let last = body.last, last == UInt8(ascii: "=") {
            body.removeLast()
            padCount += 1
        }
        let padNeeded = (4 - body.count % 4) % 4
        switch padding {
        case .required: guard padCount == padNeeded else { return nil }
        case .none: guard padCount == 0 else { return nil }
        case .optional: guard padCount == 0 || padCount == padNeeded else { return nil }
        }
        guard body.count % 4 != 1 else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(body.count * 3 / 4)
        var buffer: UInt32 = 0
        var bits = 0
        for character in body {
            let value = values[Int(character)]
            guard value != 0xFF else { return nil }
            buffer = (buffer << 6 | UInt32(value)) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                result.append(UInt8((buffer >> UInt32(bits)) & 0xFF))
            }
        }
        guard trailingBits == .ignored || buffer & ((1 << UInt32(bits)) - 1) == 0 else { return nil }
        return result
    }
}

/// Base64 of RFC 4648 section 5 (URL alphabet, no padding), as JWTs and did:plc signatures use it.
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let values = Base64.valueTable(alphabet)

    /// The text of `bytes`, without padding.
    package static func encode(_ bytes: [UInt8]) -> String {
        String(decoding: Base64.characters(bytes, alphabet: alphabet, padded: false), as: UTF8.self)
    }

    /// The bytes of `text`, or nil for a foreign character, padding, a wrong length or a set trailing bit.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        Base64.bytes(Array(text.utf8)[...], values: values, padding: .none, trailingBits: .zero)
    }
}
