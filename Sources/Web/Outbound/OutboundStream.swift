import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// An answer whose body is still to be read.
package struct OutboundStream: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: OutboundBody
}

/// The body of an answer as it comes in. Whoever drops it before its end closes the connection.
package final class OutboundBody: @unchecked Sendable {
    // For one caller at a time, as `next` says: nothing else touches the iterator.
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private let lease: PinnedClients.Lease

    init(_ body: HTTPClientResponse.Body, lease: PinnedClients.Lease) {
        iterator = body.makeAsyncIterator()
        self.lease = lease
    }

    /// The next bytes, or nil at the end. For one caller at a time.
    ///
    /// - Throws: `.broken`, also when the body ends before its announced length; `CancellationError`.
    package func next() async throws -> [UInt8]? {
        do {
            let buffer = try await iterator.next()
            // A cancelled sequence ends, as if the body were over.
            try Task.checkCancellation()
            return buffer.map { Array($0.readableBytesView) }
        } catch let error as CancellationError {
            throw error
        } catch {
            throw OutboundFailure.broken(error)
        }
    }
}

extension OutboundClient {
    /// Sends a request with a body of any length and returns once the head of the answer is there. Follows no redirects.
    ///
    /// There is no limit of time: the caller measures it, and cancels.
    /// - Parameters:
    ///   - headers: sent as they are, beside Host, User-Agent and Content-Length.
    ///   - body: exactly `byteCount` bytes; iterated again when another address of the server is tried.
    /// - Throws: `OutboundFailure`, `CancellationError`; what `body` throws.
    package func stream<Body: AsyncSequence & Sendable>(
        _ method: String, _ address: String, headers: [(name: String, value: String)], body: Body, byteCount: Int64
    ) async throws -> OutboundStream where Body.Element == [UInt8] {
        let url = try OutboundURL(parsing: address)
        var request = HTTPClientRequest(url: url.description)
        request.method = HTTPMethod(rawValue: method)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if !request.headers.contains(name: "user-agent") {
            request.headers.add(name: "user-agent", value: policy.userAgent)
        }
        if byteCount > 0 {
            request.body = .stream(body.map { ByteBuffer(bytes: $0) }, length: .known(byteCount))
        } else if method == "PUT" || method == "POST" {
            request.body = .bytes(ByteBuffer())
        }
        let ready = request
        return try await trying(url) { address in
            let lease = try await clients.lease(host: url.hostText, address: address)
            do {
                let response = try await lease.client.execute(ready, deadline: .distantFuture)
                return OutboundStream(
                    status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                    body: OutboundBody(response.body, lease: lease))
            } catch let error as HTTPClientError where error == .cancelled {
                throw CancellationError()
            } catch let error where error is HTTPClientError || error is IOError || error is ChannelError {
                throw OutboundFailure.broken(error)
            }
        }
    }
}

extension OutboundFailure {
    /// Whether the request can't have reached anybody.
    package var isUnconnected: Bool {
        switch self {
        case .broken(let cause): OutboundClient.neverConnected(cause)
        case .invalidAddress, .forbiddenAddress, .unresolved: true
        case .badRedirect, .timeout, .tooLarge: false
        }
    }
}
