import Testing

/// What other targets may use is explained where it is declared, and every room has its page.
struct DocumentationTests {
    nonisolated(unsafe) private static let declaration =
        /^\s*(?:@\S+\s+|nonisolated\s+|static\s+|final\s+|indirect\s+|mutating\s+|consuming\s+|override\s+|convenience\s+)*package\s+(?!import\b)(?:static\s+|final\s+|indirect\s+|mutating\s+|nonmutating\s+|consuming\s+|borrowing\s+|nonisolated\s+|lazy\s+|weak\s+|convenience\s+|override\s+|isolated\s+|(?:internal|private|fileprivate)\(set\)\s+)*(struct|class|enum|actor|protocol|typealias|func|var|let|init|subscript|extension)\b\s*([A-Za-z0-9_]*|[^\s(A-Za-z0-9_]+)/
    /// Members whose meaning their protocol, or the custom of the house (`…Routes.add(to:)`), gives: nothing is left to say.
    private static let given: Set<String> = [
        "add", "addRoutes", "appendInterpolation", "appendLiteral", "description", "debugDescription", "hashValue",
        "hash", "encode", "wire", "body", "id",
        "rawValue", "next",
        "makeIterator", "makeAsyncIterator", "run", "Element", "Failure", "startIndex", "endIndex", "index", "count",
        "log",
    ]

    @Test func packageDeclarationsAreDocumented() {
        let requirements = Self.requirements()
        for file in SourceTree.shared.sources {
            for (number, line) in file.code.enumerated() {
                guard let match = line.firstMatch(of: Self.declaration) else { continue }
                let (kind, name) = (String(match.output.1), String(match.output.2))
                if kind == "func", requirements.contains(name) { continue }
                if Self.explainsItself(kind, name) || Self.isDocumented(file, number) { continue }
                Issue.record("\(file.complaint(number, "\(kind) \(name) has no comment"))")
            }
        }
    }

    @Test func requirementsAreDocumented() {
        for file in SourceTree.shared.sources {
            for (number, name) in Self.requirements(in: file) where !Self.isDocumented(file, number) {
                Issue.record("\(file.complaint(number, "requirement \(name) has no comment"))")
            }
        }
    }

    /// The functions that protocols of ours ask for: the comment stands there, not at each conforming type.
    private static func requirements() -> Set<String> {
        Set(SourceTree.shared.sources.flatMap { requirements(in: $0).map(\.name) })
    }

    private static func requirements(in file: SourceFile) -> [(line: Int, name: String)] {
        var found: [(line: Int, name: String)] = []
        var depth = 0
        var protocolDepth: Int?
        for (number, line) in file.code.enumerated() {
            if protocolDepth == nil, line.firstMatch(of: /\bpackage\s+protocol\s+\w+/) != nil { protocolDepth = depth }
            if let start = protocolDepth, depth == start + 1, let match = line.firstMatch(of: /\bfunc\s+(\w+)/) {
                found.append((number, String(match.output.1)))
            }
            for character in line {
                if character == "{" { depth += 1 }
                if character == "}" {
                    depth -= 1
                    if depth == protocolDepth { protocolDepth = nil }
                }
            }
        }
        return found
    }

    /// Fields, initialisers and subscripts of a documented type, operators, and members that a protocol asks for.
    private static func explainsItself(_ kind: String, _ name: String) -> Bool {
        switch kind {
        case "init", "subscript", "extension", "let", "var": true
        case "typealias": given.contains(name)
        case "func": given.contains(name) || !(name.first?.isLetter ?? false)
        default: false
        }
    }

    /// Whether a `///` comment stands above, past attributes and the lines of a conditional.
    private static func isDocumented(_ file: SourceFile, _ number: Int) -> Bool {
        var above = number - 1
        while above >= 0 {
            let line = file.lines[above].drop { $0 == " " }
            if line.hasPrefix("///") { return true }
            guard line.hasPrefix("@") || line.hasPrefix("#if") else { return false }
            above -= 1
        }
        return false
    }

    @Test func everyRoomHasItsPage() {
        let tree = SourceTree.shared
        let paths = Set(tree.files.map(\.path))
        for wing in ["Identity", "Publishing", "Community", "Network", "Hosting", "Pages"] {
            for room in tree.rooms(of: wing) {
                #expect(paths.contains("Sources/\(wing)/\(room)/README.md"), "Sources/\(wing)/\(room) has no README.md")
            }
        }
    }
}
