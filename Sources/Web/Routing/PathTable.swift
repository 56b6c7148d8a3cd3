/// Plain paths and what they lead to. Paths without parameters are one dictionary look-up.
struct PathTable<Value: Sendable>: Sendable {
    /// A path pattern taken apart at its slashes.
    private struct Pattern {
        var segments: [Segment]
        var value: Value
    }

    private enum Segment {
        case literal(String)
        case parameter(String)
    }

    private var exact: [String: Value] = [:]
    private var patterns: [Int: [Pattern]] = [:]

    /// The value stored for exactly this pattern text.
    subscript(pattern: String) -> Value? {
        get {
            if let value = exact[pattern] { return value }
            let segments = Self.segments(of: pattern)
            return patterns[segments.count]?.first { Self.text(of: $0.segments) == pattern }?.value
        }
        set {
            guard let newValue else { return }
            let segments = Self.segments(of: pattern).map { part in
                part.hasPrefix(":") ? Segment.parameter(String(part.dropFirst())) : .literal(String(part))
            }
            guard pattern.contains("/:") else { return exact[pattern] = newValue }
            var sameLength = patterns[segments.count] ?? []
            if let index = sameLength.firstIndex(where: { Self.text(of: $0.segments) == pattern }) {
                sameLength[index].value = newValue
            } else {
                sameLength.append(Pattern(segments: segments, value: newValue))
            }
            patterns[segments.count] = sameLength
        }
    }

    /// What `path` leads to, with the values of its parameters. Literal segments win over parameters.
    ///
    /// - Parameter path: as sent, percent-encoded.
    /// - Throws: `.invalidRequest` for broken percent-encoding in a parameter.
    func match(_ path: String) throws(WebFailure) -> (value: Value, parameters: [String: String])? {
        if let value = exact[path] { return (value, [:]) }
        let parts = Self.segments(of: path)
        var best: (pattern: Pattern, literals: Int)?
        for pattern in patterns[parts.count] ?? [] {
            guard let literals = Self.literalCount(of: pattern, in: parts) else { continue }
            if best.map({ literals > $0.literals }) ?? true { best = (pattern, literals) }
        }
        guard let best else { return nil }
        var parameters: [String: String] = [:]
        for (segment, part) in zip(best.pattern.segments, parts) {
            if case .parameter(let name) = segment { parameters[name] = try QueryString.segment(part) }
        }
        return (best.pattern.value, parameters)
    }

    private static func literalCount(of pattern: Pattern, in parts: [Substring]) -> Int? {
        var count = 0
        for (segment, part) in zip(pattern.segments, parts) {
            switch segment {
            case .literal(let text):
                guard text == part else { return nil }
                count += 1
            case .parameter:
                guard !part.isEmpty else { return nil }
            }
        }
        return count
    }

    private static func segments(of path: String) -> [Substring] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    }

    private static func text(of segments: [Segment]) -> String {
        segments.map { segment in
            switch segment {
            case .literal(let text): "/" + text
            case .parameter(let name): "/:" + name
            }
        }.joined()
    }
}
