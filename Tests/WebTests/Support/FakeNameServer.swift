import NIOCore
import NIOPosix

@testable import Web

/// A name server that answers from a table, over UDP on loopback.
final class FakeNameServer: Sendable {
    enum Record: Sendable, Equatable {
        case ipv4(UInt8, UInt8, UInt8, UInt8)
        case ipv6([UInt8])
        /// One record of one or more strings.
        case text([String])
        /// Bytes that are no answer.
        case garbage
        /// RCODE 5.
        case refused
        /// No answer.
        case silence
        /// That there is no such name, once `release` was called.
        case held

        var type: UInt16? {
            switch self {
            case .ipv4: 1
            case .ipv6: 28
            case .text: 16
            case .garbage, .refused, .silence, .held: nil
            }
        }

        var data: [UInt8] {
            switch self {
            case .ipv4(let a, let b, let c, let d): [a, b, c, d]
            case .ipv6(let bytes): bytes
            case .text(let strings): strings.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            case .garbage, .refused, .silence, .held: []
            }
        }
    }

    private let channel: any Channel
    private let count: Counter

    var port: Int { channel.localAddress?.port ?? 0 }

    var questionCount: Int { count.value }

    private init(channel: any Channel, count: Counter) {
        self.channel = channel
        self.count = count
    }

    static func start(_ zone: [String: [Record]]) async throws -> FakeNameServer {
        let count = Counter()
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(zone: zone, count: count))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FakeNameServer(channel: channel, count: count)
    }

    func stop() async throws { try await channel.close() }

    /// Gives the answers that were held.
    func release() { channel.pipeline.fireUserInboundEventTriggered(Release()) }

    private struct Release: Sendable {}

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>

        let zone: [String: [Record]]
        let count: Counter
        private var held: [AddressedEnvelope<ByteBuffer>] = []
        private var isReleased = false

        init(zone: [String: [Record]], count: Counter) {
            self.zone = zone
            self.count = count
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = Self.unwrapInboundIn(data)
            count.add()
            guard let answer = answer(to: envelope.data) else { return }
            let reply = AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: answer.reply)
            if answer.isHeld, !isReleased { return held.append(reply) }
            context.writeAndFlush(Self.wrapOutboundOut(reply), promise: nil)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard event is Release else { return context.fireUserInboundEventTriggered(event) }
            isReleased = true
            for reply in held { context.write(Self.wrapOutboundOut(reply), promise: nil) }
            context.flush()
        }

        private func answer(to question: ByteBuffer) -> (reply: ByteBuffer, isHeld: Bool)? {
            let whole = question
            var question = question
            guard let id = question.readInteger(as: UInt16.self) else { return nil }
            question.moveReaderIndex(forwardBy: 10)
            let start = question.readerIndex
            var labels: [String] = []
            while let length = question.readInteger(as: UInt8.self), length > 0,
                let label = question.readString(length: Int(length))
            {
                labels.append(label)
            }
            guard let type = question.readInteger(as: UInt16.self) else { return nil }
            question.moveReaderIndex(forwardBy: 2)
            let end = question.readerIndex
            let name = labels.joined(separator: ".").lowercased()
            let records = zone[name]
            if records == [.silence] { return nil }
            let matching = (records ?? []).filter { $0.type == type }
            var reply = ByteBuffer()
            reply.writeInteger(id)
            let isHeld = records == [.held]
            let code: UInt16 = records == nil || isHeld ? 3 : records == [.refused] ? 5 : 0
            reply.writeInteger(UInt16(0x8180) | code)
            reply.writeMultipleIntegers(UInt16(1), UInt16(matching.count), UInt16(0), UInt16(0))
            if records == [.garbage] {
                reply.writeBytes([0xFF, 0xC0, 0xC0, 0x01])
                return (reply, false)
            }
            if let asked = whole.getBytes(at: start, length: end - start) { reply.writeBytes(asked) }
            for record in matching {
                reply.writeMultipleIntegers(UInt16(0xC00C), type, UInt16(1), UInt32(60), UInt16(record.data.count))
                reply.writeBytes(record.data)
            }
            return (reply, isHeld)
        }
    }
}
