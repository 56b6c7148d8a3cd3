/// A MIME type, or a pattern of them: `image/png`, `image/*`, `*/*`. Compared without regard to case.
///
/// - Spec: https://atproto.com/specs/lexicon (section "blob")
package struct MIMEPattern: Sendable, Hashable, CustomStringConvertible {
    /// Lower case; nil for any.
    private let type: String?
    /// Lower case; nil for any. Nil whenever `type` is.
    private let subtype: String?

    /// `application/json`.
    package static let json = MIMEPattern(type: "application", subtype: "json")

    private init(type: String?, subtype: String?) {
        self.type = type
        self.subtype = subtype
    }

    /// Reads a type or pattern; nil when `text` is neither. A star stands for a whole half only: no `text/ht*`, no `*`.
    package init?(_ text: String) {
        let halves = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let texts = halves.map { String(Substring($0)).lowercased() }
        switch (texts[0], texts[1]) {
        case ("*", "*"): self.init(type: nil, subtype: nil)
        case (let type, "*") where Self.isToken(type): self.init(type: type, subtype: nil)
        case (let type, let subtype) where Self.isToken(type) && Self.isToken(subtype):
            self.init(type: type, subtype: subtype)
        default: return nil
        }
    }

    package var description: String { "\(type ?? "*")/\(subtype ?? "*")" }

    /// Whether every MIME type matches.
    package var matchesEverything: Bool { type == nil }

    /// Whether a MIME type as a header or a record gives it matches; parameters (`; charset=utf-8`) do not count.
    package func matches(_ mimeType: String) -> Bool {
        guard let type else { return true }
        let bytes = mimeType.utf8.span
        var end = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.count
        var start = 0
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/"), from: start), slash < end,
            Self.isSame(bytes.extracting(start..<slash), type)
        else { return false }
        guard let subtype else { return slash + 1 < end }
        return Self.isSame(bytes.extracting((slash + 1)..<end), subtype)
    }

    private static func isSame(_ bytes: Span<UInt8>, _ lowercase: String) -> Bool {
        let other = lowercase.utf8.span
        guard bytes.count == other.count else { return false }
        for index in 0..<bytes.count {
            let byte = bytes[index].isASCIIUppercase ? bytes[index] | 0x20 : bytes[index]
            if byte != other[index] { return false }
        }
        return true
    }

    /// RFC 9110 section 5.6.2, less the star.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0.isASCIIAlphanumeric || "!#$%&'+-.^_`|~".utf8.contains($0) }
    }
}
