import Base
import NIOCore
import NIOWebSocket
import Synchronization

/// The event loop's side of a WebSocket: puts messages together, answers pings, watches over time.
final class WebSocketHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame

    /// Frames of a client within one ping interval; more end the connection with 1008.
    private static let frameCountMax = 1000

    private let session: WebSocketSession
    private var fragments: ByteBuffer?
    private var fragmentsAreText = false
    private var unansweredPingCount = 0
    private var lastPing = NIODeadline.now()
    private var frameCount = 0
    private var tick: Scheduled<Void>?
    private var isRemoved = false

    init(session: WebSocketSession) { self.session = session }

    func handlerAdded(context: ChannelHandlerContext) { scheduleTick(context) }

    func handlerRemoved(context: ChannelHandlerContext) {
        isRemoved = true
        tick?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        session.ended(nil)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = Self.unwrapInboundIn(data)
        unansweredPingCount = 0
        frameCount += 1
        guard frameCount <= Self.frameCountMax else { return fail(.inboundLimit, code: 1008) }
        guard frame.maskKey != nil, !frame.rsv1, !frame.rsv2, !frame.rsv3 else { return fail(.closed, code: 1002) }
        switch frame.opcode {
        case .text, .binary:
            guard fragments == nil else { return fail(.closed, code: 1002) }
            fragmentsAreText = frame.opcode == .text
            take(frame, after: ByteBuffer())
        case .continuation:
            guard let fragments else { return fail(.closed, code: 1002) }
            take(frame, after: fragments)
        case .ping: session.queuePong(frame.unmaskedData)
        case .pong: break
        case .connectionClose: closeReceived(frame.unmaskedData, context: context)
        default: fail(.closed, code: 1002)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error as? NIOWebSocketError {
        case .invalidFrameLength: fail(.inboundLimit, code: 1009)
        case .some: fail(.closed, code: 1002)
        case nil: context.close(promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            session.queueClose(code: 1001, reason: "The server is stopping")
        } else if let event = event as? ChannelEvent, event == .inputClosed {
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func take(_ frame: WebSocketFrame, after begun: ByteBuffer) {
        var message = begun
        var data = frame.unmaskedData
        guard message.readableBytes + data.readableBytes <= session.limits.inboundByteCountMax else {
            return fail(.inboundLimit, code: 1009)
        }
        message.writeBuffer(&data)
        guard frame.fin else {
            fragments = message
            return
        }
        fragments = nil
        if fragmentsAreText {
            guard let text = String(validating: message.readableBytesView, as: UTF8.self) else {
                return fail(.closed, code: 1007)
            }
            session.received(.text(text))
        } else {
            session.received(.binary(Array(message.readableBytesView)))
        }
    }

    /// The peer ends: answer with its code (RFC 6455 section 5.5.1), then close once that is written.
    private func closeReceived(_ data: ByteBuffer, context: ChannelHandlerContext) {
        var data = data
        guard data.readableBytes != 1 else { return fail(.closed, code: 1002) }
        let code: UInt16 = data.readInteger() ?? 1000
        guard Self.mayBeSent(code) else { return fail(.closed, code: 1002) }
        guard String(validating: data.readableBytesView, as: UTF8.self) != nil else { return fail(.closed, code: 1007) }
        session.queueClose(code: code, reason: "")
        let channel = context.channel
        session.afterQueued { channel.close(promise: nil) }
    }

    /// Whether a close frame may carry this code (RFC 6455 section 7.4 and its registry).
    private static func mayBeSent(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// A breach: say why, and end without waiting for the peer.
    private func fail(_ failure: WebSocketFailure, code: UInt16) {
        session.queueClose(code: code, reason: "")
        session.ended(failure)
        let channel = session.channel
        session.afterQueued { channel.close(promise: nil) }
    }

    private func scheduleTick(_ context: ChannelHandlerContext) {
        let shortest = min(session.limits.pingInterval, session.limits.stallTimeout, session.limits.closeTimeout)
        let interval = TimeAmount(max(.milliseconds(10), min(shortest / 4, .seconds(5))))
        tick = context.eventLoop.assumeIsolated().scheduleTask(in: interval) {
            if context.channel.isActive { self.check(context, now: .now()) }
            if !self.isRemoved { self.scheduleTick(context) }
        }
    }

    private func check(_ context: ChannelHandlerContext, now: NIODeadline) {
        let interval = TimeAmount(session.limits.pingInterval)
        let (backlog, lastProgress, isClosing) = session.state.withLock {
            ($0.backlog, $0.lastProgress, $0.isCloseQueued)
        }
        if isClosing, now - lastProgress > TimeAmount(session.limits.closeTimeout) {
            return context.close(promise: nil)
        }
        if backlog > 0, now - lastProgress > TimeAmount(session.limits.stallTimeout) { session.stalled() }
        guard now - lastPing >= interval else { return }
        lastPing = now
        frameCount = 0
        // Behind a backlog the peer doesn't see our pings; then the bytes it takes are its sign of life.
        if backlog > 0, now - lastProgress < interval { unansweredPingCount = 0 }
        guard unansweredPingCount < 2 else { return context.close(promise: nil) }
        unansweredPingCount += 1
        session.queuePing()
    }
}

extension WebSocketSession {
    /// Queues a ping; not while a backlog waits, which asks the same question.
    func queuePing() {
        guard backlogByteCount < limits.outboundByteCountMax else { return }
        queueControl(opcode: 0x9, ByteBuffer())
    }

    /// Queues the answer to a ping; not while a backlog waits, so that pings can't grow it.
    func queuePong(_ data: ByteBuffer) {
        guard backlogByteCount < limits.outboundByteCountMax else { return }
        queueControl(opcode: 0xA, data)
    }
}

extension WebSocketFrames {
    /// A close frame (RFC 6455 section 5.5.1). The reason is cut to what fits.
    static func close(code: UInt16, reason: String) -> ByteBuffer {
        var text = reason.utf8.prefix(123)[...]
        while String(Substring(text)).utf8.count != text.count { text.removeLast() }
        var buffer = ByteBuffer()
        writeHead(opcode: 0x8, byteCount: 2 + text.count, to: &buffer)
        buffer.writeInteger(code)
        buffer.writeBytes(text)
        return buffer
    }
}
