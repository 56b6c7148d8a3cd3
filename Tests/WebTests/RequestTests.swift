import ATProtocol
import Base
import Testing

@testable import Web

/// What handlers can ask of a request, and how lexicons shape a call.
@Suite(.timeLimit(.minutes(10)))
struct RequestTests {
    @Test func heads() {
        let head = RequestHead(
            target: "/xrpc/a.b.c?x=1#y",
            headers: [
                ("Host", "Example.COM:8080"), ("Cookie", "a=1; kith-session = x=y ;b=2"), ("cookie", "c=3"),
                ("Content-Type", "Application/JSON; charset=utf-8"),
            ])
        #expect(head.path == "/xrpc/a.b.c")
        #expect(head.query == "x=1")
        #expect(head.nsid == "a.b.c")
        #expect(head.host == "example.com:8080")
        #expect(head.contentType == "application/json")
        #expect(head.cookie("a") == "1")
        #expect(head.cookie("kith-session") == "x=y")
        #expect(head.cookie("c") == "3")
        #expect(head.cookie("d") == nil)
        #expect(head.headers("cookie").count == 2)
        for (target, path) in [
            ("http://h/p?q", "/p"), ("http://h", "/"), ("/a%2Fb", "/a%2Fb"), ("*", "*"), ("/?", "/"),
            ("/x://y", "/x://y"),
        ] {
            #expect(RequestHead(target: target).path == path, "\(target)")
        }
    }

    @Test func queryStrings() throws {
        let pairs = try QueryString.pairs("a=1&b&&c=x%3Dy&a=2&=z&d=%E2%82%AC+%2B")
        #expect(pairs.map(\.0) == ["a", "b", "c", "a", "", "d"])
        #expect(pairs.map(\.1) == ["1", "", "x=y", "2", "z", "€ +"])
        #expect(try QueryString.pairs("").isEmpty)
        for broken in ["a=%", "a=%1", "a=%zz", "a=%C3", "%FF=1"] {
            #expect(throws: WebFailure.self) { try QueryString.pairs(broken) }
        }
    }

    @Test func mediaTypes() {
        #expect(MediaType.pattern("*/*", covers: "image/png"))
        #expect(MediaType.pattern("image/*", covers: "image/png"))
        #expect(!MediaType.pattern("image/*", covers: "imagex/png"))
        #expect(!MediaType.pattern("text/plain", covers: "text/html"))
        #expect(MediaType.isAcceptable("a/b", accept: ["*/*;q=0, a/b"]))
        #expect(!MediaType.isAcceptable("a/b", accept: ["*/*", "a/b;q=0.0"]))
        #expect(MediaType.acceptsGzip(["deflate", "gzip;q=0.1"]))
        #expect(!MediaType.acceptsGzip(["gzip;q=0"]))
        #expect(MediaType.acceptsGzip(["*"]))
        #expect(!MediaType.acceptsGzip([]))
    }

    @Test func forms() async throws {
        func call(_ type: String, _ body: String) -> XRPCCall<TestCaller> {
            XRPCCall(
                head: RequestHead(method: "POST", target: "/form", headers: [("content-type", type)]),
                caller: TestCaller(), body: Array(body.utf8))
        }
        let form = try await call("application/x-www-form-urlencoded", "a=1+2&b=%C3%BC").formBody()
        #expect(form.map(\.0) == ["a", "b"])
        #expect(form.map(\.1) == ["1 2", "ü"])
        await #expect(throws: WebFailure.self) { try await call("text/plain", "a=1").formBody() }
        #expect(try await call("application/json", #"{"a":1}"#).jsonBody() == ["a": 1])
        await #expect(throws: WebFailure.self) { try await call("application/json", "{").jsonBody() }
    }

    private static let lexicons = [
        """
        {"lexicon": 1, "id": "test.kith.list", "defs": {"main": {"type": "query",
          "parameters": {"type": "params", "required": ["repo"], "properties": {
            "repo": {"type": "string", "format": "at-identifier"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
            "reverse": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}}}},
          "output": {"encoding": "application/json"}}}}
        """,
        """
        {"lexicon": 1, "id": "test.kith.save", "defs": {"main": {"type": "procedure",
          "input": {"encoding": "application/json", "schema": {"type": "object", "required": ["name"],
            "properties": {"name": {"type": "string", "maxLength": 5}, "count": {"type": "integer", "default": 3}}}},
          "output": {"encoding": "application/json"}}}}
        """,
        """
        {"lexicon": 1, "id": "test.kith.touch", "defs": {"main": {"type": "procedure",
          "input": {"encoding": "application/json", "schema": {"type": "object",
            "properties": {"count": {"type": "integer", "default": 3}}}},
          "output": {"encoding": "application/json"}}}}
        """,
    ]

