import ATProtocol
import Base
import NIOCore
import NIOHTTP1

/// Turns what handlers return into what goes out: the headers every answer has, and compression.
struct ResponseAssembly: Sendable {
    let compressByteCountMin: Int
    /// What every answer has besides its request id, made once.
    private let common: HTTPHeaders

    init(compressByteCountMin: Int, isStrictTransport: Bool) {
        self.compressByteCountMin = compressByteCountMin
        var common: HTTPHeaders = [
            "access-control-allow-origin": "*", "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'", "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
        ]
        if isStrictTransport {
            common.add(name: "strict-transport-security", value: "max-age=63072000; includeSubDomains")
        }
        self.common = common
    }

    /// What clients in a browser may read of an answer.
    private static let exposedHeaders =
        "DPoP-Nonce, WWW-Authenticate, atproto-repo-rev, atproto-content-labelers, RateLimit-Limit, "
        + "RateLimit-Remaining, RateLimit-Reset, RateLimit-Policy, Retry-After, X-Request-Id"

    /// The longest Access-Control-Request-Headers that is repeated.
    private static let requestedHeadersByteCountMax = 2048

    /// An answer with all headers. The handler's own win over ours.
    ///
    /// - Throws: `InvalidHeader` when a handler made a header that would break the message.
    func assemble(
        _ response: XRPCResponse,
        for head: RequestHead,
        isAnonymous: Bool
    ) throws -> OutgoingResponse {
        var fields = common
        if !isAnonymous {
            fields.add(name: "cache-control", value: "private")
            fields.add(name: "vary", value: "Authorization")
        }
        for header in response.headers {
            guard Self.isValid(header) else { throw InvalidHeader(name: header.name) }
            if common.contains(name: header.name) || header.name.lowercased() == "cache-control" {
                fields.replaceOrAdd(name: header.name, value: header.value)
            } else {
                fields.add(name: header.name, value: header.value)
            }
        }
        addRequestFields(to: &fields, head: head)
        var mayCompress = false
        if let contentType = response.contentType {
            guard Self.isValid(.init(name: "content-type", value: contentType)) else {
                throw InvalidHeader(name: "content-type")
            }
            fields.replaceOrAdd(name: "content-type", value: contentType)
            if Self.isCompressible(contentType) {
                fields.add(name: "vary", value: "Accept-Encoding")
                mayCompress =
                    response.status != 206 && MediaType.acceptsGzip(head.headers("accept-encoding"))
                    && !fields.contains(name: "content-encoding")
            }
        }
        let status = HTTPResponseStatus(statusCode: response.status)
        return OutgoingResponse(
            status: status, fields: fields, body: .none
        ).with(response.content, mayCompress: mayCompress, byteCountMin: compressByteCountMin)
    }

    /// The answer to a CORS preflight, for any path.
    func preflight(_ head: RequestHead) -> OutgoingResponse {
        var fields = common
        addRequestFields(to: &fields, head: head)
        fields.add(name: "access-control-allow-methods", value: "GET, HEAD, POST, PUT, PATCH, DELETE")
        let asked = head.headers("access-control-request-headers").joined(separator: ", ")
        let isFit = asked.utf8.count <= Self.requestedHeadersByteCountMax && asked.utf8.allSatisfy { $0 >= 0x20 }
        if !asked.isEmpty, isFit { fields.add(name: "access-control-allow-headers", value: asked) }
        fields.add(name: "access-control-max-age", value: "86400")
        fields.add(name: "allow", value: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        return OutgoingResponse(status: .noContent, fields: fields, body: .none)
    }

    private func addRequestFields(to fields: inout HTTPHeaders, head: RequestHead) {
        fields.add(name: "x-request-id", value: head.requestID)
        if head.header("origin") != nil {
            fields.add(name: "access-control-expose-headers", value: Self.exposedHeaders)
        }
    }

    /// Whether a header can stand in a message: a token as name, no line breaks or controls in the value.
    private static func isValid(_ header: XRPCResponse.Header) -> Bool {
        !header.name.isEmpty
            && header.name.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: ":")
            } && header.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    private static func isCompressible(_ contentType: String) -> Bool {
        let type = MediaType.essence(of: contentType)
        return type.hasPrefix("text/") || type.hasSuffix("json") || type == "application/vnd.ipld.car"
            || type == "image/svg+xml" || type == "application/javascript"
    }
}

/// A handler made a header that no HTTP message may have: a mistake of ours, so 500.
struct InvalidHeader: Error {
    let name: String
}

extension OutgoingResponse {
    /// This answer with a body, compressed when that is allowed and worth it.
    fileprivate func with(
        _ content: XRPCResponse.Content,
        mayCompress: Bool,
        byteCountMin: Int
    ) -> OutgoingResponse {
        var copy = self
        switch content {
        case .none: copy.setBytes([], mayCompress: false, byteCountMin: byteCountMin)
        case .json(let value): copy.setBytes(value.json(), mayCompress: mayCompress, byteCountMin: byteCountMin)
        case .bytes(let bytes): copy.setBytes(bytes, mayCompress: mayCompress, byteCountMin: byteCountMin)
        case .stream(let stream):
            if mayCompress {
                copy.markCompressed()
                copy.fields.remove(name: "content-length")
            } else if let byteCount = stream.byteCount {
                copy.fields.replaceOrAdd(name: "content-length", value: String(byteCount))
            }
            let failure = OutgoingResponse(status: .internalServerError, fields: HTTPHeaders(), body: .none)
            copy.body = .stream(
                OutgoingStream(
                    stream: stream, isCompressed: mayCompress, failure: { _ in failure }, abandoned: { _ in }))
        }
        return copy
    }

    private mutating func markCompressed() {
        fields.replaceOrAdd(name: "content-encoding", value: "gzip")
        // A strong tag names the bytes before compression (RFC 9110 section 8.8.1).
        if let tag = fields.first(name: "etag"), tag.hasPrefix("\"") {
            fields.replaceOrAdd(name: "etag", value: "W/" + tag)
        }
    }

    private mutating func setBytes(_ bytes: [UInt8], mayCompress: Bool, byteCountMin: Int) {
        var sent = bytes
        if mayCompress, bytes.count >= byteCountMin, let compressed = GzipEncoder.compress(bytes) {
            sent = compressed
            markCompressed()
        }
        if status.mayHaveResponseBody {
            fields.replaceOrAdd(name: "content-length", value: String(sent.count))
        }
        body = sent.isEmpty || !status.mayHaveResponseBody ? .none : .bytes(ByteBuffer(bytes: sent))
    }
}
