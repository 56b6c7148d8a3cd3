package import ATProtocol

/// One request as a handler sees it: parsed, checked against its lexicon, and authenticated.
package struct XRPCCall<Caller: Sendable>: Sendable {
    /// The request line, headers and origin.
    package let head: RequestHead
    /// Who calls, as `authenticate` found it.
    package let caller: Caller
    /// The lexicon's parameters, typed and with defaults filled in. Empty on plain routes.
    package let parameters: DataMap
    /// The JSON body, validated against the lexicon; `.null` when the method takes none or another encoding.
    package let input: DataValue
    /// The values of `:name` segments of a plain route, percent-decoded.
    package let path: [String: String]
    /// The body of uploads and of plain routes, not yet read. Empty when `input` was parsed from it.
    package let body: RequestBody

    let scope: RequestScope

    init(
        head: RequestHead,
        caller: Caller,
        parameters: DataMap,
        input: DataValue,
        path: [String: String],
        body: RequestBody,
        scope: RequestScope
    ) {
        self.head = head
        self.caller = caller
        self.parameters = parameters
        self.input = input
        self.path = path
        self.body = body
        self.scope = scope
    }

    /// A call made by hand, for tests of handlers and in-process calls.
    package init(
        head: RequestHead,
        caller: Caller,
        parameters: DataMap = DataMap(),
        input: DataValue = .null,
        path: [String: String] = [:],
        body: [UInt8] = []
    ) {
        self.init(
            head: head, caller: caller, parameters: parameters, input: input, path: path, body: RequestBody(body),
            scope: RequestScope(limiter: nil))
    }

    /// The called method, e.g. `com.atproto.repo.getRecord`; empty on plain routes.
    package var nsid: String { head.nsid ?? "" }

    /// The id that is sent to the client and stands in the log.
    package var requestID: String { head.requestID }

    /// The client's address in text form.
    package var remoteAddress: String { head.remoteAddress }

    /// The media type of the body without parameters, lower case; nil when none was given.
    package var contentType: String? { head.contentType }

    /// The first value of the header `name` (any case), or nil.
    package func header(_ name: String) -> String? { head.header(name) }

    /// The lexicon parameter or, on plain routes, the query parameter `name` as text; nil when absent or no text.
    package func parameter(_ name: String) -> String? {
        if let value = parameters[name] { return value.stringValue }
        guard head.nsid == nil else { return nil }
        return (try? QueryString.pairs(head.query))?.first { $0.0 == name }?.1
    }

    /// All query parameters as sent, in order, decoded.
    ///
    /// - Throws: `WebFailure.invalidRequest` for broken percent-encoding.
    package func queryPairs() throws(WebFailure) -> [(String, String)] {
        try QueryString.pairs(head.query)
    }

    /// Reads the whole body and parses it as JSON, for plain routes.
    ///
    /// - Throws: `WebFailure` for a wrong media type, malformed JSON or a body over the route's limit.
    package func jsonBody() async throws -> DataValue {
        guard contentType == "application/json" else {
            throw WebFailure.unsupportedMediaType(contentType, expected: "application/json")
        }
        return try JSONInput.parse(await body.collect())
    }

    /// Reads the whole body as an HTML form (`application/x-www-form-urlencoded`), in order.
    ///
    /// - Throws: `WebFailure` for a wrong media type, broken encoding or a body over the route's limit.
    package func formBody() async throws -> [(String, String)] {
        guard contentType == "application/x-www-form-urlencoded" else {
            throw WebFailure.unsupportedMediaType(contentType, expected: "application/x-www-form-urlencoded")
        }
        return try QueryString.pairs(String(decoding: await body.collect(), as: UTF8.self))
    }

    /// Takes `points` from the bucket of `limit` that belongs to `key`, for limits known only inside a handler.
    ///
    /// The tightest bucket touched in a call is told in its `RateLimit-*` headers.
    /// - Throws: `RateLimitExceeded` (429) when the bucket holds too little; then nothing is taken.
    package func charge(_ limit: RateLimit, key: String, points: Int = 1) throws(RateLimitExceeded) {
        try scope.charge(limit, key: key, points: points)
    }
}
