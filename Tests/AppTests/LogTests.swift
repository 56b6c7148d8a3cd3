import ATProtocol
import Base
import Logging
import Testing

@testable import App

struct LogTests {
    private func logger(_ format: LogFormat, _ lines: KeptLines, level: Logger.Level = .info) -> Logger {
        let clock = ManualClock(Timestamp(seconds: 1_750_000_000))
        return Logger(label: "test") { _ in
            LineLogHandler(format: format, level: level, clock: clock, write: lines.keep)
        }
    }

    @Test func textIsOneLineForPeople() {
        let lines = KeptLines()
        var log = logger(.text, lines)
        log[metadataKey: "room"] = "blobs"
        log.warning("went\u{1b}[2J wrong\nbadly", metadata: ["cause": "no such file", "count": "3"])
        log.debug("not this")
        #expect(
            lines.all == [
                "2025-06-15T15:06:40.000Z WARNING  went [2J wrong badly cause=\"no such file\" count=3 room=blobs"
            ])
    }

    @Test func jsonIsOneObjectALine() throws {
        let lines = KeptLines()
        logger(.json, lines).error("a \"quoted\"\nline \u{1}", metadata: ["path": "C:\\x"])
        let line = try #require(lines.all.first)
        #expect(!line.contains("\n"))
        let value = try DataValue(json: Array(line.utf8))
        #expect(value["time"] == "2025-06-15T15:06:40.000Z" && value["level"] == "error")
        #expect(value["message"] == "a \"quoted\"\nline \u{1}" && value["path"] == "C:\\x")
    }
}
