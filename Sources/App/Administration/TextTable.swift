/// Columns for a terminal, as wide as they must be.
struct TextTable {
    private let heads: [String]?
    private let rows: [[String]]

    init(_ heads: [String]?, _ rows: [[String]]) {
        self.heads = heads
        self.rows = rows
    }

    /// The lines, without an end of line after the last.
    var text: String {
        let all = (heads.map { [$0] } ?? []) + rows.map { $0.map(Self.printable) }
        let columns = all.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in all.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column + 1 < row.count { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }

    /// What others wrote can't move the cursor or colour the screen.
    private static func printable(_ text: String) -> String {
        String(
            text.map { $0.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) } ? "?" : $0 })
    }
}
