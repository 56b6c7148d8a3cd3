import ATProtocol
import Base
package import Storage
import Web

/// Carries a blob store's requests to its bucket, and to nobody else.
package struct BucketTransport: ObjectTransport {
    private let client: OutboundClient

    /// Connections at once: every request and every read that the store allows.
    package init(_ location: S3Location, userAgent: String, limits: S3Limits) throws {
        var policy = OutboundClient.Policy(only: try OutboundURL(parsing: location.origin.string), userAgent: userAgent)
        policy.connectionsPerHostMax = limits.requestsMax + limits.readsMax
        client = OutboundClient(policy: policy, resolver: try DNSResolver())
    }

    package func send(_ request: ObjectRequest) async throws -> ObjectReply {
        do {
            let answer = try await client.stream(
                request.method, request.url, headers: request.headers, body: request.body,
                byteCount: request.body.byteCount)
            return ObjectReply(status: answer.status, headers: answer.headers, body: Chunks(body: answer.body))
        } catch let failure as OutboundFailure {
            throw Self.failure(failure)
        }
    }

    package func close() async { await client.shutdown() }

    private struct Chunks: ObjectChunks {
        let body: OutboundBody

        func next() async throws -> [UInt8]? {
            do { return try await body.next() } catch let failure as OutboundFailure {
                throw BucketTransport.failure(failure)
            }
        }
    }

    private static func failure(_ failure: OutboundFailure) -> ObjectTransportFailure {
        let reason =
            if case .broken(let cause) = failure { String(describing: cause) } else { String(reflecting: failure) }
        return failure.isUnconnected ? .unreachable(reason) : .broken(reason)
    }
}
