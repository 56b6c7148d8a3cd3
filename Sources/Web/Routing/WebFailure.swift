package import Base

/// What goes wrong in the shell itself, before or beside a handler.
package enum WebFailure: WireConvertible, Hashable {
    /// Something in the request breaks the protocol or the lexicon; the text names the field.
    case invalidRequest(String)
    /// The method exists, but is called with the other verb. XRPC answers 400 here, not 405.
    case wrongVerb(expected: String)
    /// No such XRPC method on this server.
    case methodNotImplemented(nsid: String)
    /// No such path.
    case notFound
    /// The route belongs to a part of the instance that this process does not run.
    case elsewhere
    /// The path exists, but not with this verb (plain routes).
    case methodNotAllowed(allowed: String)
    /// The client stopped in the middle of its request.
    case requestTimeout
    /// The client accepts none of the forms this answer has.
    case notAcceptable(offered: String)
    /// `If-Match` names another state than the present one.
    case preconditionFailed
    /// The body is longer than this route takes.
    case payloadTooLarge(byteCountMax: Int)
    /// The body's media type isn't one the method takes.
    case unsupportedMediaType(String?, expected: String)
    /// The body's Content-Encoding isn't known.
    case unsupportedEncoding(String)
    /// The header section is over its limit.
    case headersTooLarge
    /// A subscription was asked for without a WebSocket handshake.
    case upgradeRequired
    /// The client's address is taking as many streamed answers as it may (`ServerLimits.streamCountPerAddressMax`).
    case tooManyAnswers
    /// The range asked for lies outside of what there is.
    case rangeNotSatisfiable(byteCount: Int64)
    /// The server has no room for this now.
    case unavailable(String)

    package var wire: WireFailure {
        switch self {
        case .invalidRequest(let message):
            WireFailure(status: 400, error: "InvalidRequest", message: message)
        case .wrongVerb(let expected):
            WireFailure(
                status: 400, error: "InvalidRequest", message: "Incorrect HTTP method, expected \(expected)",
                headers: [.init(name: "allow", value: expected)])
        case .methodNotImplemented(let nsid):
            // The specification's words for a method that no room of this server has: nothing here is left undone.
            WireFailure(status: 501, error: "MethodNotImplemented", message: "Method not implemented: \(nsid)")
        case .notFound:
            WireFailure(status: 404, error: "NotFound", message: "There is nothing at this address")
        case .elsewhere:
            WireFailure(
                status: 404, error: "NotFound", message: "This process does not serve that part of the instance")
        case .methodNotAllowed(let allowed):
            WireFailure(
                status: 405, error: "MethodNotAllowed", message: "This address takes \(allowed)",
                headers: [.init(name: "allow", value: allowed)])
        case .requestTimeout:
            WireFailure(status: 408, error: "RequestTimeout", message: "The request did not arrive in time")
        case .notAcceptable(let offered):
            WireFailure(status: 406, error: "NotAcceptable", message: "The answer is \(offered)")
        case .preconditionFailed:
            WireFailure(status: 412, error: "PreconditionFailed", message: "If-Match names none of what is here")
        case .payloadTooLarge(let byteCountMax):
            WireFailure(
                status: 413, error: "PayloadTooLarge", message: "The body may have at most \(byteCountMax) bytes")
        case .unsupportedMediaType(let given, let expected):
            WireFailure(
                status: 415, error: "UnsupportedMediaType",
                message: "Wrong request encoding (Content-Type): \(given ?? "none"), expected \(expected)")
        case .unsupportedEncoding(let name):
            WireFailure(
                status: 415, error: "UnsupportedMediaType", message: "Unsupported Content-Encoding: \(name)",
                headers: [.init(name: "accept-encoding", value: "gzip, deflate")])
        case .headersTooLarge:
            WireFailure(status: 431, error: "HeadersTooLarge", message: "The request's header section is too large")
        case .upgradeRequired:
            WireFailure(
                status: 426, error: "UpgradeRequired", message: "This method is a WebSocket subscription",
                headers: [
                    .init(name: "upgrade", value: "websocket"), .init(name: "connection", value: "upgrade"),
                    .init(name: "sec-websocket-version", value: "13"),
                ])
        case .tooManyAnswers:
            WireFailure(
                status: 429, error: "RateLimitExceeded", message: "Too many downloads at once from your address",
                headers: [.init(name: "retry-after", value: "10")])
        case .rangeNotSatisfiable(let byteCount):
            WireFailure(
                status: 416, error: "RangeNotSatisfiable", message: "There are \(byteCount) bytes",
                headers: [.init(name: "content-range", value: "bytes */\(byteCount)")])
        case .unavailable(let message):
            WireFailure(
                status: 503, error: "NotEnoughResources", message: message,
                headers: [.init(name: "retry-after", value: "10")])
        }
    }
}

/// The shape in which a face tells its failures.
package struct FailureDialect: Sendable {
    /// The body for a failure, with its media type.
    package let render: @Sendable (WireFailure) -> (contentType: String, body: [UInt8])

    package init(render: @escaping @Sendable (WireFailure) -> (contentType: String, body: [UInt8])) {
        self.render = render
    }

    /// `{"error": …, "message": …}` (https://atproto.com/specs/xrpc, "Error Responses").
    package static let xrpc = FailureDialect { failure in
        var body = Array("{\"error\":\"".utf8)
        JSONText.escape(failure.error, into: &body)
        body.append(contentsOf: "\",\"message\":\"".utf8)
        JSONText.escape(failure.message, into: &body)
        body.append(contentsOf: "\"".utf8)
        for detail in failure.details {
            let value =
                switch detail.value {
                case .boolean(let flag): flag ? "true" : "false"
                case .integer(let number): String(number)
                }
            body.append(contentsOf: ",\"\(detail.name)\":\(value)".utf8)
        }
        body.append(contentsOf: "}".utf8)
        return ("application/json", body)
    }

    /// `{"message": …}`, as the did:plc directory answers.
    package static let message = FailureDialect { failure in
        var body = Array("{\"message\":\"".utf8)
        JSONText.escape(failure.message, into: &body)
        body.append(contentsOf: "\"}".utf8)
        return ("application/json", body)
    }

    /// The message as one line of text.
    package static let text = FailureDialect { failure in
        ("text/plain; charset=utf-8", Array((failure.message + "\n").utf8))
    }
}

/// Writing of JSON strings where no data model value is worth making.
enum JSONText {
    /// Appends the content of a JSON string for `text`, without quotes.
    static func escape(_ text: String, into bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20:
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(contentsOf: Hex.encode([byte]).utf8)
            default: bytes.append(byte)
            }
        }
    }
}
