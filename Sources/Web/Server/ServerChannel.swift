import Base
import Glibc
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Synchronization

/// Sets up each accepted connection: HTTP/1.1, or a WebSocket when the first request is a handshake that is accepted.
struct ServerChannel: ServerChildChannel {
    /// What a connection turned out to be.
    enum Negotiated: Sendable {
        case http(HTTPConnection.Channel)
        case webSocket(WebSocketSession)
    }

    struct Value: ServerChildChannelValue {
        let channel: any Channel
        let negotiated: EventLoopFuture<Negotiated>
        let handshake: Handshake
        let account: WriteAccount
    }

    let responder: any HTTPResponder
    let limits: ServerLimits
    let requestIDs: RequestIDs
    let dates: DateHeader
    let connections: ConnectionRegistry
    /// Streamed answers of each client.
    let streams: AddressShares

    /// What the kernel may hold unsent of a connection. Without it a slow reader's progress comes in lumps of megabytes.
    private static let unsentByteCountMax = 128 * 1024
    private static let unsentOption = NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            connections.add(channel)
            try? channel.syncOptions?.setOption(.tcpOption(Self.unsentOption), value: Self.unsentByteCountMax)
            let account = WriteAccount()
            let handshake = Handshake()
            let pipeline = channel.pipeline.syncOperations
            let encoder = HTTPResponseEncoder()
            let decoder = ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoderLimits))
            let connectionGuard = ConnectionGuard(limits: limits, requestIDs: requestIDs, account: account)
            let watch = ByteWatch(connectionGuard)
            let upgrader = NIOTypedHTTPServerUpgradeHandler(
                httpEncoder: encoder, extraHTTPHandlers: [watch, decoder, connectionGuard],
                upgradeConfiguration: .init(upgraders: [webSocketUpgrader(handshake)]) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        .http(
                            try HTTPConnection.Channel(
                                wrappingChannelSynchronously: channel,
                                configuration: .init(isOutboundHalfClosureEnabled: true)))
                    }
                })
            try pipeline.addHandlers([watch, encoder, decoder, connectionGuard, upgrader])
            return Value(
                channel: channel, negotiated: upgrader.upgradeResultFuture, handshake: handshake,
                account: account)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await withTaskCancellationHandler {
            do {
                switch try await value.negotiated.get() {
                case .http(let channel):
                    let connection = HTTPConnection(
                        responder: responder, limits: limits, requestIDs: requestIDs, dates: dates,
                        peer: value.channel.peerAddress, account: value.account, streams: streams)
                    try await connection.serve(channel, refusal: value.handshake.takeRefusal())
                case .webSocket(let session):
                    guard let subscription = value.handshake.takeSubscription() else { return }
                    connections.webSockets.add(1)
                    await session.serve(subscription, logger: logger)
                    connections.webSockets.add(-1)
                }
            } catch {
                logger.trace("A connection ended", metadata: ["error": "\(error)"])
                value.channel.close(promise: nil)
            }
        } onCancel: {
            value.channel.close(promise: nil)
        }
    }

    private var decoderLimits: NIOHTTPDecoderLimitConfiguration {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = limits.headerByteCountMax
        configuration.maxHeaderListSize = limits.headerByteCountMax
        configuration.maxHeaderFieldCount = limits.headerCountMax
        return configuration
    }

    private func webSocketUpgrader(_ handshake: Handshake) -> NIOTypedWebSocketServerUpgrader<Negotiated> {
        NIOTypedWebSocketServerUpgrader(
            maxFrameSize: limits.webSocket.inboundByteCountMax, enableAutomaticErrorHandling: false,
            shouldUpgrade: { channel, head in
                let promise = channel.eventLoop.makePromise(of: HTTPHeaders?.self)
                promise.completeWithTask { await decide(handshake, channel: channel, head: head) }
                return promise.futureResult
            },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    .webSocket(try WebSocketSession.install(in: channel, limits: limits.webSocket))
                }
            })
    }

    private func decide(_ handshake: Handshake, channel: any Channel, head: HTTPRequestHead) async -> HTTPHeaders? {
        let request = IncomingRequest(
            head: RequestHead(
                method: head.method.rawValue, target: head.uri, fields: head.headers,
                remoteAddress: RequestOrigin.address(peer: channel.peerAddress, fields: head.headers),
                requestID: requestIDs.next()),
            body: IncomingBody(parts: nil, declaredByteCount: 0))
        switch await responder.admit(request) {
        case .accept(let subscription):
            handshake.set(.accepted(subscription))
            return HTTPHeaders(subscription.fields)
        case .refuse(let response):
            handshake.set(.refused(head, response))
            return nil
        }
    }
}

/// What was decided over the handshake of a connection, on its way from the decision to the one who serves.
final class Handshake: Sendable {
    enum Outcome: Sendable {
        case accepted(Subscription)
        /// swift-nio swallows the request then, so its head comes along.
        case refused(HTTPRequestHead, OutgoingResponse)
    }

    private let outcome = Mutex<Outcome?>(nil)

    func set(_ outcome: Outcome) { self.outcome.withLock { $0 = outcome } }

    func takeSubscription() -> Subscription? {
        outcome.withLock { outcome in
            guard case .accepted(let subscription) = outcome else { return nil }
            outcome = nil
            return subscription
        }
    }

    func takeRefusal() -> (head: HTTPRequestHead, response: OutgoingResponse)? {
        outcome.withLock { outcome in
            guard case .refused(let head, let response) = outcome else { return nil }
            outcome = nil
            return (head, response)
        }
    }
}

extension Channel {
    /// The address of the other end.
    var peerAddress: IPAddress? {
        remoteAddress?.ipAddress.flatMap { text in IPAddress(text.prefix { $0 != "%" }) }
    }
}
