import Base
import NIOCore
import NIOHTTP1

/// Watches one HTTP connection: its times, broken requests, and the end of the server.
///
/// Sits behind the HTTP codec. Slow headers and bodies are answered 408, broken ones 400 or 431; a client that takes
/// nothing of its answer is cut; an idle connection is closed. All state belongs to the event loop.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        /// Between requests, since.
        case idle(NIODeadline)
        /// Bytes have come, but no whole header yet; since.
        case header(NIODeadline)
        case body
    }

    private let limits: ServerLimits
    private let requestIDs: RequestIDs
    private var phase = Phase.idle(.now())
    /// The loop's own time, which a test may move.
    private var loop: (any EventLoop)?
    private var now: NIODeadline { loop?.now ?? .now() }
    /// Requests whose answers aren't written to their end.
    private var openRequestCount = 0
    private var answerIsBegun = false
    private var isFirstRequest = true
    private var unwritableSince: NIODeadline?
    private var readPendingSince: NIODeadline?
    /// Time spent waiting for the body, and what it brought, in the present window.
    private var bodyWait = TimeAmount.zero
    private var bodyByteCount = 0
    private var isEnding = false
    private var tick: Scheduled<Void>?
    private var isRemoved = false
    private let tickInterval: TimeAmount

    init(limits: ServerLimits, requestIDs: RequestIDs) {
        self.limits = limits
        self.requestIDs = requestIDs
        let shortest = min(
            limits.headerTimeout, limits.bodyTimeout, limits.writeTimeout, limits.idleTimeout)
        tickInterval = TimeAmount(max(.milliseconds(10), min(shortest / 4, .seconds(5))))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        loop = context.eventLoop
        phase = .idle(now)
        scheduleTick(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isRemoved = true
        tick?.cancel()
    }

    /// Told by `ByteWatch` of bytes on their way to the decoder.
    func bytesArrived(_ count: Int) {
        if let since = readPendingSince {
            bodyWait = bodyWait + (now - since)
            readPendingSince = nil
        }
        bodyByteCount += count
        if case .idle = phase { phase = .header(now) }
    }

    func read(context: ChannelHandlerContext) {
        if readPendingSince == nil { readPendingSince = now }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            openRequestCount += 1
            phase = .body
            bodyWait = .zero
            bodyByteCount = 0
            defer { isFirstRequest = false }
            guard head.headers.contains(name: "upgrade") else { break }
            return context.fireChannelRead(Self.wrapInboundOut(.head(settleUpgrade(head))))
        case .body: break
        case .end: phase = .idle(now)
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where head.status.code >= 200:
            answerIsBegun = true
            guard isEnding, !head.headers.contains(name: "connection") else { break }
            head.headers.add(name: "connection", value: "close")
            return context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            openRequestCount -= 1
            answerIsBegun = false
            if case .idle = phase { phase = .idle(now) }
            guard isEnding, openRequestCount <= 0 else { break }
            context.writeAndFlush(data, promise: promise)
            return end(context)
        case .head, .body: break
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unwritableSince = context.channel.isWritable ? nil : now
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            isEnding = true
            if case .idle = phase, openRequestCount == 0 { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let broken = error as? HTTPParserError else { return context.fireErrorCaught(error) }
        isEnding = true
        // A body that breaks is its reader's to answer.
        if case .body = phase { return context.fireErrorCaught(error) }
        guard openRequestCount == 0 else { return }
        let failure: WebFailure =
            broken == .headerOverflow ? .headersTooLarge : .invalidRequest("The request isn't HTTP/1.1")
        refuse(failure, context: context)
    }

    /// Lets only whole WebSocket handshakes through to swift-nio's upgrade handler, and those once.
    ///
    /// The handler swallows requests that ask for anything else. And since the decoder reads nothing behind a request
    /// that asks for an upgrade, the connection ends with its answer if it isn't upgraded.
    private func settleUpgrade(_ head: HTTPRequestHead) -> HTTPRequestHead {
        isEnding = true
        var head = head
        let fields = head.headers
        let isHandshake =
            isFirstRequest && head.method == .GET && head.version == .http1_1
            && fields[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
            && fields[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
            && fields[canonicalForm: "sec-websocket-key"].count == 1
            && fields[canonicalForm: "sec-websocket-version"].elementsEqual(["13"])
            && !fields.contains(name: "transfer-encoding") && (fields.first(name: "content-length") ?? "0") == "0"
        head.headers.remove(name: "upgrade")
        if isHandshake { head.headers.add(name: "upgrade", value: "websocket") }
        return head
    }

    /// Answers by itself and ends the connection.
    private func refuse(_ failure: WebFailure, context: ChannelHandlerContext) {
        let wire = failure.wire
        let (contentType, body) = FailureDialect.xrpc.render(wire)
        let fields: HTTPHeaders = [
            "content-type": contentType, "content-length": String(body.count), "connection": "close",
            "x-request-id": requestIDs.next(),
        ]
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: wire.status), headers: fields)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        end(context)
    }

    /// Ends the connection behind its last answer.
    ///
    /// With bytes of the client unread, closing at once would reset the connection, and the answer with it.
    private func end(_ context: ChannelHandlerContext) {
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.value.close(mode: .output, promise: nil)
        var delay = TimeAmount(limits.lingerTimeout)
        if case .idle = phase { delay = .zero }
        context.value.eventLoop.scheduleTask(in: delay) { context.value.channel.close(promise: nil) }
    }

    private func scheduleTick(_ context: ChannelHandlerContext) {
        tick = context.eventLoop.assumeIsolated().scheduleTask(in: tickInterval) {
            if context.channel.isActive { self.check(context, now: self.now) }
            // Not active may also mean: not yet.
            if !self.isRemoved { self.scheduleTick(context) }
        }
    }

    private func check(_ context: ChannelHandlerContext, now: NIODeadline) {
        if let since = unwritableSince, now - since > TimeAmount(limits.writeTimeout) {
            return context.close(promise: nil)
        }
        switch phase {
        case .idle(let since):
            if openRequestCount == 0, now - since > TimeAmount(limits.idleTimeout) { context.close(promise: nil) }
        case .header(let since):
            // Of pipelined requests only the first is timed: the others wait for us.
            guard openRequestCount == 0 else { return phase = .header(now) }
            guard now - since > TimeAmount(limits.headerTimeout) else { return }
            isEnding = true
            refuse(.requestTimeout, context: context)
        case .body:
            let pending = readPendingSince.map { now - $0 } ?? .zero
            guard bodyWait + pending > TimeAmount(limits.bodyTimeout) else { return }
            if bodyByteCount >= limits.bodyByteCountMin {
                bodyWait = .zero
                bodyByteCount = 0
                readPendingSince = readPendingSince == nil ? nil : now
            } else if answerIsBegun || openRequestCount > 1 {
                context.close(promise: nil)
            } else {
                isEnding = true
                refuse(.requestTimeout, context: context)
            }
        }
    }
}

/// Sits in front of the HTTP decoder and tells the guard when bytes come, which the decoder does only for whole parts.
final class ByteWatch: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connectionGuard: ConnectionGuard

    init(_ connectionGuard: ConnectionGuard) { self.connectionGuard = connectionGuard }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connectionGuard.bytesArrived(Self.unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }
}