    @Test func lexiconsShapeCalls() async throws {
        let catalog = LexiconCatalog(documents: try Self.lexicons.map { try LexiconDocument(json: Array($0.utf8)) })
        var router = TestRouter(anonymous: [.anyone]) { _, _ in TestCaller() }
        router.query("test.kith.list", access: .anyone) { call in .json(.map(call.parameters)) }
        router.procedure("test.kith.save", access: .anyone) { call in .json(call.input) }
        router.procedure("test.kith.touch", access: .anyone) { call in .json(call.input) }
        let responder = try XRPCResponder(
            router, catalog: catalog, settings: ResponderSettings(logger: LogRecorder().logger))
        func get(_ query: String) async throws -> HeldResponse {
            try await responder.answer(RequestHead(target: "/xrpc/test.kith.list?" + query))
        }
        func post(_ json: String) async throws -> HeldResponse {
            let head = RequestHead(
                method: "POST", target: "/xrpc/test.kith.save", headers: [("content-type", "application/json")])
            return try await responder.answer(head, body: Array(json.utf8))
        }
        let listed = try await get("repo=alice.test&reverse=true&tags=a&tags=b&unknown=1")
        #expect(
            try DataValue(json: listed.body)
                == ["repo": "alice.test", "limit": 50, "reverse": true, "tags": ["a", "b"]])
        for query in ["", "repo=..", "repo=alice.test&limit=0", "repo=alice.test&limit=x", "repo=a.test&reverse=1"] {
            let refused = try await get(query)
            #expect(refused.status == 400, "\(query)")
            let failure = try DataValue(json: refused.body)
            #expect(failure["error"] == "InvalidRequest")
            #expect(failure["message"]?.stringValue?.contains(query.contains("limit") ? "limit" : "re") == true)
        }
        #expect(try DataValue(json: try await post(#"{"name":"abc"}"#).body) == ["name": "abc", "count": 3])
        let bare = try await responder.answer(RequestHead(method: "POST", target: "/xrpc/test.kith.touch"))
        #expect(try DataValue(json: bare.body) == ["count": 3])
        let empty = try await responder.answer(RequestHead(method: "POST", target: "/xrpc/test.kith.save"))
        #expect(empty.status == 400)
        for body in ["{}", #"{"name":"abcdef"}"#, #"{"name":1}"#, "[]", #"{"name":"a","count":1.5}"#] {
            #expect(try await post(body).status == 400, "\(body)")
        }
    }

    @Test func aFallbackTakesWhatNobodyServes() async throws {
        var router = TestRouter(anonymous: [.anyone]) { _, _ in TestCaller() }
        router.query("test.kith.get", access: .anyone) { _ in .json("own") }
        router.fallback(access: .anyone) { call in
            .text("\(call.head.method) \(call.nsid) \(call.head.query) \(try await call.body.collect().count)")
        }
        let responder = try XRPCResponder(
            router, catalog: ["test.kith.get": HandwrittenSchema(kind: .query)],
            settings: ResponderSettings(logger: LogRecorder().logger))
        let own = try await responder.answer(RequestHead(target: "/xrpc/test.kith.get"))
        #expect(String(decoding: own.body, as: UTF8.self) == "\"own\"")
        let other = try await responder.answer(
            RequestHead(method: "POST", target: "/xrpc/app.bsky.feed.post?x=1"), body: [1, 2])
        #expect(String(decoding: other.body, as: UTF8.self) == "POST app.bsky.feed.post x=1 2")
        #expect(try await responder.answer(RequestHead(target: "/xrpc/nonsense")).status == 400)
        #expect(try await responder.answer(RequestHead(target: "/other")).status == 404)
    }

    @Test func whatLeadsNowhereIsLimitedToo() async throws {
        var settings = ResponderSettings(logger: LogRecorder().logger)
        settings.rateLimiter = RateLimiter(clock: ManualClock())
        let router = TestRouter(anonymous: [.anyone]) { _, _ in TestCaller() }
        let responder = try XRPCResponder(router, catalog: [:], settings: settings)
        for _ in 0..<RateLimit.global.points {
            #expect(try await responder.answer(RequestHead(target: "/nowhere")).status == 404)
        }
        #expect(try await responder.answer(RequestHead(target: "/nowhere")).status == 429)
        #expect(try await responder.answer(RequestHead(target: "/nowhere", remoteAddress: "1.1.1.1")).status == 404)
    }
}
