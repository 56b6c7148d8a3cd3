/// An e-mail address, in lower case: addresses that differ only in case are one.
///
/// `local@domain`, at most 254 bytes: the local part of 1…64 printable ASCII characters without quotes, spaces and the
/// specials of RFC 5322, no dot at its ends or twice in a row; the domain of two labels or more. Addresses outside
/// that exist, but hardly anybody has one.
package struct EmailAddress: Sendable, Hashable, CustomStringConvertible {
    package let string: String

    package static let lengthMax = 254
    private static let localLengthMax = 64
    private static let localSpecials = Set("!#$%&'*+-/=?^_`{|}~.".utf8)

    /// Nil when `text`, without the spaces around it, is no address.
    package init?(_ text: String) {
        let trimmed = text.drop { $0 == " " || $0 == "\t" }
        let address = trimmed.reversed().drop { $0 == " " || $0 == "\t" }.reversed()
        let lower = String(address).lowercased()
        guard lower.utf8.count <= Self.lengthMax, let at = lower.utf8.lastIndex(of: UInt8(ascii: "@")) else {
            return nil
        }
        guard Self.isLocal(lower.utf8[..<at]), Self.isDomain(lower.utf8[lower.utf8.index(after: at)...]) else {
            return nil
        }
        string = lower
    }

    package var description: String { string }

    private static func isLocal(_ local: Substring.UTF8View) -> Bool {
        guard (1...localLengthMax).contains(local.count) else { return false }
        var last = UInt8(ascii: ".")
        for byte in local {
            guard isLetterOrDigit(byte) || localSpecials.contains(byte) else { return false }
            if byte == UInt8(ascii: "."), last == byte { return false }
            last = byte
        }
        return last != UInt8(ascii: ".")
    }

    private static func isDomain(_ domain: Substring.UTF8View) -> Bool {
        let labels = domain.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.count >= 2 else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
