/// A namespaced identifier of a collection, method or schema, e.g. `com.atproto.repo.createRecord`.
///
/// At least three segments: a reversed domain name (labels of 1…63 bytes, the first not beginning with a digit), then
/// a name of 1…63 letters and digits that begins with a letter. At most 317 bytes. Kept as written.
///
/// - Spec: https://atproto.com/specs/nsid
package struct NSID: StringSyntax {
    package static let kind = SyntaxError.Kind.nsid
    /// The longest NSID, in bytes.
    package static let lengthMax = 317

    package let string: String

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        self.string = string
    }

    /// The last segment, e.g. `createRecord`.
    package var name: Substring {
        string[string.index(after: nameDot)...]
    }

    /// All but the last segment, e.g. `com.atproto.repo`: the group that schemas of one purpose share.
    package var group: Substring {
        string[..<nameDot]
    }

    /// The domain name that has authority over the schema, in lower case, e.g. `repo.atproto.com`.
    package var authority: String {
        group.split(separator: ".").reversed().joined(separator: ".").lowercased()
    }

    /// Whether this lies in the group of `other` or in one below it: `a.b.sub.c` and `a.b.c` are within that of `a.b.d`.
    package func isWithinGroup(of other: NSID) -> Bool {
        let prefix = other.group.utf8
        let bytes = string.utf8
        guard bytes.count > prefix.count, bytes.starts(with: prefix) else { return false }
        return bytes[bytes.index(bytes.startIndex, offsetBy: prefix.count)] == UInt8(ascii: ".")
    }

    private var nameDot: String.Index {
        string.utf8.lastIndex(of: UInt8(ascii: ".")) ?? string.startIndex
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.count <= lengthMax else { return "longer than 317 bytes" }
        var segmentStart = 0
        var segmentCount = 1
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            if byte == UInt8(ascii: ".") {
                if let fault = segmentFault(utf8, segmentStart..<index) { return fault }
                segmentStart = index + 1
                segmentCount += 1
            } else if !byte.isASCIIAlphanumeric && byte != UInt8(ascii: "-") {
                return "a character that is not a letter, digit, hyphen or dot"
            }
            index += 1
        }
        if let fault = segmentFault(utf8, segmentStart..<utf8.count) { return fault }
        guard segmentCount >= 3 else { return "fewer than three segments" }
        guard !utf8[0].isASCIIDigit else { return "the first segment begins with a digit" }
        guard utf8[segmentStart].isASCIILetter, utf8.firstIndex(of: UInt8(ascii: "-"), from: segmentStart) == nil else {
            return "the last segment is not of letters and digits, beginning with a letter"
        }
        return nil
    }

    private static func segmentFault(_ utf8: Span<UInt8>, _ segment: Range<Int>) -> StaticString? {
        guard !segment.isEmpty else { return "an empty segment" }
        guard segment.count <= 63 else { return "a segment longer than 63 bytes" }
        let hyphen = UInt8(ascii: "-")
        guard utf8[segment.lowerBound] != hyphen, utf8[segment.upperBound - 1] != hyphen else {
            return "a segment begins or ends with a hyphen"
        }
        return nil
    }
}
