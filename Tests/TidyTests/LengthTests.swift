import Testing

/// Functions ≤ 70 lines, files ≤ 400: what doesn't fit on a page wants a name for its parts.
struct LengthTests {
    private static let functionLinesMax = 70
    private static let fileLinesMax = 400
    /// Files that are tables: no page of them is hard to read, and splitting them would hide the table.
    private static let tables: Set<String> = ["Sources/Contracts/EmbeddedLexicons.swift"]

    @Test func filesAreShort() {
        for file in SourceTree.shared.swift where !Self.tables.contains(file.path) {
            #expect(file.lines.count - 1 <= Self.fileLinesMax, "\(file.path) has \(file.lines.count - 1) lines")
        }
    }

    @Test func functionsAreShort() {
        for file in SourceTree.shared.swift where !Self.tables.contains(file.path) {
            for function in FunctionSpan.all(in: file) where function.lineCount > Self.functionLinesMax {
                Issue.record("\(file.complaint(function.start, "\(function.name) has \(function.lineCount) lines"))")
            }
        }
    }

    @Test func spansAreFound() {
        let text = """
            struct A {
                func one(_ f: () -> Void = {}) -> Int {
                    let text = "}"  // }
                    return 1
                }
                init(a: Int) where Int: Sendable
                {
                    self.a = a
                }
            }
            protocol P {
                func two()
                var x: Int { get }
                func three() throws
            }
            """
        let spans = FunctionSpan.all(in: SourceFile(path: "A.swift", text: text))
        #expect(spans.map(\.name) == ["func one", "init"])
        #expect(spans.map(\.lineCount) == [4, 4])
    }
}

/// Where a function with a body begins and ends.
struct FunctionSpan {
    let name: String
    /// The index of the line with `func`, `init`, `deinit` or `subscript`.
    let start: Int
    /// From that line to the one with the closing brace, both counted.
    let lineCount: Int

    static func all(in file: SourceFile) -> [FunctionSpan] {
        file.code.indices.compactMap { line in
            guard let match = file.code[line].firstMatch(of: head) else { return nil }
            guard let end = end(of: file.code, from: line, column: match.range.upperBound) else { return nil }
            let name = match.output.1 == "func" ? "func \(match.output.2)" : String(match.output.1)
            return FunctionSpan(name: name, start: line, lineCount: end - line + 1)
        }
    }

    nonisolated(unsafe) private static let head =
        /^\s*(?:@\S+\s+|[a-z]+(?:\([a-z]+\))?\s+)*?(func|init|deinit|subscript)\b[?!]?\s*([A-Za-z0-9_]*)/

    /// The line of the brace that closes the body, or nil for a requirement without one.
    private static func end(of code: [String], from start: Int, column: String.Index) -> Int? {
        var parentheses = 0
        var braces = 0
        for line in start..<code.count {
            let text = line == start ? code[line][column...] : code[line][...]
            if line > start, braces == 0, parentheses == 0, !continues(text) { return nil }
            for character in text {
                switch character {
                case "(", "[": parentheses += 1
                case ")", "]": parentheses -= 1
                case "{" where parentheses == 0 || braces > 0: braces += 1
                case "}" where braces > 0:
                    braces -= 1
                    if braces == 0 { return line }
                case "}" where parentheses == 0: return nil
                default: break
                }
            }
        }
        return nil
    }

    /// Whether a line can go on with a function's head: its body, its result, its clauses.
    private static func continues(_ text: Substring) -> Bool {
        let trimmed = text.drop { $0 == " " }
        return ["{", "->", "where", "async", "throws", ")", "rethrows"].contains { trimmed.hasPrefix($0) }
    }
}
