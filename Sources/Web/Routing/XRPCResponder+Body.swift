import ATProtocol

extension XRPCResponder {
    /// The body of an XRPC call: parsed JSON, or a stream for other encodings (https://atproto.com/specs/xrpc).
    func body(
        of request: IncomingRequest,
        schema: any XRPCMethodSchema,
        route: Route
    ) async throws -> (input: DataValue, body: RequestBody) {
        guard !route.inputEncodings.isEmpty else {
            // GET bodies have no meaning (RFC 9110 section 9.3.1) and some clients send them.
            if schema.kind == .procedure, try await request.body.hasBytes() {
                throw WebFailure.invalidRequest("A request body was provided when none was expected")
            }
            return (.null, RequestBody())
        }
        guard request.body.mayHaveBytes, try await request.body.hasBytes() else {
            // Where no field is needed, no body says as much as an empty object.
            if route.takesJSON, (try? schema.checked(input: .map([:]))) != nil { return (.map([:]), RequestBody()) }
            throw WebFailure.invalidRequest("A request body is expected but none was provided")
        }
        guard let type = request.head.contentType else {
            throw WebFailure.invalidRequest("Request encoding (Content-Type) required but not provided")
        }
        guard route.inputEncodings.contains(where: { MediaType.pattern($0, covers: type) }) else {
            throw WebFailure.unsupportedMediaType(type, expected: route.inputEncodings.joined(separator: " or "))
        }
        let body = try requestBody(request, byteCountMax: route.bodyByteCountMax)
        guard route.takesJSON else { return (.null, body) }
        return (try JSONInput.parse(await body.collect()), RequestBody())
    }

    /// The body as a bounded stream, decompressed.
    ///
    /// - Throws: `.payloadTooLarge` when the announced length is over the limit; `.unsupportedEncoding`.
    func requestBody(_ request: IncomingRequest, byteCountMax: Int) throws(WebFailure) -> RequestBody {
        let declared = request.body.declaredByteCount
        if let declared, declared > byteCountMax { throw .payloadTooLarge(byteCountMax: byteCountMax) }
        switch request.head.header("content-encoding")?.lowercased() {
        case nil, "", "identity":
            return RequestBody(source: request.body, byteCountMax: byteCountMax, declaredByteCount: declared)
        case "gzip", "x-gzip", "deflate":
            let inflating = try InflatingBody(request.body)
            return RequestBody(source: inflating, byteCountMax: byteCountMax, declaredByteCount: nil)
        case .some(let other):
            throw .unsupportedEncoding(other)
        }
    }
}
