import ATProtocol
import Base
import NIOCore
import Testing

@testable import Web

/// HTTP/1.1 itself: keep-alive, pipelining, broken and slow clients.
@Suite(.timeLimit(.minutes(10)))
struct ConnectionTests {
    private static let options = TestServerOptions { routes in
        routes.get("/small", access: .anyone) { _ in .text("small") }
        routes.get("/stream/:count", access: .anyone) { call in
            let count = Int(call.path["count"] ?? "") ?? 0
            return .stream(
                ByteStream { take in
                    for index in 0..<count { try await take([UInt8](repeating: UInt8(index & 255), count: 1000)) }
                }, contentType: "application/octet-stream")
        }
        routes.get("/broken-stream/:count", access: .anyone) { call in
            let count = Int(call.path["count"] ?? "") ?? 0
            return .stream(
                ByteStream { take in
                    for _ in 0..<count { try await take([1, 2, 3]) }
                    throw WebFailure.invalidRequest("No such repository")
                }, contentType: "application/octet-stream")
        }
        routes.post("/ignore", access: .anyone, body: .bytes(1 << 30)) { _ in .text("ignored") }
        routes.post("/count", access: .anyone, body: .bytes(1 << 30)) { call in
            var count = 0
            for try await chunk in call.body { count += chunk.count }
            return .text(String(count))
        }
    }

    private static let impatient: TestServerOptions = {
        var options = Self.options
        options.limits.headerTimeout = .milliseconds(300)
        options.limits.bodyTimeout = .milliseconds(300)
        return options
    }()

    @Test func keepAliveAndPipelining() async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                let request = RawRequest("GET", "/small").bytes
                try await client.send(request + RawRequest("POST", "/count", body: [1, 2, 3]).bytes + request)
                #expect(try await client.response().text == "small")
                #expect(try await client.response().text == "3")
                #expect(try await client.response().text == "small")
                try await client.send(RawRequest("GET", "/small", headers: [("connection", "close")]))
                let last = try await client.response()
                #expect(last.header("connection") == "close")
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func requestIDsDiffer() async throws {
        try await TestServer.run(Self.options) { server in
            let first = try await server.get("/small").header("x-request-id")
            let second = try await server.get("/nowhere").header("x-request-id")
            #expect(first != nil && second != nil && first != second)
        }
    }

    @Test func streamsArriveWhole() async throws {
        try await TestServer.run(Self.options) { server in
            for count in [0, 1, 500] {
                let response = try await server.get("/stream/\(count)")
                #expect(response.status == 200)
                #expect(response.body.count == count * 1000)
            }
        }
    }

