import Base
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import Web

/// When the guard of a connection ends it, on a clock that the test moves.
struct ConnectionGuardTests {
    /// A connection that nothing but the test drives.
    private struct Connection {
        let channel = EmbeddedChannel()

        init(_ configure: (inout ServerLimits) -> Void = { _ in }) throws {
            var limits = ServerLimits()
            configure(&limits)
            let connectionGuard = ConnectionGuard(
                limits: limits, requestIDs: RequestIDs(randomness: SystemRandomness()))
            try channel.pipeline.syncOperations.addHandlers([
                ByteWatch(connectionGuard), HTTPResponseEncoder(), ByteToMessageHandler(HTTPRequestDecoder()),
                connectionGuard,
            ])
            try channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }

        func receive(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

        func answer() throws {
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
            try channel.writeOutbound(HTTPServerResponsePart.head(head))
            try channel.writeOutbound(HTTPServerResponsePart.end(nil))
        }

        /// All that was sent to the client.
        func sent() throws -> String {
            var text = ""
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
            return text
        }

        func pass(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }
    }

    @Test func idleConnectionsAreClosed() throws {
        let connection = try Connection { $0.idleTimeout = .seconds(90) }
        connection.pass(.seconds(89))
        #expect(connection.channel.isActive)
        connection.pass(.seconds(10))
        #expect(!connection.channel.isActive)
        #expect(try connection.sent().isEmpty)
    }

    @Test func eachAnswerBeginsTheTimeAnew() throws {
        let connection = try Connection { $0.idleTimeout = .seconds(90) }
        for _ in 0..<3 {
            connection.pass(.seconds(80))
            try connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            // As long as an answer takes, nobody is idle.
            connection.pass(.seconds(200))
            #expect(connection.channel.isActive)
            try connection.answer()
            #expect(try connection.sent().hasPrefix("HTTP/1.1 200 OK"))
        }
        connection.pass(.seconds(89))
        #expect(connection.channel.isActive)
        connection.pass(.seconds(10))
        #expect(!connection.channel.isActive)
    }

    @Test(arguments: ["G", "GET / HTTP/1.1\r\nhost: x\r\n"])
    func slowHeadersAreAnswered(begin: String) throws {
        let connection = try Connection {
            $0.headerTimeout = .seconds(10)
            $0.lingerTimeout = .seconds(5)
        }
        try connection.receive(begin)
        connection.pass(.seconds(9))
        #expect(try connection.sent().isEmpty)
        connection.pass(.seconds(5))
        #expect(try connection.sent().hasPrefix("HTTP/1.1 408 "))
        connection.pass(.seconds(6))
        #expect(!connection.channel.isActive)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
    ])
    func requestsHaveOneHost(request: String) throws {
        let connection = try Connection()
        try connection.receive(request)
        #expect(try connection.sent().hasPrefix("HTTP/1.1 400 "))
        #expect(try connection.channel.readInbound(as: HTTPServerRequestPart.self) == nil)
    }

    @Test func whatCanNotBeServedIsAnsweredInItsTurn() throws {
        let connection = try Connection()
        try connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        #expect(try connection.sent().isEmpty)
        try connection.answer()
        let sent = try connection.sent()
        #expect(sent.hasPrefix("HTTP/1.1 200 ") && sent.contains("HTTP/1.1 400 "))
    }

    @Test func framesOfChunksAreBounded() throws {
        let connection = try Connection()
        try connection.receive("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        // Chunks of one byte are odd, and allowed.
        for _ in 0..<2000 { try connection.receive("1\r\nx\r\n") }
        try connection.receive("1;")
        #expect(throws: HTTPParserError.self) {
            for _ in 0..<20 { try connection.receive(String(repeating: "a", count: 10_000)) }
        }
    }

    @Test func clientsThatTakeTooLittleAreCut() throws {
        let connection = try Connection {
            $0.writeTimeout = .seconds(30)
            $0.writeByteCountMin = 16 * 1024
        }
        try connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "1000000"])
        try connection.channel.writeOutbound(HTTPServerResponsePart.head(head))
        let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(repeating: 0, count: 16 * 1024)))
        for _ in 0..<5 {
            // One slice is through, the other waits.
            connection.channel.write(part, promise: nil)
            connection.channel.flush()
            connection.channel.write(part, promise: nil)
            connection.pass(.seconds(25))
            #expect(connection.channel.isActive)
            connection.channel.flush()
        }
        connection.channel.write(part, promise: nil)
        connection.pass(.seconds(29))
        #expect(connection.channel.isActive)
        connection.pass(.seconds(10))
        #expect(!connection.channel.isActive)
    }
}
