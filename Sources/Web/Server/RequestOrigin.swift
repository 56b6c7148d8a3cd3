import Base
import NIOHTTP1
import Synchronization

/// Finds the address of the client behind reverse proxies of ours.
enum RequestOrigin {
    /// How many addresses of X-Forwarded-For are looked at, from the right.
    private static let hopCountMax = 20

    /// The client's address.
    ///
    /// X-Forwarded-For counts only when the peer is on a local network; then it is read from the right, past
    /// addresses of local networks, since everything further left is the client's own claim.
    /// - Parameter peer: the other end of the socket; nil for sockets without addresses, which are local.
    static func address(peer: IPAddress?, fields: HTTPHeaders) -> String {
        guard peer?.isLocalNetwork ?? true else { return peer?.description ?? "" }
        var client = peer
        let forwarded = fields[canonicalForm: "x-forwarded-for"]
        for hop in forwarded.reversed().prefix(hopCountMax) {
            guard let address = Self.hop(hop) else { break }
            client = address
            if !address.isLocalNetwork { break }
        }
        return client?.description ?? "127.0.0.1"
    }

    /// An address as proxies write it: bare, in brackets, or with a port.
    private static func hop(_ text: Substring) -> IPAddress? {
        let text = text.trimmingSpaces()
        if let address = IPAddress(text) { return address }
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            return IPAddress(text[text.index(after: text.startIndex)..<end])
        }
        return text.firstIndex(of: ":").flatMap { IPAddress(text[..<$0]) }
    }
}

/// Makes the ids that tell requests apart in answers and logs.
final class RequestIDs: Sendable {
    private let prefix: String
    private let count = Atomic<UInt64>(0)

    /// - Parameter randomness: gives the prefix that tells this process from others.
    init(randomness: any Randomness) {
        prefix = Base32.encode(randomness.bytes(5)) + "-"
    }

    /// An id never given before: 8 random characters for the process, and a number.
    func next() -> String {
        prefix + String(count.wrappingAdd(1, ordering: .relaxed).newValue, radix: 36)
    }
}
