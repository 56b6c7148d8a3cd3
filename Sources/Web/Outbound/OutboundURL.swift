/// An http or https address, taken apart by one parser and put together again, so that nobody downstream can read it
/// differently.
package struct OutboundURL: Sendable, Hashable, CustomStringConvertible {
    /// What the part behind `://` up to the port means.
    package enum Host: Sendable, Hashable {
        /// A DNS name: lower case, labels of letters, digits, `-` and `_`.
        case name(String)
        case address(IPAddress)
    }

    /// Whether the scheme is https.
    package let isSecure: Bool
    package let host: Host
    package let port: Int
    /// Path and query, percent-encoded; begins with `/`.
    package let target: String

    /// The longest text that is looked at.
    package static let characterCountMax = 4096

    /// Parses `text`: `http` or `https`, no user information, a host in ordinary form, an optional port.
    ///
    /// Refused are the forms that parsers disagree on: numeric hosts such as `0x7f.1` and `2130706433`, backslashes,
    /// spaces, controls and characters outside ASCII. A fragment is dropped.
    /// - Throws: `.invalidAddress`.
    package init(parsing text: String) throws(OutboundFailure) {
        guard text.utf8.count <= Self.characterCountMax else { throw .invalidAddress("too long") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw .invalidAddress("characters that no URL has")
        }
        guard let mark = text.utf8.firstRange(of: "://".utf8) else { throw .invalidAddress("no scheme") }
        switch text[..<mark.lowerBound].lowercased() {
        case "https": isSecure = true
        case "http": isSecure = false
        default: throw .invalidAddress("the scheme isn't https")
        }
        let rest = text[mark.upperBound...]
        let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        (host, port) = try Self.authority(rest[..<authorityEnd], defaultPort: isSecure ? 443 : 80)
        let path = rest[authorityEnd...].prefix { $0 != "#" }
        target = path.hasPrefix("/") ? String(path) : "/" + path
    }

    /// The address a redirect from here leads to.
    ///
    /// - Parameter location: the Location header: an absolute URL, or a path.
    /// - Throws: `.invalidAddress`, `.badRedirect` for relative paths, which nobody sends any more.
    package func redirected(to location: String) throws(OutboundFailure) -> OutboundURL {
        if location.hasPrefix("//") { return try OutboundURL(parsing: (isSecure ? "https:" : "http:") + location) }
        if location.hasPrefix("/") { return try OutboundURL(parsing: origin + location) }
        guard location.contains("://") else { throw .badRedirect }
        return try OutboundURL(parsing: location)
    }

    /// Scheme, host and port; what credentials may be sent to.
    package var origin: String {
        let isDefault = port == (isSecure ? 443 : 80)
        return (isSecure ? "https://" : "http://") + hostText + (isDefault ? "" : ":\(port)")
    }

    package var description: String { origin + target }

    /// The host as it stands in a URL.
    package var hostText: String {
        switch host {
        case .name(let name): name
        case .address(let address): address.family == .ipv6 ? "[\(address)]" : address.description
        }
    }

    private static func authority(
        _ text: Substring,
        defaultPort: Int
    ) throws(OutboundFailure) -> (Host, Int) {
        guard !text.contains("@") else { throw .invalidAddress("a user name") }
        var hostText = text
        var port = defaultPort
        let portMark = text.hasPrefix("[") ? text.firstIndex(of: "]").map(text.index(after:)) : text.firstIndex(of: ":")
        if let portMark, portMark < text.endIndex {
            guard text[portMark] == ":" else { throw .invalidAddress("no host") }
            hostText = text[..<portMark]
            let digits = text[text.index(after: portMark)...]
            guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int(digits),
                (1...65535).contains(number)
            else { throw .invalidAddress("the port") }
            port = number
        }
        return (try host(hostText), port)
    }

    private static func host(_ text: Substring) throws(OutboundFailure) -> Host {
        if text.hasPrefix("[") {
            guard text.hasSuffix("]"), let address = IPAddress(text.dropFirst().dropLast()) else {
                throw .invalidAddress("the IPv6 address")
            }
            return .address(address)
        }
        if let address = IPAddress(text) { return .address(address) }
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.count)
                && label.allSatisfy {
                    $0 >= 0x61 && $0 <= 0x7A || $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2D || $0 == 0x5F
                }
        }
        guard isName, name.utf8.count <= 253, let last = labels.last else { throw .invalidAddress("the host") }
        // What ends in a number is an IPv4 address to some (https://url.spec.whatwg.org/#ends-in-a-number-checker).
        let isNumber = last.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } || last.starts(with: "0x".utf8)
        guard !isNumber else { throw .invalidAddress("an IPv4 address in an unusual form") }
        return .name(name)
    }
}
