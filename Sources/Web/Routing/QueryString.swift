/// Query strings and HTML forms (https://url.spec.whatwg.org/#urlencoded-parsing).
package enum QueryString {
    /// The most pairs one string may have.
    package static let pairCountMax = 1000

    /// The name-value pairs of `text` in order, percent-decoded, with `+` as space. Empty pieces are skipped.
    ///
    /// - Throws: `.invalidRequest` for broken percent-encoding, text that isn't UTF-8, or too many pairs.
    package static func pairs(_ text: String) throws(WebFailure) -> [(String, String)] {
        guard !text.isEmpty else { return [] }
        var result: [(String, String)] = []
        for piece in text.utf8.split(separator: UInt8(ascii: "&")) {
            guard result.count < pairCountMax else { throw .invalidRequest("Too many parameters") }
            if let mark = piece.firstIndex(of: UInt8(ascii: "=")) {
                result.append((try decode(piece[..<mark]), try decode(piece[piece.index(after: mark)...])))
            } else {
                result.append((try decode(piece), ""))
            }
        }
        return result
    }

    /// A path segment, percent-decoded; `+` stays.
    ///
    /// - Throws: `.invalidRequest` for broken percent-encoding or text that isn't UTF-8.
    package static func segment(_ text: Substring) throws(WebFailure) -> String {
        try decode(text.utf8, plusIsSpace: false)
    }

    private static func decode(_ text: Substring.UTF8View, plusIsSpace: Bool = true) throws(WebFailure) -> String {
        let isPlain = text.allSatisfy {
            $0 < 0x80 && $0 != UInt8(ascii: "%") && ($0 != UInt8(ascii: "+") || !plusIsSpace)
        }
        if isPlain { return String(Substring(text)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index != text.endIndex {
            let byte = text[index]
            text.formIndex(after: &index)
            switch byte {
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = nibble(text, &index), let low = nibble(text, &index) else {
                    throw .invalidRequest("Broken percent-encoding in the address")
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw .invalidRequest("The address isn't UTF-8")
        }
        return decoded
    }

    private static func nibble(_ text: Substring.UTF8View, _ index: inout String.Index) -> UInt8? {
        guard index != text.endIndex else { return nil }
        let byte = text[index]
        text.formIndex(after: &index)
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): return byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): return byte - UInt8(ascii: "A") + 10
        default: return nil
        }
    }
}
