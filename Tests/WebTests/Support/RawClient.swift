import NIOCore
import NIOPosix
import Synchronization

/// A request as bytes; nothing is checked, so that tests can be wrong on purpose.
struct RawRequest: Sendable {
    var method: String
    var target: String
    var headers: [(String, String)]
    var body: [UInt8]?

    init(_ method: String, _ target: String, headers: [(String, String)] = [], body: [UInt8]? = nil) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }

    var bytes: [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nhost: localhost\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "content-length: \(body.count)\r\n" }
        return Array((text + "\r\n").utf8) + (body ?? [])
    }
}

struct RawResponse: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    func headers(_ name: String) -> [String] { headers.filter { $0.name == name }.map(\.value) }
}

/// The connection ended before the expected bytes came.
struct ConnectionEnded: Error {}

/// A client that sends what it's told and reads what comes.
final class RawClient: Sendable {
    let channel: any Channel
    private let incoming: Incoming

    private init(channel: any Channel, incoming: Incoming) {
        self.channel = channel
        self.incoming = incoming
    }

    /// Connects, runs `body` and closes.
    static func withConnection<Result: Sendable>(
        to port: Int,
        _ body: (RawClient) async throws -> Result
    ) async throws -> Result {
        let incoming = Incoming()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(IncomingHandler(incoming))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        let client = RawClient(channel: channel, incoming: incoming)
        do {
            let result = try await body(client)
            try? await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ request: RawRequest) async throws { try await send(request.bytes) }

    /// Closes our side of the connection.
    func closeOutput() async throws { try await channel.close(mode: .output) }

    /// Goes away without a word.
    func disconnect() async throws { try await channel.close() }

    /// Stops or goes on reading from the socket.
    func setReading(_ isReading: Bool) async throws {
        try await channel.setOption(.autoRead, value: isReading).get()
    }

    /// The next `count` bytes.
    func read(_ count: Int) async throws -> [UInt8] {
        try await incoming.take { buffer in buffer.readBytes(length: count) }
    }

    /// Everything up to the end of the connection.
    func readToEnd() async throws -> [UInt8] {
        var all: [UInt8] = []
        while let chunk = try? await incoming.take({ buffer in
            buffer.readableBytes > 0 ? buffer.readBytes(length: buffer.readableBytes) : nil
        }) { all += chunk }
        return all
    }

    func line() async throws -> String {
        try await incoming.take { buffer in
            guard let end = buffer.readableBytesView.firstIndex(of: 10) else { return nil }
            let text = buffer.readString(length: end - buffer.readerIndex)
            buffer.moveReaderIndex(forwardBy: 1)
            return text?.trimmingSuffix("\r")
        }
    }

    /// The next answer, with its body as its header announces it.
    func response(hasBody: Bool = true) async throws -> RawResponse {
        let statusLine = try await line().split(separator: " ")
        guard statusLine.count > 1, let status = Int(statusLine[1]) else { throw ConnectionEnded() }
        var response = RawResponse(status: status, headers: [], body: [])
        while true {
            let text = try await line()
            if text.isEmpty { break }
            let parts = text.split(separator: ":", maxSplits: 1)
            response.headers.append((parts[0].lowercased(), parts.count > 1 ? String(parts[1].dropFirst()) : ""))
        }
        guard hasBody, status >= 200, status != 204, status != 304 else { return response }
        if response.header("transfer-encoding") == "chunked" {
            while let count = Int(try await line(), radix: 16), count > 0 {
                response.body += try await read(count)
                _ = try await line()
            }
            _ = try await line()
        } else if let length = response.header("content-length").flatMap({ Int($0) }) {
            response.body = try await read(length)
        } else {
            response.body = try await readToEnd()
        }
        return response
    }
}

/// Bytes that came, and the one who waits for more.
private final class Incoming: Sendable {
    private struct State {
        var buffer = ByteBuffer()
        var isEnded = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func add(_ bytes: ByteBuffer?) {
        let waiter = state.withLock { state in
            if let bytes { state.buffer.writeImmutableBuffer(bytes) } else { state.isEnded = true }
            state.buffer.discardReadBytes()
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// What `part` makes of the bytes, as soon as it makes something.
    func take<Part: Sendable>(_ part: (inout ByteBuffer) -> Part?) async throws -> Part {
        var seen = -1
        while true {
            let (found, count, isEnded) = state.withLock { state in
                (part(&state.buffer), state.buffer.readableBytes, state.isEnded)
            }
            if let found { return found }
            if isEnded { throw ConnectionEnded() }
            seen = count
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isEnded || state.buffer.readableBytes != seen { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }
}

private final class IncomingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let incoming: Incoming

    init(_ incoming: Incoming) { self.incoming = incoming }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        incoming.add(Self.unwrapInboundIn(data))
    }

    func channelInactive(context: ChannelHandlerContext) { incoming.add(nil) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { incoming.add(nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { incoming.add(nil) }
}

extension String {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
    }
}
