import Base
import Logging
import NIOHTTP1

extension XRPCResponder {
    /// The handler's answer, ready to be sent.
    func render(_ response: XRPCResponse, of route: Route, for head: RequestHead) throws -> OutgoingResponse {
        var outgoing = try assembly.assemble(response, for: head, isAnonymous: route.isAnonymous)
        if case .stream(let stream) = outgoing.body {
            outgoing.body = .stream(
                OutgoingStream(
                    stream: stream.stream, isCompressed: stream.isCompressed,
                    failure: { self.failure($0, for: head, route: route) },
                    abandoned: { error in
                        self.settings.logger.info("An answer was cut", metadata: self.metadata(head, error: error))
                    }))
        }
        return outgoing
    }

    /// The one place where errors become answers: `WireConvertible` as they say, others as 500 with nothing told.
    func failure(_ error: any Error, for head: RequestHead, route: Route?) -> OutgoingResponse {
        let wire: WireFailure
        if let known = error as? any WireConvertible {
            wire = known.wire
            if let level = Self.level(of: wire.status) {
                settings.logger.log(level: level, "A request failed", metadata: metadata(head, error: error))
            }
        } else if error is CancellationError {
            wire = WebFailure.unavailable("The server is stopping").wire
        } else {
            wire = WireFailure(
                status: 500, error: "InternalServerError",
                message: "Something went wrong on our side. Request id: \(head.requestID)")
            settings.logger.error("A request failed unexpectedly", metadata: metadata(head, error: error))
        }
        let (contentType, body) = (route?.failures ?? .xrpc).render(wire)
        let response = XRPCResponse.bytes(
            body, contentType: contentType, status: wire.status, headers: wire.headers)
        let isAnonymous = route?.isAnonymous ?? true
        if let outgoing = try? assembly.assemble(response, for: head, isAnonymous: isAnonymous) { return outgoing }
        // The failure's own headers were broken; its body can't be.
        let plain = XRPCResponse.bytes(body, contentType: "application/json", status: wire.status)
        return (try? assembly.assemble(plain, for: head, isAnonymous: isAnonymous))
            ?? OutgoingResponse(status: .internalServerError, fields: HTTPHeaders(), body: .none)
    }

    /// How loud a known failure is: ours are errors, a lack of room a warning, other servers' a note, the client's nothing.
    private static func level(of status: Int) -> Logger.Level? {
        switch status {
        case ..<500, 501: nil
        case 502, 504: .info
        case 503: .warning
        default: .error
        }
    }

    private func metadata(_ head: RequestHead, error: any Error) -> Logger.Metadata {
        [
            "request-id": .string(head.requestID), "method": .string(head.method), "path": .string(head.path),
            "error": .string(String(reflecting: error)),
        ]
    }
}
