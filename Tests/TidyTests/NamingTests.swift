import Testing

/// Names that say nothing of what a thing does are refused: they are where unrelated code gathers.
struct NamingTests {
    private static let emptyWords = ["Manager", "Helper", "Helpers", "Util", "Utils", "Utilities", "Common", "Impl"]
    nonisolated(unsafe) private static let declaration =
        /\b(?:struct|class|enum|actor|protocol|typealias|extension)\s+([A-Za-z0-9_.]+)/

    @Test func typesAreNamedForWhatTheyDo() {
        for file in SourceTree.shared.swift {
            for (number, line) in file.code.enumerated() {
                for match in line.matches(of: Self.declaration) {
                    let words = Self.words(String(match.output.1))
                    let empty = words.filter { Self.emptyWords.contains($0) }
                    #expect(empty.isEmpty, "\(file.complaint(number, "\(match.output.1) is named \(empty)"))")
                }
            }
        }
    }

    @Test func filesAreNamedForWhatTheyHold() {
        for file in SourceTree.shared.swift {
            let empty = Self.words(file.name).filter { Self.emptyWords.contains($0) }
            #expect(empty.isEmpty, "\(file.path) is named \(empty)")
        }
    }

    @Test func wordsAreSplit() {
        #expect(Self.words("HTTPHelper.swift") == ["HTTP", "Helper", "swift"])
        #expect(Self.words("Commons") == ["Commons"])
    }

    /// `HTTPClientPool` as `HTTP`, `Client`, `Pool`.
    static func words(_ name: String) -> [String] {
        name.matches(of: /[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+/).map { String($0.output) }
    }
}
