import Testing

/// Time, randomness and stray work come from outside, so that a test can hold them; and nothing traps on input.
struct PurityTests {
    /// The targets that wrap the machine's clock, dice and threads for the others.
    private static let edge: Set<String> = ["Base", "Web", "App", "kith"]
    private static let ambient: [(pattern: String, instead: String)] = [
        ("Date()", "take a WallClock"), ("Date.now", "take a WallClock"), ("UUID()", "take Randomness"),
        (".random(", "take Randomness"), (".randomElement(", "take Randomness"), (".shuffled()", "take Randomness"),
        ("SystemRandomNumberGenerator", "take Randomness"), ("Task.sleep", "wait for an event"),
        ("Task.detached", "use a task group"), ("Task {", "use a task group"),
        ("Task(", "use a task group"),
    ]
    /// Each traps; on the way of a request that is a way to stop the server from outside.
    private static let traps = [
        "fatalError(", "preconditionFailure(", "precondition(", "try!", "as!", "unsafelyUnwrapped",
    ]

    @Test func timeAndRandomnessArePassedIn() {
        for file in SourceTree.shared.sources where !Self.edge.contains(file.target) {
            for (number, line) in file.code.enumerated() {
                for (pattern, instead) in Self.ambient where Self.has(pattern, in: line) {
                    Issue.record("\(file.complaint(number, "\(pattern): \(instead)"))")
                }
            }
        }
    }

    @Test func testsDoNotSleep() {
        for file in SourceTree.shared.tests where file.target != "TidyTests" {
            for (number, line) in file.code.enumerated() where line.contains("Task.sleep") || line.contains("usleep(") {
                Issue.record("\(file.complaint(number, "wait for an event or move the clock"))")
            }
        }
    }

    /// A trap that only a mistake in this program can reach may stay, if a comment directly above says why.
    @Test func nothingTrapsOnInput() {
        for file in SourceTree.shared.sources {
            for (number, line) in file.code.enumerated() {
                for trap in Self.traps where Self.has(trap, in: line) {
                    let above = number > 0 ? file.lines[number - 1].drop { $0 == " " } : ""
                    let isExplained = above.hasPrefix("//") || file.lines[number].contains(" // ")
                    #expect(isExplained, "\(file.complaint(number, "say above why no input reaches \(trap)"))")
                }
            }
        }
    }

    /// Whether `pattern` stands in `line` with no letter before it, so that `withTask(` is not `Task(`.
    private static func has(_ pattern: String, in line: String) -> Bool {
        var rest = line[...]
        while let range = rest.firstRange(of: pattern) {
            let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : " "
            if pattern.hasPrefix(".") || !(before.isLetter || before == "_" || before == ".") { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }
}
