package import ATProtocol
package import Base

/// What an event of the log is about. Open: later rooms may add kinds.
package struct LogEventKind: Sendable, Hashable, RawRepresentable {
    /// A lowercase word, e.g. `commit`.
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// A commit to a repository (`#commit`).
    package static let commit = LogEventKind(rawValue: "commit")
    /// A repository's state without its history (`#sync`).
    package static let sync = LogEventKind(rawValue: "sync")
    /// A change of handle or keys (`#identity`).
    package static let identity = LogEventKind(rawValue: "identity")
    /// A change of an account's standing (`#account`).
    package static let account = LogEventKind(rawValue: "account")
}

/// An event that is to be appended: its frame lacks nothing but the sequence number.
package struct LogEntry: Sendable, Hashable {
    package var did: DID
    package var kind: LogEventKind
    package var time: Timestamp
    package var frame: PreparedFrame

    package init(did: DID, kind: LogEventKind, time: Timestamp, frame: PreparedFrame) {
        self.did = did
        self.kind = kind
        self.time = time
        self.frame = frame
    }
}

/// An event of the log: durable, numbered, with its ready-made frame.
package struct LogEvent: Sendable, Hashable {
    /// 1 or more; strictly increasing in the order of commits. Not without gaps.
    package let seq: Int64
    package let did: DID
    package let kind: LogEventKind
    package let time: Timestamp
    /// The frame as a subscriber is sent it, the number included.
    package let frame: [UInt8]
}
