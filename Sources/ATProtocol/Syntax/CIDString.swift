/// The text of a content identifier of any codec, hash and base, judged by its outside only.
///
/// 8…256 of `A-Z a-z 0-9 + =`, and not the version 0 form (`Qm…`). For values that merely name something elsewhere;
/// the identifiers of this network's blocks and blobs are `CID`.
///
/// - Spec: https://atproto.com/specs/lexicon (string format `cid`)
package struct CIDString: StringSyntax {
    package static let kind = SyntaxError.Kind.cid

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard (8...256).contains(utf8.count) else { return "not of 8 to 256 characters" }
        guard !utf8.starts(with: "Qm") else { return "version 0 is not supported" }
        for index in 0..<utf8.count {
            let byte = utf8[index]
            guard byte.isASCIIAlphanumeric || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "=") else {
                return "a character that is not allowed"
            }
        }
        return nil
    }
}
