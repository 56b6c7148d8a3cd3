import ATProtocol
import Base
import Logging
import Synchronization
import Testing

@testable import Web

/// Subscriptions: the handshake, what goes out, what may come in, and how they end.
@Suite(.timeLimit(.minutes(10)))
struct WebSocketTests {
    private static func options(
        _ handler: @escaping TestRouter.SubscriptionHandler
    ) -> TestServerOptions {
        var options = TestServerOptions { routes in
            routes.subscription(
                "test.kith.subscribe", access: .anyone,
                admit: { call in
                    if call.parameter("full") != nil { throw WebFailure.unavailable("Too many subscribers") }
                }, handler: handler)
            routes.subscription("test.kith.private", access: .session, handler: handler)
            routes.query("test.kith.get", access: .anyone) { _ in .json("ok") }
        }
        let schema = HandwrittenSchema(kind: .subscription) { pairs in
            var map = DataMap()
            for (name, value) in pairs {
                if name == "cursor" {
                    guard let cursor = Int64(value) else { throw WebFailure.invalidRequest("cursor isn't a number") }
                    map[name] = .integer(cursor)
                } else {
                    map[name] = .string(value)
                }
            }
            return map
        }
        options.schemas = [
            "test.kith.subscribe": schema, "test.kith.private": schema,
            "test.kith.get": HandwrittenSchema(kind: .query),
        ]
        return options
    }

    @Test func handshake() async throws {
        let options = Self.options { call, socket in
            try await socket.send(text: "cursor \(call.parameters["cursor"]?.integerValue ?? -1)")
        }
        try await TestServer.run(options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                let request = RawRequest(
                    "GET", "/xrpc/test.kith.subscribe?cursor=12", headers: WebSocketPeer.handshake)
                try await client.send(request)
                let response = try await client.response(hasBody: false)
                #expect(response.status == 101)
                #expect(response.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                #expect(response.header("x-request-id") != nil)
                let peer = WebSocketPeer(client: client)
                #expect(try await peer.next() == .init(opcode: 1, isFinal: true, payload: Array("cursor 12".utf8)))
                #expect(try await peer.next().closeCode == 1000)
                try await peer.send(8, [3, 232])
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func refusalsAreOrdinaryAnswers() async throws {
        try await TestServer.run(Self.options { _, _ in }) { server in
            let cases: [(String, [(String, String)], Int, String)] = [
                ("/xrpc/test.kith.subscribe?cursor=x", WebSocketPeer.handshake, 400, "InvalidRequest"),
                ("/xrpc/test.kith.subscribe?full=1", WebSocketPeer.handshake, 503, "NotEnoughResources"),
                ("/xrpc/test.kith.private", WebSocketPeer.handshake, 401, "AuthMissing"),
                ("/xrpc/test.kith.none", WebSocketPeer.handshake, 501, "MethodNotImplemented"),
                ("/xrpc/test.kith.subscribe", [], 426, "UpgradeRequired"),
                (
                    "/xrpc/test.kith.subscribe", Array(WebSocketPeer.handshake.dropLast()), 426, "UpgradeRequired"
                ),
            ]
            let other = WebSocketPeer.handshake.map { $0.0.hasSuffix("version") ? ($0.0, "8") : $0 }
            let version = try await server.get("/xrpc/test.kith.subscribe", headers: other)
            #expect(version.status == 426 && version.header("sec-websocket-version") == "13")
            for key in ["", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSE=", "dGhl HNhbXBsZSBub25jZQ=="] {
                let headers = Array(WebSocketPeer.handshake.dropLast()) + [("sec-websocket-key", key)]
                #expect(try await server.get("/xrpc/test.kith.subscribe", headers: headers).status == 400, "\(key)")
            }
            for (target, headers, status, error) in cases {
                let response = try await server.get(target, headers: headers)
                #expect(response.status == status, "\(target)")
                #expect(try DataValue(json: response.body)["error"]?.stringValue == error, "\(target)")
            }
            let posted = try await server.post("/xrpc/test.kith.subscribe", json: "{}")
            #expect(posted.status == 400)
            // A query stays a query, whatever the client asks for.
            let query = try await server.get("/xrpc/test.kith.get", headers: WebSocketPeer.handshake)
            #expect(query.text == "\"ok\"")
        }
    }

    @Test func otherUpgradesAreIgnored() async throws {
        try await TestServer.run(Self.options { _, _ in }) { server in
            let headers = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "x")]
            let query = try await server.get("/xrpc/test.kith.get", headers: headers)
            #expect(query.text == "\"ok\"")
            #expect(query.header("connection") == "close")
            let posted = try await server.post("/xrpc/test.kith.get", headers: headers, json: "{}")
            #expect(posted.status == 400)
            try await RawClient.withConnection(to: server.port) { client in
                // Only the first request of a connection can upgrade it.
                try await client.send(RawRequest("GET", "/xrpc/test.kith.get"))
                #expect(try await client.response().status == 200)
                try await client.send(
                    RawRequest("GET", "/xrpc/test.kith.subscribe", headers: WebSocketPeer.handshake))
                #expect(try await client.response().status == 426)
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func framesOfEverySize() async throws {
        let sizes = [0, 1, 125, 126, 127, 65535, 65536, 200_000]
        let options = Self.options { _, socket in
            for size in sizes { try await socket.send(binary: [UInt8](repeating: 9, count: size)) }
            try await socket.send(WebSocketFrames(binary: sizes.map { [UInt8](repeating: 8, count: $0) }))
            let framed = WebSocketFrames.frame(binary: [1, 2]) + WebSocketFrames.frame(binary: [3])
            try await socket.send(WebSocketFrames(framed: framed, messageCount: 2))
        }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                for value: UInt8 in [9, 8] {
                    for size in sizes {
                        let frame = try await peer.next()
                        #expect(
                            frame == .init(opcode: 2, isFinal: true, payload: [UInt8](repeating: value, count: size)))
                    }
                }
                #expect(try await peer.next().payload == [1, 2])
                #expect(try await peer.next().payload == [3])
                #expect(try await peer.next().closeCode == 1000)
            }
        }
    }

