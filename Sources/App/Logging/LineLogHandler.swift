package import Base
import Foundation
package import Logging
import Synchronization

/// Writes lines of the log to standard error, for people or as JSON.
package struct LineLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    private let format: LogFormat
    private let clock: any WallClock
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes a whole line without its end; called by several threads at once.
    package init(
        format: LogFormat, level: Logger.Level, clock: any WallClock,
        write: @escaping @Sendable (String) -> Void = StandardError.write
    ) {
        self.format = format
        self.clock = clock
        self.write = write
        logLevel = level
    }

    /// The metadata every line of this logger carries (`LogHandler`).
    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one line (`LogHandler`).
    package func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let time = Self.text(of: clock.now())
        switch format {
        case .text: write(Self.line(time, event.level, "\(event.message)", all))
        case .json: write(Self.json(time, event.level, "\(event.message)", all))
        }
    }

    private static func line(
        _ time: String, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata
    ) -> String {
        let word = level.rawValue.uppercased()
        var line = "\(time) \(word)\(String(repeating: " ", count: max(0, 8 - word.count))) \(printable(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = printable("\(value)")
            line += text.contains(" ") ? " \(key)=\"\(text)\"" : " \(key)=\(text)"
        }
        return line
    }

    private static func json(
        _ time: String, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata
    ) -> String {
        var line = "{\"time\":\(quoted(time)),\"level\":\(quoted(level.rawValue)),\"message\":\(quoted(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ",\(quoted(key)):\(quoted("\(value)"))"
        }
        return line + "}"
    }

    /// Text of others stays on its line and can't move the cursor of whoever reads it.
    private static func printable(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return text }
        return String(
            text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) })
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                result += "\\u00" + Hex.encode([UInt8(scalar.value)])
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// `2025-11-21T13:45:00.123Z`.
    private static func text(of now: Timestamp) -> String {
        var seconds = time_t(now.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let milliseconds = String(1000 + Int(now.milliseconds - now.seconds * 1000)).dropFirst()
        return "\(1900 + Int(parts.tm_year))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour))"
            + ":\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)Z"
    }
}

/// The process's standard error, line by line.
package enum StandardError {
    private static let lock = Mutex(())

    /// Writes a line with its end in one piece. What can't be written is lost: there is nobody to tell.
    @Sendable package static func write(_ line: String) { write(line + "\n", to: 2) }

    static func write(_ text: String, to descriptor: Int32) {
        lock.withLock { _ in
            let bytes = Array(text.utf8)
            var written = 0
            while written < bytes.count {
                let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                written += count
            }
        }
    }
}

extension Logger.Level {
    /// The level of the log's own library.
    package init(_ level: LogLevel) {
        switch level {
        case .trace: self = .trace
        case .debug: self = .debug
        case .info: self = .info
        case .notice: self = .notice
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
