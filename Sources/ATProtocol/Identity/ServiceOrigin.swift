/// Where a server is reached: scheme, host and port, without user, path, query or fragment.
package struct ServiceOrigin: Sendable, Hashable, CustomStringConvertible {
    /// How it is reached.
    package enum Scheme: String, Sendable, Hashable {
        case https
        /// For development: whoever makes the request decides whether that is allowed.
        case http

        /// The port that is left out of the text.
        package var portDefault: Int {
            switch self {
            case .https: 443
            case .http: 80
            }
        }
    }

    package let scheme: Scheme
    /// A host name or an IPv4 address, in lower case.
    package let host: String
    /// 1…65535, nil for the scheme's own.
    package let port: Int?

    /// Longest text that is read, in bytes.
    package static let lengthMax = 300

    /// Reads `https://host[:port][/]`; nil for anything else.
    package init?(_ text: String) {
        guard text.utf8.count <= Self.lengthMax, let colon = text.firstRange(of: "://"),
            let scheme = Scheme(rawValue: text[..<colon.lowerBound].lowercased())
        else { return nil }
        var authority = text[colon.upperBound...]
        if authority.hasSuffix("/") { authority.removeLast() }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let host = parts.first, Self.isHost(host) else { return nil }
        var port: Int?
        if parts.count == 2 {
            guard let number = Self.port(parts[1]) else { return nil }
            port = number == scheme.portDefault ? nil : number
        }
        self.scheme = scheme
        self.host = host.lowercased()
        self.port = port
    }

    /// The text, without a final slash.
    package var string: String {
        scheme.rawValue + "://" + host + (port.map { ":\($0)" } ?? "")
    }

    package var description: String { string }

    /// The number of 1…5 digits, 1…65535, or nil.
    static func port(_ text: some StringProtocol) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy(\.isASCIIDigit), let number = Int(text),
            (1...65_535).contains(number)
        else { return nil }
        return number
    }

    /// Labels of 1…63 letters, digits and inner hyphens, joined by dots.
    private static func isHost(_ text: Substring) -> Bool {
        guard (1...253).contains(text.utf8.count) else { return false }
        return text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy { $0.isASCIIAlphanumeric || $0 == UInt8(ascii: "-") }
        }
    }
}
