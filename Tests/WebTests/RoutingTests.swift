import ATProtocol
import Base
import Logging
import Testing

@testable import Web

/// What the router makes of verbs, names, parameters and bodies, over real sockets.
@Suite(.timeLimit(.minutes(10)))
struct RoutingTests {
    private static let options: TestServerOptions = {
        var options = TestServerOptions { routes in
            routes.query("test.kith.get", access: .anyone) { call in
                .json(["name": .string(call.parameter("name") ?? "")])
            }
            routes.query("test.kith.private", access: .session) { call in
                .json(["caller": .string(call.caller.name ?? "")])
            }
            routes.procedure("test.kith.put", access: .anyone) { call in .json(["echo": call.input]) }
            routes.procedure("test.kith.ping", access: .anyone) { _ in .empty() }
            routes.procedure("test.kith.upload", access: .anyone) { call in
                .json(["size": .integer(Int64(try await call.body.collect().count))])
            }
            routes.query("test.kith.boom", access: .anyone) { _ in throw Boom(secret: "swordfish") }
            routes.query("test.kith.header", access: .anyone) { _ in
                XRPCResponse.empty().adding("x-bad", "a\r\nset-cookie: b")
            }
            routes.get("/plc/:did", access: .anyone, failures: .message) { call in
                guard call.path["did"] != "did:plc:none" else { throw WebFailure.notFound }
                return .text(call.path["did"] ?? "")
            }
            routes.get("/plc/:did/log", access: .anyone) { call in .text("log of \(call.path["did"] ?? "")") }
            routes.post("/plc/:did", access: .anyone) { call in .json(try await call.jsonBody()) }
            routes.get("/plc/export", access: .anyone) { call in .text("export \(call.parameter("after") ?? "")") }
        }
        options.schemas = [
            "test.kith.get": HandwrittenSchema(kind: .query), "test.kith.private": HandwrittenSchema(kind: .query),
            "test.kith.boom": HandwrittenSchema(kind: .query), "test.kith.header": HandwrittenSchema(kind: .query),
            "test.kith.put": HandwrittenSchema(kind: .procedure, inputEncoding: "application/json") { _ in
                DataMap()
            } validate: { input in
                if input["bad"] != nil { throw WebFailure.invalidRequest("input: bad must not be") }
            },
            "test.kith.ping": HandwrittenSchema(kind: .procedure, outputEncoding: nil),
            "test.kith.upload": HandwrittenSchema(kind: .procedure, inputEncoding: "*/*"),
        ]
        options.limits.jsonByteCountMax = 1000
        options.limits.blobByteCountMax = 100_000
        return options
    }()

    private struct Boom: Error {
        var secret: String
    }

    private func expect(
        _ response: RawResponse, _ status: Int, _ error: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(response.status == status, sourceLocation: sourceLocation)
        let body = try DataValue(json: response.body)
        #expect(body["error"]?.stringValue == error, sourceLocation: sourceLocation)
        #expect(body["message"]?.stringValue?.isEmpty == false, sourceLocation: sourceLocation)
        #expect(response.header("content-type") == "application/json", sourceLocation: sourceLocation)
    }

    @Test func queriesAnswer() async throws {
        try await TestServer.run(Self.options) { server in
            let response = try await server.get("/xrpc/test.kith.get?name=a%20b+c")
            #expect(response.status == 200)
            #expect(response.text == #"{"name":"a b c"}"#)
            #expect(response.header("content-length") == String(response.body.count))
            #expect(response.header("date")?.hasSuffix("GMT") == true)
        }
    }

    @Test func wrongVerbsAndNames() async throws {
        try await TestServer.run(Self.options) { server in
            try expect(try await server.post("/xrpc/test.kith.get", json: "{}"), 400, "InvalidRequest")
            try expect(try await server.get("/xrpc/test.kith.put"), 400, "InvalidRequest")
            try expect(try await server.get("/xrpc/test.kith.unknown"), 501, "MethodNotImplemented")
            try expect(try await server.get("/xrpc/nonsense"), 400, "InvalidRequest")
            try expect(try await server.get("/nowhere"), 404, "NotFound")
            try expect(try await server.send(RawRequest("DELETE", "/plc/x")), 405, "MethodNotAllowed")
        }
    }

