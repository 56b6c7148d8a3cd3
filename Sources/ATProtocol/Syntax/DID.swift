/// A decentralised identifier, e.g. `did:plc:ewvi7nxzyoun6zhxrhs64oiz`.
///
/// `did:` method `:` identifier; method of lower-case letters; identifier of letters, digits and `._:%-`, not ending in
/// `:` or `%`; at most 2048 bytes. Case-sensitive. Whether the method is known, or its own rules are kept, is not judged.
///
/// - Spec: https://atproto.com/specs/did
package struct DID: StringSyntax {
    package static let kind = SyntaxError.Kind.did
    /// The longest DID, in bytes.
    package static let lengthMax = 2048

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    /// The method's name, e.g. `plc`.
    package var method: Substring {
        let rest = string.utf8.dropFirst(4)
        return Substring(rest.prefix { $0 != UInt8(ascii: ":") })
    }

    /// What follows the method, e.g. `ewvi7nxzyoun6zhxrhs64oiz`; may itself hold colons.
    package var identifier: Substring {
        let rest = string.utf8.dropFirst(4)
        return Substring(rest.drop { $0 != UInt8(ascii: ":") }.dropFirst())
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.starts(with: "did:") else { return "does not begin with \"did:\"" }
        guard utf8.count <= lengthMax else { return "longer than 2048 bytes" }
        var index = 4
        while index < utf8.count, utf8[index].isASCIILowercase { index += 1 }
        guard index > 4 else { return "the method is not of lower-case letters" }
        guard index < utf8.count, utf8[index] == UInt8(ascii: ":") else {
            return "the method is not of lower-case letters followed by a colon"
        }
        index += 1
        guard index < utf8.count else { return "the identifier is empty" }
        while index < utf8.count {
            let byte = utf8[index]
            switch byte {
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%"), UInt8(ascii: "-"): break
            default: guard byte.isASCIIAlphanumeric else { return "a character that is not allowed" }
            }
            index += 1
        }
        let last = utf8[utf8.count - 1]
        guard last != UInt8(ascii: ":"), last != UInt8(ascii: "%") else { return "ends in a colon or percent sign" }
        return nil
    }
}
