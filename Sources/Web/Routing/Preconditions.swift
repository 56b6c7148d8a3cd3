/// An entity tag (RFC 9110 section 8.8.3).
package struct EntityTag: Sendable, Hashable {
    /// How much is the same when two tags are.
    package enum Strength: Sendable, Hashable {
        /// Every byte.
        case strong
        /// What it means.
        case weak
    }

    package let strength: Strength
    /// What stands between the quotes.
    package let opaque: String

    /// A strong tag of our own: visible ASCII without quotes.
    package init(strong opaque: String) {
        strength = .strong
        self.opaque = opaque
    }

    init(_ strength: Strength, _ opaque: String) {
        self.strength = strength
        self.opaque = opaque
    }

    /// As it stands in `ETag`.
    package var headerValue: String { (strength == .weak ? "W/" : "") + "\"\(opaque)\"" }

    /// Whether both name the same bytes: two weak tags never do.
    package func isStrongly(_ other: EntityTag) -> Bool {
        strength == .strong && other.strength == .strong && opaque == other.opaque
    }
}

/// What a request demands of the state of what it asks for: `If-Match`, `If-None-Match` and `If-Range`
/// (RFC 9110 section 13). Conditions on dates are passed over: nothing here is told by its date.
package struct Preconditions: Sendable {
    /// What is to be answered to GET and HEAD.
    package enum Verdict: Sendable, Hashable {
        case proceed
        /// 304.
        case notModified
        /// 412.
        case failed
    }

    private let ifMatch: Condition?
    private let ifNoneMatch: Condition?
    private let ifRange: String?

    package init(_ head: RequestHead) {
        ifMatch = Condition(head.headers("if-match"))
        ifNoneMatch = Condition(head.headers("if-none-match"))
        ifRange = head.header("if-range")?.trimmingSpaces()
    }

    /// The verdict on something that is there and has the tag `tag`, in the order of section 13.2.2.
    package func verdict(on tag: EntityTag) -> Verdict {
        if let ifMatch, !ifMatch.contains(where: tag.isStrongly) { return .failed }
        if let ifNoneMatch, ifNoneMatch.contains(where: { $0.opaque == tag.opaque }) { return .notModified }
        return .proceed
    }

    /// Whether the `Range` of the request counts: always without `If-Range`; with one only when it names these very bytes.
    package func admitsRange(of tag: EntityTag) -> Bool {
        guard let ifRange else { return true }
        let tags = EntityTagScanner.tags(ifRange)
        return tags.count == 1 && tags[0].isStrongly(tag)
    }

    /// `*`, or a list of tags. A line nobody can read names no tag.
    private enum Condition: Sendable {
        case anything
        case tags([EntityTag])

        init?(_ lines: [String]) {
            guard !lines.isEmpty else { return nil }
            let isAnything = lines.contains { $0.trimmingSpaces() == "*" }
            self = isAnything ? .anything : .tags(lines.flatMap(EntityTagScanner.tags))
        }

        func contains(where matches: (EntityTag) -> Bool) -> Bool {
            switch self {
            case .anything: true
            case .tags(let tags): tags.contains(where: matches)
            }
        }
    }
}

/// Reads lists of entity tags. Commas may stand inside of quotes, so that splitting would not do.
private enum EntityTagScanner {
    /// The tags of one header line, whose length the server bounds; what is no tag is passed over up to the next comma.
    static func tags(_ line: String) -> [EntityTag] {
        var tags: [EntityTag] = []
        var rest = Substring(line).utf8
        while !rest.isEmpty {
            if let tag = tag(&rest) { tags.append(tag) }
            rest = rest.drop { $0 != UInt8(ascii: ",") }.dropFirst()
        }
        return tags
    }

    private static func tag(_ rest: inout Substring.UTF8View) -> EntityTag? {
        let quote = UInt8(ascii: "\"")
        var scan = rest.drop { $0 == 0x20 || $0 == 0x09 }
        let strength: EntityTag.Strength = scan.starts(with: "W/".utf8) ? .weak : .strong
        if strength == .weak { scan = scan.dropFirst(2) }
        guard scan.first == quote else { return nil }
        scan = scan.dropFirst()
        guard let end = scan.firstIndex(of: quote) else { return nil }
        let opaque = String(Substring(scan[..<end]))
        scan = scan[scan.index(after: end)...]
        rest = scan
        let behind = scan.first { $0 != 0x20 && $0 != 0x09 }
        return behind == nil || behind == UInt8(ascii: ",") ? EntityTag(strength, opaque) : nil
    }
}
