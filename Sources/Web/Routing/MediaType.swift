/// The few operations on media types (RFC 9110 section 8.3) that routing needs.
enum MediaType {
    /// `type/subtype` of a Content-Type value: lower case, without parameters and spaces.
    static func essence(of value: String) -> String {
        let end = value.utf8.firstIndex(of: UInt8(ascii: ";")) ?? value.endIndex
        return value[..<end].trimmingSpaces().lowercased()
    }

    /// Whether `pattern` (`*/*`, `image/*` or an exact type) covers `type`. Both are essences.
    static func pattern(_ pattern: String, covers type: String) -> Bool {
        if pattern == type || pattern == "*/*" { return true }
        guard pattern.hasSuffix("/*") else { return false }
        return type.hasPrefix(pattern.dropLast())
    }

    /// Whether a client that sent these Accept lines takes `type` (RFC 9110 section 12.5.1).
    ///
    /// The most specific range that matches decides; quality 0 refuses. No line, or one nobody can read, accepts all.
    static func isAcceptable(_ type: String, accept lines: [String]) -> Bool {
        var best: (specificity: Int, accepted: Bool)?
        var ranges = 0
        for line in lines {
            for item in line.split(separator: ",").prefix(rangeCountMax) {
                let range = essence(of: String(item))
                guard range.contains("/") else { continue }
                ranges += 1
                guard pattern(range, covers: type) else { continue }
                let specificity = range == "*/*" ? 0 : range.hasSuffix("/*") ? 1 : 2
                if let best, best.specificity > specificity { continue }
                best = (specificity, quality(of: item) > 0)
            }
        }
        return best?.accepted ?? (ranges == 0)
    }

    /// Whether the client's Accept-Encoding lines allow gzip.
    static func acceptsGzip(_ lines: [String]) -> Bool {
        var anyCoding = false
        for line in lines {
            for item in line.split(separator: ",").prefix(rangeCountMax) {
                let coding = essence(of: String(item))
                if coding == "gzip" || coding == "x-gzip" { return quality(of: item) > 0 }
                if coding == "*" { anyCoding = quality(of: item) > 0 }
            }
        }
        return anyCoding
    }

    /// How many ranges of one header line are looked at; the rest is ignored.
    private static let rangeCountMax = 64

    /// The `q` of a list item: 1 when absent or unreadable.
    private static func quality(of item: Substring) -> Double {
        for parameter in item.split(separator: ";").dropFirst() {
            let text = parameter.trimmingSpaces().lowercased()
            if text.hasPrefix("q=") { return Double(text.dropFirst(2)) ?? 1 }
        }
        return 1
    }
}
