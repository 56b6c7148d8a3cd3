/// A timestamp identifier: 64 bits as 13 characters of a sortable base 32, e.g. `3jzfcijpj2z2a`.
///
/// ```
/// bit 63      62 … 10                                9 … 0
///     0       microseconds since 1970 (53 bits)      clock id (10 bits)
/// ```
/// The text's grammar lets bit 63 be set; such values parse, but no generator makes them.
/// The order of the values is the order of their texts.
///
/// - Spec: https://atproto.com/specs/tid
package struct TID: StringSyntax {
    package static let kind = SyntaxError.Kind.tid

    /// The 64 bits.
    package let value: UInt64

    /// The identifier with these 64 bits.
    package init(value: UInt64) {
        self.value = value
    }

    package init(parsing string: String) throws(SyntaxError) {
        let utf8 = string.utf8.span
        if let reason = Self.fault(in: utf8) { throw SyntaxError(Self.kind, reason) }
        var value: UInt64 = 0
        for index in 0..<13 { value = value << 5 | Self.digit(utf8[index]) }
        self.value = value
    }

    /// Microseconds since 1970, 0 ..< 2^54.
    package var microseconds: Int64 { Int64(value >> 10) }

    /// The clock identifier, 0…1023.
    package var clockID: UInt16 { UInt16(value & 0x3FF) }

    package var string: String {
        String(unsafeUninitializedCapacity: 13) { buffer in
            for index in 0..<13 {
                let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 5 * index)) & 31
                buffer[index] = digit < 6 ? 0x32 + digit : 0x61 + (digit - 6)
            }
            return 13
        }
    }

    package static func < (left: TID, right: TID) -> Bool { left.value < right.value }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.count == 13 else { return "not of 13 characters" }
        for index in 0..<13 {
            let byte = utf8[index]
            guard byte.isASCIILowercase || byte &- 0x32 < 6 else { return "a character outside 2-7 and a-z" }
        }
        guard utf8[0] <= UInt8(ascii: "j") else { return "the first character is beyond \"j\"" }
        return nil
    }

    /// The value of a character that has been checked.
    private static func digit(_ byte: UInt8) -> UInt64 {
        UInt64(byte.isASCIIDigit ? byte &- 0x32 : byte &- 0x61 &+ 6)
    }
}