    @Test func headsOfStreamsHaveNoBody() async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("HEAD", "/stream/3"))
                let response = try await client.response(hasBody: false)
                #expect(response.status == 200)
                #expect(response.header("transfer-encoding") == nil)
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func streamsThatFail() async throws {
        try await TestServer.run(Self.options) { server in
            let early = try await server.get("/broken-stream/0")
            #expect(early.status == 400)
            #expect(early.text.contains("No such repository"))
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("GET", "/broken-stream/2"))
                // The last chunk never comes, so no client takes the part for the whole.
                await #expect(throws: ConnectionEnded.self) { try await client.response() }
            }
        }
    }

    @Test func unreadBodies() async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("POST", "/ignore", body: [UInt8](repeating: 1, count: 50_000)))
                #expect(try await client.response().text == "ignored")
                try await client.send(RawRequest("GET", "/small"))
                #expect(try await client.response().text == "small")
            }
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("POST", "/ignore", headers: [("content-length", "100000000")]))
                let response = try await client.response()
                #expect(response.text == "ignored")
                #expect(response.header("connection") == "close")
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func continueIsSentOnlyWhenTheBodyIsWanted() async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                let headers = [("expect", "100-continue"), ("content-length", "3")]
                try await client.send(RawRequest("POST", "/count", headers: headers))
                #expect(try await client.response(hasBody: false).status == 100)
                try await client.send("abc")
                #expect(try await client.response().text == "3")
                try await client.send(
                    RawRequest(
                        "POST", "/ignore", headers: [("expect", "100-continue"), ("content-length", "90000000")]))
                #expect(try await client.response().text == "ignored")
            }
        }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), ("nonsense\r\n\r\n", 400), ("GET /\u{1} HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n", 400),
        ("POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nbig: \(String(repeating: "x", count: 40_000))\r\n\r\n", 431),
        ("GET /\(String(repeating: "x", count: 100_000)) HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (
            "GET / HTTP/1.1\r\nhost: x\r\n" + (0..<200).map { "h\($0): x\r\n" }.joined() + "\r\n", 431
        ),
    ])
    func brokenRequests(text: String, status: Int) async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(text)
                let response = try await client.response()
                #expect(response.status == status, "\(text.prefix(80))")
                #expect(try DataValue(json: response.body)["error"] != nil)
                #expect(try await client.readToEnd().isEmpty)
            }
        }
    }

    @Test func slowHeaders() async throws {
        try await TestServer.run(Self.impatient) { server in
            for begin in ["G", "GET / HTTP/1.1\r\nhost: x\r\n"] {
                try await RawClient.withConnection(to: server.port) { client in
                    try await client.send(begin)
                    #expect(try await client.response().status == 408)
                    #expect(try await client.readToEnd().isEmpty)
                }
            }
            // One byte now and then doesn't help.
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send("GET /small HTTP/1.1\r\n")
                let drip = client.channel.eventLoop.scheduleRepeatedTask(
                    initialDelay: .milliseconds(50), delay: .milliseconds(50)
                ) { _ in
                    client.channel.writeAndFlush(ByteBuffer(string: "x"), promise: nil)
                }
                #expect(try await client.response().status == 408)
                drip.cancel()
            }
        }
    }

    @Test func slowBodies() async throws {
        try await TestServer.run(Self.impatient) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("POST", "/count", headers: [("content-length", "1000")]))
                let drip = client.channel.eventLoop.scheduleRepeatedTask(
                    initialDelay: .milliseconds(50), delay: .milliseconds(50)
                ) { _ in
                    client.channel.writeAndFlush(ByteBuffer(string: "x"), promise: nil)
                }
                #expect(try await client.response().status == 408)
                drip.cancel()
                _ = try await client.readToEnd()
            }
        }
    }

    @Test func bodiesThatEndEarly() async throws {
        try await TestServer.run(Self.options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("POST", "/count", headers: [("content-length", "10")]))
                try await client.send("abc")
                try await client.closeOutput()
                let response = try await client.response()
                #expect(response.status == 400)
                #expect(response.text.contains("ended early"))
            }
        }
    }

    @Test func clientsThatTakeNothingAreCut() async throws {
        let (cuts, cut) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.get("/endless", access: .anyone) { _ in
                .stream(
                    ByteStream { take in
                        do {
                            while true { try await take([UInt8](repeating: 1, count: 1000)) }
                        } catch {
                            cut.yield()
                            throw error
                        }
                    }, contentType: "application/octet-stream")
            }
        }
        options.limits.writeTimeout = .milliseconds(200)
        let stuck = options
        try await TestServer.run(stuck) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.setReading(false)
                try await client.send(RawRequest("GET", "/endless"))
                for await _ in cuts { break }
                // What the kernel holds is all there is.
                try await client.setReading(true)
                _ = try await client.readToEnd()
            }
        }
    }

    @Test func connectionsAreBounded() async throws {
        var options = Self.options
        options.limits.connectionCountMax = 2
        let bounded = options
        try await TestServer.run(bounded) { server in
            try await RawClient.withConnection(to: server.port) { third in
                try await RawClient.withConnection(to: server.port) { first in
                    try await first.send(RawRequest("GET", "/small"))
                    #expect(try await first.response().status == 200)
                    try await third.send(RawRequest("GET", "/small"))
                    #expect(try await third.response().status == 200)
                }
                // Once a place is free the next one is served.
                #expect(try await server.get("/small").status == 200)
            }
        }
    }

    @Test func forwardedAddresses() async throws {
        let options = TestServerOptions { routes in
            routes.get("/me", access: .anyone) { call in .text(call.remoteAddress) }
        }
        try await TestServer.run(options) { server in
            let cases: [([(String, String)], String)] = [
                ([], "127.0.0.1"),
                ([("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
                ([("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
                ([("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.8")], "203.0.113.8"),
                ([("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1"),
                ([("x-forwarded-for", "203.0.113.9:1234")], "203.0.113.9"),
                ([("x-forwarded-for", "nonsense")], "127.0.0.1"),
                ([("x-forwarded-for", "192.168.1.1")], "192.168.1.1"),
            ]
            for (headers, address) in cases {
                let response = try await server.get("/me", headers: headers)
                #expect(response.text == address, "\(headers)")
            }
        }
    }
}
