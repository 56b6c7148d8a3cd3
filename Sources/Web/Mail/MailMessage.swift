import Base

/// A letter of plain text to one person.
package struct MailMessage: Sendable, Hashable {
    /// The address; printable ASCII without spaces.
    package var recipient: String
    /// One line.
    package var subject: String
    /// Text with line feeds.
    package var text: String

    package init(to recipient: String, subject: String, text: String) {
        self.recipient = recipient
        self.subject = subject
        self.text = text
    }

    /// The message as it is sent (RFC 5322, MIME): all ASCII, lines ended by CRLF and of at most 78 bytes where that can be.
    ///
    /// - Parameters:
    ///   - sender: the address it comes from.
    ///   - id: unique; what stands before the `@` of the Message-ID.
    /// - Throws: `.invalidAddress` for an address that could not stand in a header alone.
    func wire(from sender: String, id: String, date: Timestamp) throws(MailFailure) -> [UInt8] {
        for address in [sender, recipient] {
            guard Self.isAddress(address) else { throw .invalidAddress }
        }
        let host = sender.split(separator: "@").last ?? "localhost"
        let head = [
            "Date: \(Self.date(date))", "From: <\(sender)>", "To: <\(recipient)>", "Subject: \(Self.header(subject))",
            "Message-ID: <\(id)@\(host)>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: base64", "Auto-Submitted: auto-generated",
        ]
        let body = Self.folded(Base64.encode(Array(text.replacing("\n", with: "\r\n").utf8)), length: 76)
        return Array((head.joined(separator: "\r\n") + "\r\n\r\n" + body.joined(separator: "\r\n") + "\r\n").utf8)
    }

    /// Whether an address can stand between angle brackets: whatever it is, it ends neither the brackets nor the line.
    static func isAddress(_ text: String) -> Bool {
        (3...320).contains(text.utf8.count) && text.contains("@")
            && text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
            }
    }

    /// A header's text: as it is when it is plain, else in encoded words (RFC 2047) of at most 75 bytes.
    static func header(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20...0x7E).contains($0) } && text.utf8.count <= 60
        if isPlain, !text.contains("=?") { return text }
        var words: [String] = []
        var bytes: [UInt8] = []
        func end() {
            if !bytes.isEmpty { words.append("=?utf-8?B?\(Base64.encode(bytes))?=") }
            bytes = []
        }
        for character in text {
            // A character that is broken over two words can't be read.
            if bytes.count + character.utf8.count > 42 { end() }
            bytes.append(contentsOf: character.utf8.prefix(42))
        }
        end()
        return words.joined(separator: "\r\n ")
    }

    private static func folded(_ text: String, length: Int) -> [Substring] {
        var lines: [Substring] = []
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return lines
    }

    /// `Thu, 01 Jan 1970 00:00:00 +0000`.
    private static func date(_ time: Timestamp) -> String {
        HTTPDate.text(secondsSince1970: time.seconds).replacing("GMT", with: "+0000")
    }
}

/// Why a letter was not taken.
package enum MailFailure: Error, Sendable, Hashable {
    /// The address of sender or recipient is none.
    case invalidAddress
    /// The server said no for good: its code, e.g. 550.
    case refused(code: Int)
    /// The server was not reached, or had no time: worth trying again. The reason for the log.
    case unavailable(reason: String)
}

/// What brings letters on their way.
package protocol MailTransport: Sendable {
    /// Hands a letter over; returns once it was taken.
    func send(_ message: MailMessage) async throws(MailFailure)
}
