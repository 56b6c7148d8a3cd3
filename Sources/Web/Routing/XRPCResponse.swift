package import ATProtocol
package import Base

/// What a handler answers. Request id, CORS, caching and security headers are added by the server.
package struct XRPCResponse: Sendable {
    /// A response header: name and value, both ASCII without line breaks.
    package typealias Header = WireFailure.Header

    /// The body in one of the forms a handler may have it in.
    package enum Content: Sendable {
        case none
        case json(DataValue)
        case bytes([UInt8])
        case stream(ByteStream)
    }

    /// HTTP status, 200…599.
    package var status: Int
    /// Content-Type; nil sends none.
    package var contentType: String?
    /// Further headers, in order. They win over the server's own of the same name.
    package var headers: [Header]
    /// The body.
    package var content: Content

    package init(status: Int = 200, contentType: String?, headers: [Header] = [], content: Content) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.content = content
    }

    /// A value in the data model's JSON form.
    package static func json(_ value: DataValue, status: Int = 200, headers: [Header] = []) -> XRPCResponse {
        XRPCResponse(status: status, contentType: "application/json", headers: headers, content: .json(value))
    }

    /// Bytes held in memory, e.g. a blob, an archive or JSON made elsewhere.
    package static func bytes(
        _ bytes: [UInt8],
        contentType: String,
        status: Int = 200,
        headers: [Header] = []
    ) -> XRPCResponse {
        XRPCResponse(status: status, contentType: contentType, headers: headers, content: .bytes(bytes))
    }

    /// UTF-8 text, by default `text/plain`.
    package static func text(
        _ text: String,
        contentType: String = "text/plain; charset=utf-8",
        status: Int = 200,
        headers: [Header] = []
    ) -> XRPCResponse {
        XRPCResponse(status: status, contentType: contentType, headers: headers, content: .bytes(Array(text.utf8)))
    }

    /// A body made while it is sent. The next chunk is asked for only when the socket takes more.
    ///
    /// An error of the sequence before its first chunk becomes an ordinary failure; later it cuts the connection, so
    /// that the client can't take a part for the whole.
    package static func stream(
        _ stream: ByteStream,
        contentType: String,
        status: Int = 200,
        headers: [Header] = []
    ) -> XRPCResponse {
        XRPCResponse(status: status, contentType: contentType, headers: headers, content: .stream(stream))
    }

    /// As `stream(_:…)` from any sequence of chunks.
    package static func stream<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks,
        contentType: String,
        byteCount: Int? = nil,
        status: Int = 200,
        headers: [Header] = []
    ) -> XRPCResponse where Chunks.Element == [UInt8] {
        stream(
            ByteStream(chunks, byteCount: byteCount), contentType: contentType, status: status, headers: headers)
    }

    /// No body.
    package static func empty(status: Int = 200, headers: [Header] = []) -> XRPCResponse {
        XRPCResponse(status: status, contentType: nil, headers: headers, content: .none)
    }

    /// This response with one more header.
    package func adding(_ name: String, _ value: String) -> XRPCResponse {
        var copy = self
        copy.headers.append(Header(name: name, value: value))
        return copy
    }
}

/// Chunks of bytes that are produced on demand.
package struct ByteStream: Sendable {
    /// The exact sum of all chunks, sent as Content-Length when known; nil sends chunked.
    package let byteCount: Int?

    /// Hands each chunk in order to `take`, which returns when the next may be made.
    let pump: @Sendable (_ take: (consuming [UInt8]) async throws -> Void) async throws -> Void

    /// The chunks of `sequence`; iterated once.
    package init<Chunks: AsyncSequence & Sendable>(_ sequence: Chunks, byteCount: Int? = nil)
    where Chunks.Element == [UInt8] {
        self.byteCount = byteCount
        pump = { take in
            for try await chunk in sequence { try await take(chunk) }
        }
    }

    /// Chunks pushed by `body`, which awaits `take` for each.
    package init(
        byteCount: Int? = nil,
        _ body: @escaping @Sendable (_ take: (consuming [UInt8]) async throws -> Void) async throws -> Void
    ) {
        self.byteCount = byteCount
        pump = body
    }
}
