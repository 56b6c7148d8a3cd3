import Testing

/// A room's tables are its own: nobody else reads or writes them.
struct TableTests {
    nonisolated(unsafe) private static let creation = /CREATE TABLE (?:IF NOT EXISTS )?(\w+)/
    nonisolated(unsafe) private static let use = /\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)/

    @Test func tablesAreReadInTheirRoomOnly() {
        // Storage is one room to those above it, and steps of a schema may look at what is there already.
        let files = SourceTree.shared.sources.filter { $0.target != "Storage" }
        var rooms: [Substring: String] = [:]
        for file in files {
            for line in file.lines {
                for match in line.matches(of: Self.creation) { rooms[match.output.1] = file.folder }
            }
        }
        #expect(rooms.count > 20)
        for file in files where !file.name.hasSuffix("Schema.swift") {
            for (number, line) in file.lines.enumerated() {
                for match in line.matches(of: Self.use) {
                    guard let room = rooms[match.output.1], room != file.folder else { continue }
                    Issue.record("\(file.complaint(number, "\(match.output.1) is a table of \(room)"))")
                }
            }
        }
    }
}
