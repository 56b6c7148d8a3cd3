import Base
import Synchronization
import Testing

@testable import Web

/// The guarded client: where it goes, where it doesn't, and how much it takes.
@Suite(.timeLimit(.minutes(10)))
struct OutboundClientTests {
    /// Answers from a table and remembers what it was asked.
    private final class TableResolver: NameResolver {
        let table: @Sendable (String, Int) -> [String]
        private let asked = Mutex<[String]>([])

        init(_ table: @escaping @Sendable (String, Int) -> [String]) { self.table = table }

        var questions: [String] { asked.withLock { $0 } }

        func addresses(of host: String) throws(DNSFailure) -> [IPAddress] {
            let count = asked.withLock { asked in
                asked.append(host)
                return asked.filter { $0 == host }.count
            }
            let found = table(host, count).compactMap { IPAddress($0) }
            guard !found.isEmpty else { throw .notFound }
            return found
        }

        func textRecords(of name: String) throws(DNSFailure) -> [String] { throw .notFound }
    }

    private static let options: TestServerOptions = {
        var options = TestServerOptions(addRoutes)
        options.limits.shutdownTimeout = .milliseconds(500)
        return options
    }()

    private static let addRoutes: @Sendable (inout TestRouter) -> Void = { routes in
        routes.get("/host", access: .anyone) { call in
            .text(
                [call.head.host, call.header("user-agent") ?? "", call.header("authorization") ?? ""].joined(
                    separator: " "))
        }
        routes.get("/bytes/:count", access: .anyone) { call in
            .bytes([UInt8](repeating: 1, count: Int(call.path["count"] ?? "") ?? 0), contentType: "image/png")
        }
        routes.get("/endless", access: .anyone) { _ in
            .stream(
                ByteStream { take in while true { try await take([UInt8](repeating: 0, count: 4096)) } },
                contentType: "image/png")
        }
        routes.get("/to", access: .anyone) { call in
            .empty(status: 302, headers: [.init(name: "location", value: call.parameter("url") ?? "")])
        }
        routes.get("/loop", access: .anyone) { _ in
            .empty(status: 301, headers: [.init(name: "location", value: "/loop")])
        }
        for verb in ["GET", "POST"] {
            routes.route(verb, "/echo", access: .anyone) { call in
                .text("\(call.head.method) \(String(decoding: try await call.body.collect(), as: UTF8.self))")
            }
        }
        for status in [303, 307] {
            routes.post("/post/\(status)", access: .anyone) { _ in
                .empty(status: status, headers: [.init(name: "location", value: "/echo")])
            }
        }
        let (never, _) = AsyncStream<Void>.makeStream()
        routes.get("/never", access: .anyone) { _ in
            for await _ in never {}
            return .text("late")
        }
    }

