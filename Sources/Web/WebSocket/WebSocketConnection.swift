package import Base

/// Why a WebSocket no longer takes or gives messages.
package enum WebSocketFailure: WireConvertible, Hashable {
    /// The connection is closed, by either side or by the network.
    case closed
    /// The peer took nothing for as long as `WebSocketLimits.stallTimeout`.
    case stalled
    /// The peer sent a message over `WebSocketLimits.inboundByteCountMax`, or too many.
    case inboundLimit

    package var wire: WireFailure {
        WireFailure(status: 400, error: "ConnectionClosed", message: "The WebSocket is closed")
    }
}

/// A message from the client.
package enum WebSocketMessage: Sendable, Hashable {
    case text(String)
    case binary([UInt8])
}

/// What a connection may hold and how long it waits.
package struct WebSocketLimits: Sendable {
    /// `send` waits while more than this is on its way to the socket; what it sends then may be more by one batch.
    package var outboundByteCountMax: Int = 256 * 1024
    /// A longer message from the client closes the connection with 1009.
    package var inboundByteCountMax: Int = 64 * 1024
    /// Messages of the client that wait for a reader; the oldest are dropped for more.
    package var inboundMessageCountMax: Int = 64
    /// How often a ping is sent; a peer that answers two in a row with nothing is dropped at the third.
    package var pingInterval: Duration = .seconds(30)
    /// How long `send` waits for a peer that takes nothing.
    package var stallTimeout: Duration = .seconds(15)
    /// How long a peer may take nothing of the last frames, and how long its close frame may take after them.
    package var closeTimeout: Duration = .seconds(8)

    package init() {}
}

/// What a `WebSocketConnection` talks through; its members mean what they mean there.
protocol WebSocketOutlet: Sendable {
    /// Waits until `send` wouldn't wait.
    func waitUntilReady() async throws(WebSocketFailure)
    /// Queues a batch.
    func send(_ frames: WebSocketFrames) async throws(WebSocketFailure)
    /// The next message of the client.
    func next() async throws(WebSocketFailure) -> WebSocketMessage?
    /// Ends the connection, behind `last` when there is one.
    func finish(_ last: WebSocketFrames?, code: UInt16, reason: String) async
    var backlogByteCount: Int { get }
    var isBacklogged: Bool { get }
    var timeSinceProgress: Duration { get }
    var isOpen: Bool { get }
}

/// A WebSocket as a subscription's handler holds it. Any task may send; one task reads.
package final class WebSocketConnection: Sendable {
    private let outlet: any WebSocketOutlet

    init(outlet: any WebSocketOutlet) { self.outlet = outlet }

    /// Queues a batch; its bytes are shared with other connections, not copied.
    ///
    /// Returns at once while less than `outboundByteCountMax` waits, else when the peer has taken enough.
    /// - Throws: `.closed`; `.stalled` when the peer took nothing for `stallTimeout`: then one may still `close`.
    package func send(_ frames: WebSocketFrames) async throws(WebSocketFailure) {
        try await outlet.send(frames)
    }

    /// Waits until `send` would return at once, so that nothing needs to be at hand meanwhile.
    ///
    /// - Throws: as `send(_:)`.
    package func waitUntilReady() async throws(WebSocketFailure) {
        try await outlet.waitUntilReady()
    }

    /// Sends one binary message; as `send(_:)`.
    package func send(binary message: [UInt8]) async throws(WebSocketFailure) {
        try await outlet.send(WebSocketFrames(binary: message))
    }

    /// Sends one text message; as `send(_:)`.
    package func send(text: String) async throws(WebSocketFailure) {
        try await outlet.send(WebSocketFrames(text: text))
    }

    /// The next message of the client; nil once the connection has closed in order.
    ///
    /// - Throws: `.closed` when it broke, `.inboundLimit`.
    package func next() async throws(WebSocketFailure) -> WebSocketMessage? {
        try await outlet.next()
    }

    /// Waits until the connection has closed, dropping what the client sends.
    package func waitUntilClosed() async {
        while let _ = try? await outlet.next() {}
    }

    /// Sends a close frame behind what is queued, waits for the peer's within `closeTimeout`, and closes.
    package func close(code: UInt16 = 1000, reason: String = "") async {
        await outlet.finish(nil, code: code, reason: reason)
    }

    /// Sends `last`, whatever waits already, then closes as `close(code:reason:)`: how a stream ends with an error frame.
    package func close(sending last: WebSocketFrames, code: UInt16 = 1000, reason: String = "") async {
        await outlet.finish(last, code: code, reason: reason)
    }

    /// Bytes queued and not yet taken by the socket.
    package var backlogByteCount: Int { outlet.backlogByteCount }

    /// Whether so much waits that `send` would wait, too.
    package var isBacklogged: Bool { outlet.isBacklogged }

    /// How long the socket has taken nothing although bytes wait; zero when nothing waits.
    package var timeSinceProgress: Duration { outlet.timeSinceProgress }

    /// Whether messages may still be sent.
    package var isOpen: Bool { outlet.isOpen }
}
