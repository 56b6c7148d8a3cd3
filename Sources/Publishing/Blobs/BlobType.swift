/// The media type of an upload as a client declares it.
struct BlobType: Sendable, Hashable {
    /// `type/subtype`, lower case; nil for a wildcard (`*/*`, `image/*`), which says nothing of the bytes.
    let string: String?

    /// What bytes are called of which nothing is known.
    static let unknown = "application/octet-stream"

    /// Of each half (RFC 6838 section 4.2).
    private static let lengthMax = 127

    /// Reads one media type; parameters are not kept.
    ///
    /// - Throws: `BlobError.invalidType`.
    init(parsing text: String) throws(BlobError) {
        let essence = text.utf8.prefix { $0 != UInt8(ascii: ";") }
        let trimmed = essence.drop { Self.isSpace($0) }
        let halves = trimmed.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard halves.count == 2 else { throw .invalidType }
        var subtype = halves[1]
        while let last = subtype.last, Self.isSpace(last) { subtype.removeLast() }
        let names = [halves[0], subtype].map { String(Substring($0)).lowercased() }
        let isAny = names.map { $0 == "*" }
        guard zip(names, isAny).allSatisfy({ $1 || Self.isName($0) }), !isAny[0] || isAny[1] else {
            throw .invalidType
        }
        string = isAny[1] ? nil : names.joined(separator: "/")
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// `restricted-name`, which begins with a letter or digit.
    private static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, isAlphanumeric(first), text.utf8.count <= lengthMax else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "!#$&-^_.+".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
