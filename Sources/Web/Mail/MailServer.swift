/// The server that letters are handed to: `smtps://user:password@host:465` or `smtp://host:587`.
///
/// `smtp` changes over to TLS before anything is told (STARTTLS), and gives up where the server can't; a server on this
/// very machine, or one with `?tls=none` behind it, is spoken to openly.
package struct MailServer: Sendable, Hashable {
    /// How the connection is protected.
    enum Protection: Sendable, Hashable {
        case fromTheStart
        case afterGreeting
        case none
    }

    /// Scheme, credentials, host and port.
    let address: String
    let protection: Protection

    /// Longest text that is looked at, in bytes.
    private static let lengthMax = 1024

    /// Nil when `text` is no such address.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.lengthMax, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        guard let mark = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "smtp" || scheme == "smtps" else { return nil }
        var authority = text[mark.upperBound...]
        var isOpen = false
        if let query = authority.firstIndex(of: "?") {
            guard authority[query...] == "?tls=none", scheme == "smtp" else { return nil }
            isOpen = true
            authority = authority[..<query]
        }
        if authority.last == "/" { authority = authority.dropLast() }
        guard !authority.contains("/"), !authority.contains("#"), !authority.contains("\\") else { return nil }
        let place = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        guard let host = Self.host(place) else { return nil }
        let isLocal = host == "localhost" || host == "::1" || host.hasPrefix("127.")
        protection = scheme == "smtps" ? .fromTheStart : isOpen || isLocal ? .none : .afterGreeting
        address = "\(scheme)://\(authority)"
    }

    /// The host of `host`, `host:port`, `[address]` or `[address]:port`.
    private static func host(_ place: Substring) -> String? {
        let host: Substring
        var port: Substring?
        if place.first == "[" {
            guard let end = place.firstIndex(of: "]") else { return nil }
            host = place[place.index(after: place.startIndex)..<end]
            let rest = place[place.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else {
            let parts = place.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let first = parts.first else { return nil }
            host = first
            port = parts.count == 2 ? parts[1] : nil
        }
        if let port { guard let number = Int(port), (1...65_535).contains(number) else { return nil } }
        return host.isEmpty ? nil : host.lowercased()
    }
}
