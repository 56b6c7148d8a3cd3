import NIOHTTP1

/// What is known of a request before its body: the one value `authenticate` and the handlers see of HTTP.
package struct RequestHead: Sendable {
    /// The verb in capitals, e.g. `GET`.
    package let method: String
    /// The path as sent, still percent-encoded, without query: begins with `/`.
    package let path: String
    /// The raw query without `?`; empty when there is none.
    package let query: String
    /// The method's NSID when the path is `/xrpc/<nsid>`, else nil.
    package let nsid: String?
    /// The address of the client in text form (IPv4 or IPv6 without brackets): the peer's, or the one a trusted proxy forwards.
    package let remoteAddress: String
    /// A short text that is unique in this process and its predecessors; also sent as `x-request-id`.
    package let requestID: String

    let fields: HTTPHeaders

    /// A head made by hand, as tests and in-process calls need it.
    ///
    /// - Parameter target: path with optional `?query`, percent-encoded.
    package init(
        method: String = "GET",
        target: String,
        headers: [(name: String, value: String)] = [],
        remoteAddress: String = "127.0.0.1",
        requestID: String = "local"
    ) {
        self.init(
            method: method, target: target, fields: HTTPHeaders(headers.map { ($0.name, $0.value) }),
            remoteAddress: remoteAddress, requestID: requestID)
    }

    init(method: String, target: String, fields: HTTPHeaders, remoteAddress: String, requestID: String) {
        self.method = method
        self.fields = fields
        self.remoteAddress = remoteAddress
        self.requestID = requestID
        let (path, query) = Self.split(target)
        self.path = path
        self.query = query
        nsid = path.hasPrefix("/xrpc/") ? String(path.utf8.dropFirst(6)) : nil
    }

    /// The first value of the header `name` (any case), or nil.
    package func header(_ name: String) -> String? {
        fields.first(name: name)
    }

    /// All values of the header `name` (any case), one for each line sent.
    package func headers(_ name: String) -> [String] {
        fields[name]
    }

    /// The host the client asked for, lower case, with its port where one was given; empty when the header is absent.
    package var host: String { header("host")?.lowercased() ?? "" }

    /// The client's address as limits count it: an IPv6 client by its network (/64), of which anybody has plenty of addresses.
    package var addressKey: String { IPAddress(remoteAddress)?.limitKey ?? remoteAddress }

    /// The media type of the body without parameters, lower case; nil when none was given.
    package var contentType: String? {
        header("content-type").map(MediaType.essence(of:))
    }

    /// The value of the cookie `name`, or nil.
    package func cookie(_ name: String) -> String? {
        for line in headers("cookie") {
            for pair in line.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2, parts[0].trimmingSpaces() == name { return parts[1].trimmingSpaces() }
            }
        }
        return nil
    }

    /// Path and query of a request target in origin or absolute form (RFC 9112 section 3.2).
    private static func split(_ target: String) -> (path: String, query: String) {
        var rest = target[...].utf8
        if rest.first != UInt8(ascii: "/"), let scheme = target.utf8.firstRange(of: "://".utf8) {
            let authority = target[scheme.upperBound...].utf8
            rest = authority.firstIndex(of: UInt8(ascii: "/")).map { authority[$0...] } ?? "/"[...].utf8
        }
        if let fragment = rest.firstIndex(of: UInt8(ascii: "#")) { rest = rest[..<fragment] }
        guard let mark = rest.firstIndex(of: UInt8(ascii: "?")) else { return (String(Substring(rest)), "") }
        return (String(Substring(rest[..<mark])), String(Substring(rest[rest.index(after: mark)...])))
    }
}

extension StringProtocol {
    /// The text without spaces and tabs at its ends.
    func trimmingSpaces() -> String {
        var bytes = Substring(self).utf8
        while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
        while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
        return String(Substring(bytes))
    }
}
