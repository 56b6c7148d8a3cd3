/// The name of a record within its collection, e.g. `3jzfcijpj2z2a` or `self`.
///
/// 1…512 of `A-Z a-z 0-9 . _ : ~ -`, but not `.` or `..`. Case-sensitive.
///
/// - Spec: https://atproto.com/specs/record-key
package struct RecordKey: StringSyntax {
    package static let kind = SyntaxError.Kind.recordKey
    /// The longest record key, in bytes.
    package static let lengthMax = 512

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    /// The key of a record named by the time it was made.
    package init(_ tid: TID) {
        string = tid.string
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard !utf8.isEmpty else { return "empty" }
        guard utf8.count <= lengthMax else { return "longer than 512 bytes" }
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            switch byte {
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "~"), UInt8(ascii: "-"): break
            default: guard byte.isASCIIAlphanumeric else { return "a character that is not allowed" }
            }
            index += 1
        }
        if utf8.count <= 2, utf8[0] == UInt8(ascii: "."), utf8[utf8.count - 1] == UInt8(ascii: ".") {
            return "\".\" and \"..\" are not allowed"
        }
        return nil
    }
}
