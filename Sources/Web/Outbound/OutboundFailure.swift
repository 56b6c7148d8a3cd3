package import Base

/// Why a request to another server brought no answer.
package enum OutboundFailure: WireConvertible, CustomStringConvertible {
    /// The address isn't an http(s) URL this client takes; the text says what is wrong.
    case invalidAddress(String)
    /// The address leads where this server doesn't go: no https, or a host that isn't on the public Internet.
    case forbiddenAddress(String)
    /// The name has no address, or nobody could be asked.
    case unresolved(host: String, DNSFailure)
    /// More than `redirectCountMax` redirects, or one without a target.
    case badRedirect
    /// The answer was not complete in time.
    case timeout
    /// The answer is over its limit.
    case tooLarge(byteCountMax: Int)
    /// The connection or the exchange broke.
    case broken(any Error)

    package var wire: WireFailure {
        switch self {
        case .invalidAddress, .forbiddenAddress:
            WireFailure(status: 400, error: "InvalidRequest", message: description)
        case .timeout: WireFailure(status: 504, error: "UpstreamTimeout", message: description)
        case .unresolved, .badRedirect, .tooLarge, .broken:
            WireFailure(status: 502, error: "UpstreamFailure", message: description)
        }
    }

    package var description: String {
        switch self {
        case .invalidAddress(let reason): "Not an address to fetch: \(reason)"
        case .forbiddenAddress(let reason): "This server doesn't fetch from there: \(reason)"
        case .unresolved(let host, _): "No address found for \(host)"
        case .badRedirect: "The other server redirects without end"
        case .timeout: "The other server didn't answer in time"
        case .tooLarge(let byteCountMax): "The other server's answer is over \(byteCountMax) bytes"
        case .broken: "The other server couldn't be reached"
        }
    }
}

extension OutboundFailure: CustomDebugStringConvertible {
    package var debugDescription: String {
        switch self {
        case .broken(let cause): "\(description): \(String(reflecting: cause))"
        case .unresolved(_, let failure): "\(description): \(failure)"
        default: description
        }
    }
}

/// Why a DNS question brought no answer.
package enum DNSFailure: Error, Sendable, Hashable {
    /// The name doesn't exist, or has no records of the kind.
    case notFound
    /// The name isn't one that can be asked for.
    case invalidName
    /// No server answered in time.
    case timeout
    /// The servers failed or refused; c-ares' status.
    case serverFailure(status: Int)
    /// Too many questions are under way.
    case busy
    /// The resolver was stopped.
    case stopped
}

/// What answers DNS questions.
package protocol NameResolver: Sendable {
    /// The IPv4 and IPv6 addresses of `host`; at least one.
    func addresses(of host: String) async throws(DNSFailure) -> [IPAddress]
    /// The TXT records of `name`, each with its strings joined; at least one.
    func textRecords(of name: String) async throws(DNSFailure) -> [String]
}
