import NIOCore
import NIOHTTP1

/// An answer held in memory, as in-process calls and tests see it.
package struct HeldResponse: Sendable {
    package let status: Int
    /// In the order sent.
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    /// The first value of the header `name` (any case), or nil.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

extension XRPCResponder {
    /// Answers a request that comes through no socket, by the same path as all others.
    ///
    /// - Throws: what ends a streamed body early.
    package func answer(_ head: RequestHead, body: [UInt8] = []) async throws -> HeldResponse {
        let response = await respond(to: IncomingRequest(head: head, body: IncomingBody(body)))
        var bytes: [UInt8] = []
        switch response.body {
        case .none: break
        case .bytes(let buffer): bytes = Array(buffer.readableBytesView)
        case .stream(let outgoing):
            try await outgoing.stream.pump { chunk in bytes.append(contentsOf: chunk) }
        }
        return HeldResponse(
            status: Int(response.status.code), headers: response.fields.map { ($0.name, $0.value) }, body: bytes)
    }
}