    @Test func headOfQueries() async throws {
        try await TestServer.run(Self.options) { server in
            let whole = try await server.get("/xrpc/test.kith.get?name=x")
            let head = try await server.send(RawRequest("HEAD", "/xrpc/test.kith.get?name=x"))
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
            #expect(head.header("content-length") == whole.header("content-length"))
            let again = try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("HEAD", "/nowhere"))
                let first = try await client.response(hasBody: false)
                try await client.send(RawRequest("GET", "/xrpc/test.kith.get"))
                return (first, try await client.response())
            }
            #expect(again.0.status == 404)
            #expect(again.1.status == 200)
        }
    }

    @Test func brokenParameters() async throws {
        try await TestServer.run(Self.options) { server in
            for query in ["name=%", "name=%zz", "%f=1", "name=%ff%fe", String(repeating: "a=b&", count: 2000)] {
                try expect(try await server.get("/xrpc/test.kith.get?" + query), 400, "InvalidRequest")
            }
        }
    }

    @Test func bodiesOfProcedures() async throws {
        try await TestServer.run(Self.options) { server in
            let echoed = try await server.post("/xrpc/test.kith.put", json: #"{"a":[1,null,"ü"]}"#)
            #expect(echoed.text == #"{"echo":{"a":[1,null,"ü"]}}"#)
            let charset = RawRequest(
                "POST", "/xrpc/test.kith.put", headers: [("Content-Type", "Application/JSON; charset=utf-8")],
                body: Array("{}".utf8))
            #expect(try await server.send(charset).status == 200)
            // Its schema needs no field.
            for body: [UInt8]? in [nil, []] {
                let bare = try await server.send(RawRequest("POST", "/xrpc/test.kith.put", body: body))
                #expect(bare.text == #"{"echo":{}}"#)
            }
            let noType = RawRequest("POST", "/xrpc/test.kith.put", body: Array("{}".utf8))
            try expect(try await server.send(noType), 400, "InvalidRequest")
            let wrongType = RawRequest(
                "POST", "/xrpc/test.kith.put", headers: [("content-type", "text/plain")], body: Array("{}".utf8))
            try expect(try await server.send(wrongType), 415, "UnsupportedMediaType")
            try expect(try await server.post("/xrpc/test.kith.put", json: #"{"bad":1}"#), 400, "InvalidRequest")
        }
    }

    @Test func malformedJSON() async throws {
        let deep = String(repeating: "[", count: 900)
        let texts = ["{", "nul", #"{"a":1.5}"#, #"{"a":1,"a":2}"#, "\u{0}", #"{"a":"\ud800"}"#, "{} {}", deep, "[1,]"]
        try await TestServer.run(Self.options) { server in
            for text in texts {
                try expect(try await server.post("/xrpc/test.kith.put", json: text), 400, "InvalidRequest")
            }
            let notText = RawRequest(
                "POST", "/xrpc/test.kith.put", headers: [("content-type", "application/json")],
                body: [0x22, 0xFF, 0xFE, 0x22])
            try expect(try await server.send(notText), 400, "InvalidRequest")
        }
    }

    @Test func bodiesNobodyAskedFor() async throws {
        try await TestServer.run(Self.options) { server in
            #expect(try await server.send(RawRequest("POST", "/xrpc/test.kith.ping")).status == 200)
            #expect(try await server.send(RawRequest("POST", "/xrpc/test.kith.ping", body: [])).status == 200)
            try expect(try await server.post("/xrpc/test.kith.ping", json: "{}"), 400, "InvalidRequest")
            let chunked = RawRequest(
                "POST", "/xrpc/test.kith.ping", headers: [("transfer-encoding", "chunked")])
            let empty = try await RawClient.withConnection(to: server.port) { client in
                try await client.send(chunked.bytes + Array("0\r\n\r\n".utf8))
                return try await client.response()
            }
            #expect(empty.status == 200)
            let full = try await RawClient.withConnection(to: server.port) { client in
                try await client.send(chunked.bytes + Array("2\r\n{}\r\n0\r\n\r\n".utf8))
                return try await client.response()
            }
            try expect(full, 400, "InvalidRequest")
        }
    }

    @Test func sizesOfBodies() async throws {
        try await TestServer.run(Self.options) { server in
            let fits = #"{"a":"\#(String(repeating: "x", count: 980))"}"#
            #expect(try await server.post("/xrpc/test.kith.put", json: fits).status == 200)
            let over = #"{"a":"\#(String(repeating: "x", count: 1000))"}"#
            try expect(try await server.post("/xrpc/test.kith.put", json: over), 413, "PayloadTooLarge")
            let blob = RawRequest(
                "POST", "/xrpc/test.kith.upload", headers: [("content-type", "image/png")],
                body: [UInt8](repeating: 7, count: 100_000))
            #expect(try await server.send(blob).text == #"{"size":100000}"#)
            var huge = blob
            huge.body = [UInt8](repeating: 7, count: 100_001)
            try expect(try await server.send(huge), 413, "PayloadTooLarge")
        }
    }

    @Test func chunkedBodiesAreBounded() async throws {
        try await TestServer.run(Self.options) { server in
            let response = try await RawClient.withConnection(to: server.port) { client in
                let head = RawRequest(
                    "POST", "/xrpc/test.kith.upload",
                    headers: [("content-type", "image/png"), ("transfer-encoding", "chunked")])
                try await client.send(head)
                let chunk = Array("2710\r\n".utf8) + [UInt8](repeating: 1, count: 10_000) + Array("\r\n".utf8)
                for _ in 0..<20 { try? await client.send(chunk) }
                return try await client.response()
            }
            try expect(response, 413, "PayloadTooLarge")
            #expect(response.header("connection") == "close")
        }
    }

    @Test func unexpectedFailuresTellNothing() async throws {
        try await TestServer.run(Self.options) { server in
            let response = try await server.get("/xrpc/test.kith.boom")
            try expect(response, 500, "InternalServerError")
            #expect(!response.text.contains("swordfish"))
            let id = try #require(response.header("x-request-id"))
            #expect(response.text.contains(id))
            let line = try #require(Self.options.logs.all.first { $0.level == .error && $0.text.contains(id) })
            #expect(line.text.contains("swordfish"))
            try expect(try await server.get("/xrpc/test.kith.header"), 500, "InternalServerError")
        }
    }

    @Test func privateRoutes() async throws {
        try await TestServer.run(Self.options) { server in
            let refused = try await server.get("/xrpc/test.kith.private")
            try expect(refused, 401, "AuthMissing")
            #expect(refused.header("cache-control") == "private")
            let answer = try await server.get("/xrpc/test.kith.private", headers: [("Authorization", "alice")])
            #expect(answer.text == #"{"caller":"alice"}"#)
            #expect(answer.header("cache-control") == "private")
            #expect(answer.headers("vary").contains("Authorization"))
            let open = try await server.get("/xrpc/test.kith.get")
            #expect(open.header("cache-control") == nil)
        }
    }

    @Test func plainPaths() async throws {
        try await TestServer.run(Self.options) { server in
            #expect(try await server.get("/plc/did%3Aplc%3Aabc").text == "did:plc:abc")
            #expect(try await server.get("/plc/did:plc:abc/log?x=1").text == "log of did:plc:abc")
            #expect(try await server.get("/plc/export?after=2026").text == "export 2026")
            #expect(try await server.get("http://elsewhere.test/plc/x").text == "x")
            let missing = try await server.get("/plc/did:plc:none")
            #expect(missing.status == 404)
            #expect(missing.text == #"{"message":"There is nothing at this address"}"#)
            #expect(try await server.get("/plc/").status == 404)
            #expect(try await server.get("/plc/a/b/c").status == 404)
            #expect(try await server.get("/plc/%zz").status == 400)
            #expect(try await server.post("/plc/x", json: "[1]").text == "[1]")
            #expect(try await server.send(RawRequest("POST", "/plc/x", body: [1])).status == 415)
        }
    }

    @Test func acceptIsHonoured() async throws {
        try await TestServer.run(Self.options) { server in
            for accept in ["application/json", "*/*", "text/html, */*;q=0.1", "application/*", "nonsense"] {
                let response = try await server.get("/xrpc/test.kith.get", headers: [("accept", accept)])
                #expect(response.status == 200, "\(accept)")
            }
            for accept in ["text/html", "application/json;q=0", "image/*, text/plain"] {
                let response = try await server.get("/xrpc/test.kith.get", headers: [("accept", accept)])
                try expect(response, 406, "NotAcceptable")
            }
        }
    }

    @Test func crossOrigin() async throws {
        try await TestServer.run(Self.options) { server in
            let preflight = try await server.send(
                RawRequest(
                    "OPTIONS", "/xrpc/test.kith.put",
                    headers: [
                        ("origin", "https://app.test"), ("access-control-request-method", "POST"),
                        ("access-control-request-headers", "authorization, content-type, dpop"),
                    ]))
            #expect(preflight.status == 204)
            #expect(preflight.header("access-control-allow-origin") == "*")
            #expect(preflight.header("access-control-allow-headers") == "authorization, content-type, dpop")
            #expect(preflight.header("access-control-max-age") == "86400")
            let response = try await server.get("/xrpc/test.kith.get", headers: [("origin", "https://app.test")])
            #expect(response.header("access-control-allow-origin") == "*")
            let exposed = try #require(response.header("access-control-expose-headers"))
            for name in ["DPoP-Nonce", "WWW-Authenticate", "atproto-repo-rev", "RateLimit-Remaining"] {
                #expect(exposed.contains(name))
            }
            #expect(response.header("x-content-type-options") == "nosniff")
        }
    }

    @Test func routesAreListedWithTheirAccess() throws {
        var router = TestRouter(anonymous: [.anyone]) { _, _ in TestCaller() }
        Self.options.routes(&router)
        #expect(router.routes.contains(.init(kind: .query, name: "test.kith.private", access: .session)))
        #expect(router.routes.contains(.init(kind: .plain("GET"), name: "/plc/:did", access: .anyone)))
        #expect(router.routes.count == 11)
    }

    @Test func mistakesAreFoundAtStart() throws {
        var router = TestRouter(anonymous: []) { _, _ in TestCaller() }
        router.query("test.kith.get", access: .anyone) { _ in .empty() }
        router.query("test.kith.get", access: .anyone) { _ in .empty() }
        router.query("test.kith.put", access: .anyone) { _ in .empty() }
        router.query("test.kith.none", access: .anyone) { _ in .empty() }
        router.get("/a", access: .anyone) { _ in .empty() }
        router.get("/a", access: .anyone) { _ in .empty() }
        let settings = ResponderSettings(logger: LogRecorder().logger)
        let mistake = #expect(throws: RouterMistake.self) {
            try XRPCResponder(router, catalog: Self.options.schemas, settings: settings)
        }
        #expect(mistake?.problems.count == 4)
    }
}