    /// Runs `body` with a client and shuts that down, whatever comes of it.
    private func withClient(
        policy: OutboundClient.Policy, resolver: TableResolver, _ body: (OutboundClient) async throws -> Void
    ) async rethrows {
        let client = OutboundClient(policy: policy, resolver: resolver)
        do {
            try await body(client)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
    }

    /// A request that a busy machine has time for.
    private func request(
        _ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        byteCountMax: Int = 1 << 20, redirectCountMax: Int = 3, timeout: Duration = .seconds(50)
    ) -> OutboundRequest {
        OutboundRequest(
            method, url, headers: headers, body: body, timeout: timeout, byteCountMax: byteCountMax,
            redirectCountMax: redirectCountMax)
    }

    private func failure(_ body: () async throws -> OutboundResponse) async -> String {
        do {
            return "status \(try await body().status)"
        } catch let failure as OutboundFailure {
            switch failure {
            case .invalidAddress: return "invalid"
            case .forbiddenAddress: return "forbidden"
            case .unresolved: return "unresolved"
            case .badRedirect: return "redirect"
            case .timeout: return "timeout"
            case .tooLarge: return "large"
            case .broken: return "broken"
            }
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("http://public.test/", "forbidden"), ("https://private.test/", "forbidden"),
        ("https://mapped.test/", "forbidden"),
        ("https://metadata.test/latest", "forbidden"), ("https://6.test/", "forbidden"),
        ("https://none.test/", "unresolved"),
        ("https://127.0.0.1/", "forbidden"), ("https://[::1]/", "forbidden"),
        ("https://[::ffff:127.0.0.1]/", "forbidden"),
        ("https://[fd00::1]/", "forbidden"), ("https://10.0.0.1:8443/", "forbidden"),
        ("https://169.254.169.254/", "forbidden"),
        ("https://2130706433/", "invalid"), ("https://0x7f000001/", "invalid"), ("https://127.1/", "invalid"),
        ("https://0/", "invalid"), ("https://[64:ff9b::7f00:1]/", "forbidden"), ("https://2002.test/", "forbidden"),
        ("gopher://public.test/", "invalid"), ("https://user@public.test/", "invalid"),
    ])
    func guardedAddresses(url: String, outcome: String) async {
        await withClient(
            policy: .init(),
            resolver: TableResolver { host, _ in
                switch host {
                case "private.test": ["10.0.0.7", "192.168.3.4"]
                case "mapped.test": ["::ffff:127.0.0.1"]
                case "metadata.test": ["169.254.169.254"]
                case "6.test": ["fe80::1", "::1"]
                case "2002.test": ["2002:7f00:1::1"]
                default: []
                }
            }
        ) { client in
            #expect(await failure { try await client.send(request("GET", url)) } == outcome)
        }
    }

    @Test func theCheckedAddressIsTheOneConnectedTo() async throws {
        try await TestServer.run(Self.options) { server in
            // The first answer leads to us; whoever asked again would be sent elsewhere.
            let resolver = TableResolver { _, count in count == 1 ? ["127.0.0.1"] : ["127.0.0.2"] }
            try await withClient(
                policy: .init(allowsPlainHTTP: true) { $0 == IPAddress(127, 0, 0, 1) }, resolver: resolver
            ) { client in
                let url = "http://rebind.test:\(server.port)/host"
                let response = try await client.send(request("GET", url, headers: [("authorization", "x")]))
                #expect(String(decoding: response.body, as: UTF8.self) == "rebind.test:\(server.port) kith x")
                #expect(resolver.questions == ["rebind.test"])
                // The second answer is judged anew, although the first one's connection is still there.
                #expect(await failure { try await client.send(request("GET", url)) } == "forbidden")
            }
        }
    }

    @Test func redirectsAreJudgedAnew() async throws {
        try await TestServer.run(Self.options) { server in
            let port = server.port
            try await withClient(
                policy: .init(allowsPlainHTTP: true) { $0 == IPAddress(127, 0, 0, 1) },
                resolver: TableResolver { host, _ in host == "inside.test" ? ["10.0.0.1"] : ["127.0.0.1"] }
            ) { client in
                let outcomes = [
                    ("http://127.0.0.2:\(port)/host", "forbidden"), ("http://inside.test/", "forbidden"),
                    ("http://169.254.169.254/latest/meta-data", "forbidden"), ("file:///etc/passwd", "invalid"),
                    ("http://[::1]:\(port)/host", "forbidden"), ("/host", "status 200"),
                    ("http://2130706433/", "invalid"),
                    ("//outside.test:\(port)/host", "status 200"),
                ]
                for (location, outcome) in outcomes {
                    let url = "http://start.test:\(port)/to?url=\(location)"
                    #expect(await failure { try await client.send(request("GET", url)) } == outcome, "\(location)")
                }
                let loop = request("GET", "http://start.test:\(port)/loop")
                #expect(await failure { try await client.send(loop) } == "redirect")
                let by = request("GET", "http://start.test:\(port)/loop", redirectCountMax: 0)
                let unfollowed = try await client.send(by)
                #expect(unfollowed.status == 301)
            }
        }
    }

    @Test func secretsStayWithTheirOrigin() async throws {
        try await TestServer.run(Self.options) { server in
            try await withClient(
                policy: .init(isGuarded: false), resolver: TableResolver { _, _ in ["127.0.0.1"] }
            ) { client in
                let base = "http://start.test:\(server.port)"
                for (location, token) in [("/host", "secret"), ("http://other.test:\(server.port)/host", "")] {
                    let asked = request(
                        "GET", "\(base)/to?url=\(location)", headers: [("Authorization", "secret")])
                    let body = String(decoding: try await client.send(asked).body, as: UTF8.self)
                    #expect(body.hasSuffix("kith \(token)"))
                }
                let after303 = try await client.send(request("POST", base + "/post/303", body: Array("x".utf8)))
                #expect(String(decoding: after303.body, as: UTF8.self) == "GET ")
                let after307 = try await client.send(request("POST", base + "/post/307", body: Array("x".utf8)))
                #expect(String(decoding: after307.body, as: UTF8.self) == "POST x")
                #expect(after307.url == base + "/echo")
            }
        }
    }

    @Test func sizeAndTimeAreBounded() async throws {
        try await TestServer.run(Self.options) { server in
            try await withClient(policy: .init(isGuarded: false), resolver: TableResolver { _, _ in [] }) { client in
                let base = "http://127.0.0.1:\(server.port)"
                let fits = try await client.send(request("GET", base + "/bytes/1000", byteCountMax: 1000))
                #expect(fits.body.count == 1000)
                let over = request("GET", base + "/bytes/1001", byteCountMax: 1000)
                #expect(await failure { try await client.send(over) } == "large")
                let endless = request("GET", base + "/endless", byteCountMax: 1 << 20)
                #expect(await failure { try await client.send(endless) } == "large")
                let never = request("GET", base + "/never", timeout: .milliseconds(200))
                #expect(await failure { try await client.send(never) } == "timeout")
                let noTLS = request("GET", "https://127.0.0.1:\(server.port)/")
                #expect(await failure { try await client.send(noTLS) } == "broken")
                await client.shutdown()
                #expect(await failure { try await client.send(over) } == "broken")
            }
        }
    }

    /// Whoever fails before the client is shut down loses the client, not the process.
    @Test func aClientThatIsDroppedEndsByItself() async throws {
        try await TestServer.run(Self.options) { server in
            let base = "http://127.0.0.1:\(server.port)"
            let client = OutboundClient(
                policy: .init(only: try OutboundURL(parsing: base)), resolver: TableResolver { _, _ in ["127.0.0.1"] })
            #expect(try await client.send(request("GET", base + "/bytes/7")).body.count == 7)
        }
    }

    /// A server of the operator's own: on the local network, by http, and nobody else there.
    @Test func theOneServerNamedIsReachedAndNoOther() async throws {
        try await TestServer.run(Self.options) { server in
            let base = "http://127.0.0.1:\(server.port)"
            let client = OutboundClient(
                policy: .init(only: try OutboundURL(parsing: base)), resolver: TableResolver { _, _ in ["127.0.0.1"] })
            let answer = try await client.send(request("GET", base + "/bytes/7"))
            #expect(answer.body.count == 7)
            for url in [
                "http://127.0.0.2:\(server.port)/host", "http://127.0.0.1:1/", "https://127.0.0.1:\(server.port)/",
                "http://named.test:\(server.port)/host", "https://example.org/", "http://169.254.169.254/",
            ] {
                #expect(await failure { try await client.send(request("GET", url)) } == "forbidden", "\(url)")
            }
            let redirect = request("GET", base + "/to?url=http://127.0.0.2:\(server.port)/host")
            #expect(await failure { try await client.send(redirect) } == "forbidden")
            await client.shutdown()
        }
    }

    @Test func bodiesAreStreamedBothWays() async throws {
        try await TestServer.run(Self.options) { server in
            let base = "http://127.0.0.1:\(server.port)"
            let client = OutboundClient(
                policy: .init(only: try OutboundURL(parsing: base)), resolver: TableResolver { _, _ in [] })
            let pieces = AsyncStream { continuation in
                for _ in 0..<100 { continuation.yield([UInt8](repeating: 0x61, count: 500)) }
                continuation.finish()
            }
            let echo = try await client.stream(
                "POST", base + "/echo", headers: [("content-type", "text/plain")], body: pieces, byteCount: 50_000)
            var count = 0
            while let chunk = try await echo.body.next() { count += chunk.count }
            #expect(echo.status == 200 && count == 50_000 + "POST ".utf8.count)
            // Redirects are the caller's.
            let to = try await client.stream("GET", base + "/loop", headers: [], body: pieces, byteCount: 0)
            #expect(to.status == 301)
            // What has no end is ended by whoever drops it.
            let endless = try await client.stream("GET", base + "/endless", headers: [], body: pieces, byteCount: 0)
            #expect(try await endless.body.next()?.isEmpty == false)
            // Whoever waits can be called off, before the head and after it.
            await #expect(throws: CancellationError.self) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        _ = try await client.stream("GET", base + "/never", headers: [], body: pieces, byteCount: 0)
                    }
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
            await #expect(throws: CancellationError.self) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { while try await endless.body.next() != nil {} }
                    group.cancelAll()
                    try await group.waitForAll()
                }
            }
            await client.shutdown()
        }
    }

    @Test func theNextAddressIsTriedWhenOneIsDead() async throws {
        try await TestServer.run(Self.options) { server in
            try await withClient(
                policy: .init(isGuarded: false), resolver: TableResolver { _, _ in ["127.0.0.9", "127.0.0.1"] }
            ) { client in
                let response = try await client.send(request("GET", "http://two.test:\(server.port)/host"))
                #expect(response.status == 200)
            }
        }
    }

    @Test func manyHostsNeedNoMoreClientsThanAllowed() async throws {
        try await TestServer.run(Self.options) { server in
            var policy = OutboundClient.Policy(isGuarded: false)
            policy.hostCountMax = 3
            try await withClient(policy: policy, resolver: TableResolver { _, _ in ["127.0.0.1"] }) { client in
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for index in 0..<30 {
                        group.addTask {
                            let url = "http://h\(index % 10).test:\(server.port)/host"
                            return try await client.send(request("GET", url)).status
                        }
                    }
                    for try await status in group { #expect(status == 200) }
                }
            }
        }
    }
}
