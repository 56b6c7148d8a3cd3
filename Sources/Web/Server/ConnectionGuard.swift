import Base
import NIOCore
import NIOHTTP1

/// Watches one HTTP connection: its times, broken requests, and the end of the server.
///
/// Sits behind the HTTP codec. Slow headers and bodies are answered 408, broken ones 400 or 431; a client that takes
/// its answer too slowly is cut; an idle connection is closed. All state belongs to the event loop.
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
    private let account: WriteAccount
    private var phase = Phase.idle(.now())
    /// The loop's own time, which a test may move.
    private var loop: (any EventLoop)?
    private var now: NIODeadline { loop?.now ?? .now() }
    /// Requests whose answers aren't written to their end.
    private var openRequestCount = 0
    private var answerIsBegun = false
    private var isFirstRequest = true
    private var unwritableSince: NIODeadline?
    /// Bytes of answers on their way to the socket, since when without a pause, and what it took meanwhile.
    private var writing = (pending: 0, since: NIODeadline.now(), taken: 0)
    /// A request that can't be served, to be answered once those before it are.
    private var refusal: WebFailure?
    /// What has come of a body with its frame, and without.
    private var wire = (raw: 0, body: 0)
    private var readPendingSince: NIODeadline?
    /// Time spent waiting for the body, and what it brought, in the present window.
    private var bodyWait = TimeAmount.zero
    private var bodyByteCount = 0
    private var isEnding = false
    private var tick: Scheduled<Void>?
    private var isRemoved = false
    private let tickInterval: TimeAmount

    init(limits: ServerLimits, requestIDs: RequestIDs, account: WriteAccount = WriteAccount()) {
        self.account = account
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
        account.end()
    }

    func channelInactive(context: ChannelHandlerContext) {
        account.end()
        context.fireChannelInactive()
    }

    /// Told by `ByteWatch` of bytes on their way to the decoder.
    func bytesArrived(_ count: Int) {
        if let since = readPendingSince {
            bodyWait = bodyWait + (now - since)
            readPendingSince = nil
        }
        bodyByteCount += count
        wire.raw += count
        if case .idle = phase { phase = .header(now) }
    }

    func read(context: ChannelHandlerContext) {
        if readPendingSince == nil { readPendingSince = now }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard refusal == nil else { return }
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            phase = .body
            bodyWait = .zero
            bodyByteCount = 0
            wire = (0, 0)
            if let failure = head.failure(isFirst: isFirstRequest) {
                refusal = failure
                if openRequestCount == 0 { refuse(failure, context: context) }
                return
            }
            openRequestCount += 1
            defer { isFirstRequest = false }
            guard head.headers.contains(name: "upgrade") else { break }
            return context.fireChannelRead(Self.wrapInboundOut(.head(settleUpgrade(head))))
        case .body(let bytes): wire.body += bytes.readableBytes
        case .end: phase = .idle(now)
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .body = phase, refusal == nil, wire.raw - 17 * wire.body > limits.chunkFrameByteCountMax {
            // The rest is dropped; the one who reads the body answers.
            refusal = .invalidRequest("The body breaks HTTP")
            errorCaught(context: context, error: HTTPParserError.invalidChunkSize)
        }
        context.fireChannelReadComplete()
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
            if let refusal, case .body = phase, openRequestCount == 0, !isEnding {
                context.write(data, promise: promise)
                return refuse(refusal, context: context)
            }
            guard isEnding, openRequestCount <= 0 else { break }
            context.writeAndFlush(data, promise: promise)
            return end(context)
        case .body(.byteBuffer(let bytes)): return write(bytes, context: context, promise: promise)
        case .head, .body: break
        }
        context.write(data, promise: promise)
    }

    /// In slices, so that a slow client's progress shows before a long part is through.
    private func write(_ bytes: ByteBuffer, context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        var rest = bytes
        while let slice = rest.readSlice(length: min(rest.readableBytes, Self.sliceByteCount)) {
            let count = slice.readableBytes
            if writing.pending == 0 { writing = (0, now, 0) }
            writing.pending += count
            let sent = context.eventLoop.makePromise(of: Void.self)
            sent.futureResult.assumeIsolated().whenComplete { _ in
                self.writing.pending -= count
                self.writing.taken += count
                self.account.settle(count)
            }
            let isLast = rest.readableBytes == 0
            if isLast { sent.futureResult.cascade(to: promise) }
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(slice))), promise: sent)
            if isLast { return }
        }
    }

    private static let sliceByteCount = 16 * 1024

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
        isEnding = true
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
        if writing.pending > 0, now - writing.since > TimeAmount(limits.writeTimeout) {
            guard writing.taken >= limits.writeByteCountMin else { return context.close(promise: nil) }
            writing = (writing.pending, now, 0)
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