    @Test func messagesAndPings() async throws {
        let options = Self.options { _, socket in
            while let message = try await socket.next() {
                switch message {
                case .text(let text): try await socket.send(text: text)
                case .binary(let bytes): try await socket.send(binary: bytes)
                }
            }
        }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                try await peer.send(1, Array("ab".utf8), isFinal: false)
                try await peer.send(9, [5])
                try await peer.send(0, Array("c".utf8))
                try await peer.send(2, [0, 255])
                #expect(try await peer.next() == .init(opcode: 10, isFinal: true, payload: [5]))
                #expect(try await peer.next() == .init(opcode: 1, isFinal: true, payload: Array("abc".utf8)))
                #expect(try await peer.next() == .init(opcode: 2, isFinal: true, payload: [0, 255]))
                try await peer.send(8, [3, 233])
                #expect(try await peer.next().closeCode == 1001)
                #expect(try await peer.client.readToEnd().isEmpty)
            }
        }
    }

    @Test(arguments: [
        ("unmasked", WebSocketPeer.frame(2, [1], isMasked: false), 1002),
        ("too long", WebSocketPeer.frame(2, [UInt8](repeating: 0, count: 70_000)), 1009),
        ("not text", WebSocketPeer.frame(1, [0xFF]), 1007),
        ("reserved opcode", WebSocketPeer.frame(3, []), 1002),
        ("continuation of nothing", WebSocketPeer.frame(0, [1]), 1002),
        (
            "interleaved", WebSocketPeer.frame(1, [65], isFinal: false) + WebSocketPeer.frame(1, [65]), 1002
        ),
        (
            "too long in parts",
            WebSocketPeer.frame(2, [UInt8](repeating: 0, count: 60_000), isFinal: false)
                + WebSocketPeer.frame(0, [UInt8](repeating: 0, count: 60_000)), 1009
        ),
        ("close of one byte", WebSocketPeer.frame(8, [3]), 1002),
        ("close 999", WebSocketPeer.frame(8, [3, 231]), 1002),
        ("close 1005", WebSocketPeer.frame(8, [3, 237]), 1002), ("close 1006", WebSocketPeer.frame(8, [3, 238]), 1002),
        ("close 1015", WebSocketPeer.frame(8, [3, 247]), 1002),
        ("close 5000", WebSocketPeer.frame(8, [19, 136]), 1002),
        ("close without text", WebSocketPeer.frame(8, [3, 232, 0xFF]), 1007),
        ("flood", (0..<1100).flatMap { _ in WebSocketPeer.frame(2, []) }, 1008),
    ])
    func breaches(name: String, bytes: [UInt8], code: Int) async throws {
        let options = Self.options { _, socket in await socket.waitUntilClosed() }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                try await peer.client.send(bytes)
                #expect(try await peer.next().closeCode == code, "\(name)")
                _ = try await peer.client.readToEnd()
            }
        }
    }

    @Test func aHandlerLearnsThatThePeerIsGone() async throws {
        let (ended, finish) = AsyncStream<Bool>.makeStream()
        let options = Self.options { _, socket in
            await socket.waitUntilClosed()
            finish.yield(socket.isOpen)
        }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                try await peer.client.disconnect()
            }
            var iterator = ended.makeAsyncIterator()
            #expect(await iterator.next() == false)
        }
    }

    @Test func aHandlerThatDoesNotListenIsCancelled() async throws {
        let (ended, finish) = AsyncStream<Bool>.makeStream()
        let (never, _) = AsyncStream<Bool>.makeStream()
        let options = Self.options { _, _ in
            for await _ in never {}
            finish.yield(Task.isCancelled)
        }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                try await peer.client.disconnect()
            }
            var iterator = ended.makeAsyncIterator()
            #expect(await iterator.next() == true)
        }
    }

    @Test func failingHandlersCloseWith1011() async throws {
        struct Boom: Error {}
        let options = Self.options { _, _ in throw Boom() }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                let last = try await peer.next()
                #expect(last.closeCode == 1011)
            }
        }
        #expect(options.logs.all.contains { $0.level == .error && $0.text.contains("Boom") })
    }

    @Test func deadPeersAreDropped() async throws {
        var options = Self.options { _, socket in await socket.waitUntilClosed() }
        // Long enough that a busy machine answers in time.
        options.limits.webSocket.pingInterval = .seconds(2)
        let quick = options
        try await TestServer.run(quick) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                let first = try await peer.next()
                #expect(first.opcode == 9)
                // It doesn't answer.
                _ = try await peer.client.readToEnd()
            }
        }
    }
}
