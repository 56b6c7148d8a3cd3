/// A did:web as the AT Protocol allows it: a host name without a path, or `localhost` with a port in development.
///
/// - Spec: https://atproto.com/specs/did#blessed-did-methods
package struct DIDWeb: Sendable, Hashable {
    package let did: DID
    /// Where the document lies.
    package let origin: ServiceOrigin

    private static let prefix = "did:web:"
    private static let localhost = "localhost"

    /// The identity of a DID, nil when it isn't of the method or not of the form allowed.
    package init?(_ did: DID) {
        guard did.string.hasPrefix(Self.prefix) else { return nil }
        let identifier = did.string.dropFirst(Self.prefix.count)
        let parts = identifier.split(separator: "%3A", maxSplits: 1, omittingEmptySubsequences: false)
        let port = parts.count == 2 ? String(parts[1]) : nil
        guard let host = parts.first, let made = Self(host: String(host), portText: port), made.did == did else {
            return nil
        }
        self = made
    }

    /// The identity of a host; nil when it isn't a name that an identity may have.
    ///
    /// - Parameters:
    ///   - host: in lower case; an address is refused.
    ///   - port: only for `localhost`.
    package init?(host: String, port: Int? = nil) {
        self.init(host: host, portText: port.map { String($0) })
    }

    private init?(host: String, portText: String?) {
        let scheme: String
        if host == Self.localhost {
            scheme = "http"
        } else {
            // A handle's rules are a public host name's, and its last label is never a number.
            guard portText == nil, let name = try? Handle(parsing: host), name.string == host else { return nil }
            scheme = "https"
        }
        var authority = host
        var identifier = host
        if let portText {
            guard let port = ServiceOrigin.port(portText), String(port) == portText else { return nil }
            authority += ":" + portText
            identifier += "%3A" + portText
        }
        guard let did = try? DID(parsing: Self.prefix + identifier),
            let origin = ServiceOrigin(scheme + "://" + authority)
        else { return nil }
        self.did = did
        self.origin = origin
    }

    /// Where the document is fetched: `https://host/.well-known/did.json`, by http from localhost.
    package var documentURL: String { origin.string + Self.documentPath }

    /// The path of the document on its host.
    package static let documentPath = "/.well-known/did.json"
}

extension DID {
    /// Whether this is a did:plc of the right form: 24 characters of lower-case base32.
    package var isPLC: Bool {
        method == "plc" && identifier.utf8.count == 24
            && identifier.utf8.allSatisfy { $0.isASCIILowercase || (0x32...0x37).contains($0) }
    }
}
