/// Blanks comments and string literals out of Swift text, keeping every line and column where it was. Code inside an
/// interpolation is blanked with its literal's text kept out and its own text kept in.
struct SourceStripper {
    private enum Mode {
        case code
        case lineComment
        case blockComment(depth: Int)
        case string(hashes: Int, multiline: Bool)
        /// The code inside `\( … )`; ends at the parenthesis that brings `depth` to 0.
        case interpolation(depth: Int)
    }

    private let text: [Character]
    private var index = 0
    private var output: [Character] = []
    private var modes: [Mode] = [.code]

    private init(_ text: String) {
        self.text = Array(text)
        output.reserveCapacity(self.text.count)
    }

    static func strip(_ text: String) -> [String] {
        var stripper = SourceStripper(text)
        stripper.run()
        return String(stripper.output).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private mutating func run() {
        while index < text.count {
            switch modes[modes.count - 1] {
            case .code: code()
            case .interpolation(let depth): interpolation(depth)
            case .lineComment: lineComment()
            case .blockComment(let depth): blockComment(depth)
            case .string(let hashes, let multiline): string(hashes, multiline)
            }
        }
    }

    private func starts(_ literal: String, at position: Int) -> Bool {
        var at = position
        for character in literal {
            guard at < text.count, text[at] == character else { return false }
            at += 1
        }
        return true
    }

    private mutating func blank(_ count: Int) {
        for _ in 0..<count where index < text.count {
            output.append(text[index] == "\n" ? "\n" : " ")
            index += 1
        }
    }

    private mutating func keep() {
        output.append(text[index])
        index += 1
    }

    /// Enters a comment or a literal that begins here; false when neither does.
    private mutating func enter() -> Bool {
        if starts("//", at: index) {
            modes.append(.lineComment)
            return true
        }
        if starts("/*", at: index) {
            blank(2)
            modes.append(.blockComment(depth: 1))
            return true
        }
        var hashes = 0
        while index + hashes < text.count, text[index + hashes] == "#" { hashes += 1 }
        guard index + hashes < text.count, text[index + hashes] == "\"" else { return false }
        let multiline = starts("\"\"\"", at: index + hashes)
        blank(hashes + (multiline ? 3 : 1))
        modes.append(.string(hashes: hashes, multiline: multiline))
        return true
    }

    private mutating func code() {
        if !enter() { keep() }
    }

    private mutating func interpolation(_ depth: Int) {
        if enter() { return }
        var next = depth
        if text[index] == "(" { next += 1 }
        if text[index] == ")" { next -= 1 }
        if next == 0 {
            blank(1)
            modes.removeLast()
        } else {
            modes[modes.count - 1] = .interpolation(depth: next)
            keep()
        }
    }

    private mutating func lineComment() {
        if text[index] == "\n" { modes.removeLast() } else { blank(1) }
    }

    private mutating func blockComment(_ depth: Int) {
        if starts("*/", at: index) {
            blank(2)
            if depth == 1 { modes.removeLast() } else { modes[modes.count - 1] = .blockComment(depth: depth - 1) }
        } else if starts("/*", at: index) {
            blank(2)
            modes[modes.count - 1] = .blockComment(depth: depth + 1)
        } else {
            blank(1)
        }
    }

    private mutating func string(_ hashes: Int, _ multiline: Bool) {
        let marks = String(repeating: "#", count: hashes)
        if starts("\\" + marks, at: index) {
            let after = index + 1 + hashes
            if starts("(", at: after) {
                blank(2 + hashes)
                modes.append(.interpolation(depth: 1))
            } else {
                blank(2 + hashes)
            }
        } else if starts((multiline ? "\"\"\"" : "\"") + marks, at: index) {
            blank((multiline ? 3 : 1) + hashes)
            modes.removeLast()
        } else if !multiline, text[index] == "\n" {
            modes.removeLast()
        } else {
            blank(1)
        }
    }
}
