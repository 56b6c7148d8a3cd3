/// A handle: a host name that names an account, e.g. `alice.example.com`. Kept in lower case, as handles are compared.
///
/// At least two labels of 1…63 letters, digits and inner hyphens, the last not beginning with a digit; at most 253 bytes.
///
/// - Spec: https://atproto.com/specs/handle
package struct Handle: StringSyntax {
    package static let kind = SyntaxError.Kind.handle
    /// The longest handle, in bytes.
    package static let lengthMax = 253
    /// What is shown for an account whose handle does not resolve back to it.
    package static let invalid = Handle(literal: "handle.invalid")

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string.utf8.contains { $0.isASCIIUppercase } ? string.lowercased() : string
    }

    /// The last label, e.g. `com`.
    package var topLevelDomain: Substring {
        string[string.index(after: string.lastIndex(of: ".") ?? string.startIndex)...]
    }

    /// The first label and the rest: `alice` and `example.com`.
    package var split: (label: Substring, domain: Substring) {
        let dot = string.firstIndex(of: ".") ?? string.startIndex
        return (string[..<dot], string[string.index(after: dot)...])
    }

    /// Whether the top-level domain is one that no account on the open network may use.
    ///
    /// `.test` is not among them: it is for development and for the caller to judge.
    package var hasReservedTopLevelDomain: Bool {
        switch topLevelDomain {
        case "alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion": true
        default: false
        }
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.count <= lengthMax else { return "longer than 253 bytes" }
        var labelStart = 0
        var labelCount = 1
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            if byte == UInt8(ascii: ".") {
                if let fault = labelFault(utf8, labelStart..<index) { return fault }
                labelStart = index + 1
                labelCount += 1
            } else if !byte.isASCIIAlphanumeric && byte != UInt8(ascii: "-") {
                return "a character that is not a letter, digit, hyphen or dot"
            }
            index += 1
        }
        if let fault = labelFault(utf8, labelStart..<utf8.count) { return fault }
        guard labelCount >= 2 else { return "fewer than two labels" }
        guard !utf8[labelStart].isASCIIDigit else { return "the last label begins with a digit" }
        return nil
    }

    private static func labelFault(_ utf8: Span<UInt8>, _ label: Range<Int>) -> StaticString? {
        guard !label.isEmpty else { return "an empty label" }
        guard label.count <= 63 else { return "a label longer than 63 bytes" }
        let hyphen = UInt8(ascii: "-")
        guard utf8[label.lowerBound] != hyphen, utf8[label.upperBound - 1] != hyphen else {
            return "a label begins or ends with a hyphen"
        }
        return nil
    }
}
