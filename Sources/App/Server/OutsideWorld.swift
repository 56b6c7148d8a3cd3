import Identity
import Web

/// The world outside, as an instance reaches it: the guarded client and the resolver.
struct OutsideWorld: RemoteLookup {
    let client: OutboundClient
    private let resolver: DNSResolver

    init(_ configuration: Configuration) throws(DNSFailure) {
        resolver = try DNSResolver()
        let agent = "kith/\(KithVersion.number) (+\(configuration.name.url))"
        client = OutboundClient(
            policy: OutboundClient.Policy(isGuarded: configuration.isOutboundGuarded, userAgent: agent),
            resolver: resolver)
    }

    func get(_ url: String, sizeBytesMax: Int) async throws -> RemoteReply {
        let response = try await client.send(OutboundRequest("GET", url, byteCountMax: sizeBytesMax))
        return RemoteReply(status: response.status, body: response.body)
    }

    func post(_ url: String, json: [UInt8]) async throws -> RemoteReply {
        let response = try await client.send(
            OutboundRequest(
                "POST", url, headers: [("Content-Type", "application/json")], body: json, redirectCountMax: 0))
        return RemoteReply(status: response.status, body: response.body)
    }

    func textRecords(of name: String) async throws -> [String] {
        do throws(DNSFailure) {
            return try await resolver.textRecords(of: name)
        } catch .notFound {
            return []
        }
    }

    func close() async { await client.shutdown() }
}
