/// A URI of any scheme, judged by its outside only: a scheme, a colon, and something without white space.
///
/// The scheme is a letter and then up to 80 letters, digits, `+`, `-` and `.`. At most 8192 bytes. Characters beyond
/// ASCII are let through, as the network's records hold such links.
///
/// - Spec: https://atproto.com/specs/lexicon (string format `uri`)
package struct URI: StringSyntax {
    package static let kind = SyntaxError.Kind.uri
    /// The longest URI, in bytes.
    package static let lengthMax = 8192

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    /// What stands before the first colon, as written.
    package var scheme: Substring {
        Substring(string.utf8.prefix { $0 != UInt8(ascii: ":") })
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.count <= lengthMax else { return "longer than 8192 bytes" }
        guard let colon = utf8.firstIndex(of: UInt8(ascii: ":")) else { return "no scheme" }
        guard (1...81).contains(colon), utf8[0].isASCIILetter else { return "the scheme is malformed" }
        for index in 1..<colon {
            switch utf8[index] {
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): break
            default: guard utf8[index].isASCIIAlphanumeric else { return "the scheme is malformed" }
            }
        }
        guard colon + 1 < utf8.count else { return "nothing follows the scheme" }
        for index in (colon + 1)..<utf8.count where utf8[index] <= 0x20 || utf8[index] == 0x7F {
            return "white space or a control character"
        }
        return nil
    }
}
