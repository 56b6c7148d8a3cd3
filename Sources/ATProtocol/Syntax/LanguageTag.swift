/// The name of a human language, e.g. `pt-BR`: a well-formed tag of BCP 47 whose language is in lower case.
///
/// The grammar of RFC 5646 section 2.1 with its grandfathered and private-use tags; languages of 4…8 letters, which are
/// reserved, are refused; variants and extension singletons may not repeat (section 2.2.9). At most 128 bytes.
/// Whether the subtags are registered is not judged.
///
/// - Spec: https://atproto.com/specs/lexicon (string format `language`)
package struct LanguageTag: StringSyntax {
    package static let kind = SyntaxError.Kind.languageTag
    /// The longest tag, in bytes.
    package static let lengthMax = 128

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard !utf8.isEmpty else { return "empty" }
        guard utf8.count <= lengthMax else { return "longer than 128 bytes" }
        var reader = LanguageTagReader()
        return reader.read(utf8)
    }
}

/// Reads one tag, subtag by subtag. `start..<end` is the subtag at hand; it is empty after the last.
private struct LanguageTagReader {
    private var start = 0
    private var end = 0

    mutating func read(_ utf8: Span<UInt8>) -> StaticString? {
        if let fault = Self.subtagFault(utf8) { return fault }
        if Self.isGrandfathered(utf8) { return nil }
        end = utf8.firstIndex(of: UInt8(ascii: "-")) ?? utf8.count
        if length == 1, utf8[0] | 0x20 == UInt8(ascii: "x") {
            return end < utf8.count ? nil : "nothing follows the private-use \"x\""
        }
        guard (2...3).contains(length), all(utf8, { $0.isASCIILowercase }) else {
            return "the language is not of two or three lower-case letters"
        }
        next(utf8)
        for _ in 0..<3 where length == 3 && all(utf8, { $0.isASCIILetter }) { next(utf8) }
        if length == 4, all(utf8, { $0.isASCIILetter }) { next(utf8) }
        if length == 2 && all(utf8, { $0.isASCIILetter }) || length == 3 && all(utf8, { $0.isASCIIDigit }) {
            next(utf8)
        }
        if let fault = readVariants(utf8) { return fault }
        return readExtensions(utf8)
    }

    private mutating func readVariants(_ utf8: Span<UInt8>) -> StaticString? {
        let firstVariant = start
        while length >= 5 || length == 4 && utf8[start].isASCIIDigit {
            // At most 32 subtags fit, so comparing each with all before it stays cheap.
            var earlier = firstVariant
            while earlier < start {
                let earlierEnd = utf8.firstIndex(of: UInt8(ascii: "-"), from: earlier) ?? utf8.count
                if isSame(utf8, earlier..<earlierEnd, start..<end) { return "a variant is repeated" }
                earlier = earlierEnd + 1
            }
            next(utf8)
        }
        return nil
    }

    private mutating func readExtensions(_ utf8: Span<UInt8>) -> StaticString? {
        var seen: UInt128 = 0
        while length == 1 {
            let singleton = utf8[start].isASCIIUppercase ? utf8[start] | 0x20 : utf8[start]
            next(utf8)
            if singleton == UInt8(ascii: "x") { return length > 0 ? nil : "nothing follows the private-use \"x\"" }
            guard seen & (1 << UInt128(singleton)) == 0 else { return "an extension is repeated" }
            seen |= 1 << UInt128(singleton)
            guard length >= 2 else { return "an extension is empty" }
            while length >= 2 { next(utf8) }
        }
        return length == 0 ? nil : "a subtag out of place"
    }

    private var length: Int { end - start }

    private mutating func next(_ utf8: Span<UInt8>) {
        start = min(end + 1, utf8.count)
        end = utf8.firstIndex(of: UInt8(ascii: "-"), from: start) ?? utf8.count
    }

    private func all(_ utf8: Span<UInt8>, _ isAllowed: (UInt8) -> Bool) -> Bool {
        for index in start..<end where !isAllowed(utf8[index]) { return false }
        return true
    }

    /// Whether two ranges of letters, digits and hyphens are equal but for case.
    private func isSame(_ utf8: Span<UInt8>, _ left: Range<Int>, _ right: Range<Int>) -> Bool {
        guard left.count == right.count else { return false }
        for offset in 0..<left.count
        where utf8[left.lowerBound + offset] | 0x20 != utf8[right.lowerBound + offset] | 0x20 {
            return false
        }
        return true
    }

    private static func subtagFault(_ utf8: Span<UInt8>) -> StaticString? {
        var length = 0
        for index in 0..<utf8.count {
            if utf8[index] == UInt8(ascii: "-") {
                guard length > 0 else { return "an empty subtag" }
                length = 0
            } else {
                guard utf8[index].isASCIIAlphanumeric else {
                    return "a character that is not a letter, digit or hyphen"
                }
                length += 1
                guard length <= 8 else { return "a subtag longer than 8 characters" }
            }
        }
        return length > 0 ? nil : "an empty subtag"
    }

    private static func isGrandfathered(_ utf8: Span<UInt8>) -> Bool {
        guard (5...11).contains(utf8.count) else { return false }
        for tag in grandfathered where tag.count == utf8.count {
            var isEqual = true
            for index in 0..<tag.count where tag[index] | 0x20 != utf8[index] | 0x20 { isEqual = false }
            if isEqual { return true }
        }
        return false
    }

    /// RFC 5646 section 2.1, `irregular` and `regular`.
    private static let grandfathered: [[UInt8]] = [
        "en-GB-oed", "i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo", "i-navajo",
        "i-pwn", "i-tao", "i-tay", "i-tsu", "sgn-BE-FR", "sgn-BE-NL", "sgn-CH-DE", "art-lojban", "cel-gaulish",
        "no-bok", "no-nyn", "zh-guoyu", "zh-hakka", "zh-min", "zh-min-nan", "zh-xiang",
    ].map { Array($0.utf8) }
}
