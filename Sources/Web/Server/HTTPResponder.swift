import NIOCore
import NIOHTTP1

/// What the connections hand their requests to.
package protocol HTTPResponder: Sendable {
    /// Answers a request. Never fails: failures are answers too.
    func respond(to request: IncomingRequest) async -> OutgoingResponse
    /// Decides over a WebSocket handshake.
    func admit(_ request: IncomingRequest) async -> UpgradeDecision
}

/// A request as it comes from the socket.
package struct IncomingRequest: Sendable {
    let head: RequestHead
    let body: IncomingBody
}

/// Whether a WebSocket handshake is accepted.
package enum UpgradeDecision: Sendable {
    /// Switch protocols, then run this with the connection; `fields` go into the 101 answer.
    case accept(Subscription)
    /// Answer this instead.
    case refuse(OutgoingResponse)
}

/// A subscription that was let in.
package struct Subscription: Sendable {
    let fields: [(String, String)]
    let run: @Sendable (WebSocketConnection) async throws -> Void
}

/// An answer as it goes to the socket: all headers set, body ready or to be pumped.
package struct OutgoingResponse: Sendable {
    enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        case stream(OutgoingStream)
    }

    var status: HTTPResponseStatus
    var fields: HTTPHeaders
    var body: Body
}

/// A body that is made while it is sent.
struct OutgoingStream: Sendable {
    let stream: ByteStream
    let isCompressed: Bool
    /// The answer instead, when the stream fails before its first chunk.
    let failure: @Sendable (any Error) -> OutgoingResponse
    /// Called when the stream fails later; the connection is then cut.
    let abandoned: @Sendable (any Error) -> Void
}
