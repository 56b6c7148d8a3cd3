import Base
import Synchronization
import Testing

@testable import Web

/// The guarded client: where it goes, where it doesn't, and how much it takes.
@Suite(.timeLimit(.minutes(1)))
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
        let client = OutboundClient(
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
            })
        #expect(await failure { try await client.send(OutboundRequest("GET", url)) } == outcome)
        await client.shutdown()
    }

    @Test func theCheckedAddressIsTheOneConnectedTo() async throws {
        try await TestServer.run(Self.options) { server in
            // The first answer leads to us; whoever asked again would be sent elsewhere.
            let resolver = TableResolver { _, count in count == 1 ? ["127.0.0.1"] : ["127.0.0.2"] }
            let client = OutboundClient(
                policy: .init(allowsPlainHTTP: true) { $0 == IPAddress(127, 0, 0, 1) }, resolver: resolver)
            let url = "http://rebind.test:\(server.port)/host"
            let response = try await client.send(OutboundRequest("GET", url, headers: [("authorization", "x")]))
            #expect(String(decoding: response.body, as: UTF8.self) == "rebind.test:\(server.port) kith x")
            #expect(resolver.questions == ["rebind.test"])
            // The second answer is judged anew, although the first one's connection is still there.
            #expect(await failure { try await client.send(OutboundRequest("GET", url)) } == "forbidden")
            await client.shutdown()
        }
    }

    @Test func redirectsAreJudgedAnew() async throws {
        try await TestServer.run(Self.options) { server in
            let port = server.port
            let client = OutboundClient(
                policy: .init(allowsPlainHTTP: true) { $0 == IPAddress(127, 0, 0, 1) },
                resolver: TableResolver { host, _ in host == "inside.test" ? ["10.0.0.1"] : ["127.0.0.1"] })
            let outcomes = [
                ("http://127.0.0.2:\(port)/host", "forbidden"), ("http://inside.test/", "forbidden"),
                ("http://169.254.169.254/latest/meta-data", "forbidden"), ("file:///etc/passwd", "invalid"),
                ("http://[::1]:\(port)/host", "forbidden"), ("/host", "status 200"), ("http://2130706433/", "invalid"),
                ("//outside.test:\(port)/host", "status 200"),
            ]
            for (location, outcome) in outcomes {
                let url = "http://start.test:\(port)/to?url=\(location)"
                #expect(await failure { try await client.send(OutboundRequest("GET", url)) } == outcome, "\(location)")
            }
            let loop = OutboundRequest("GET", "http://start.test:\(port)/loop")
            #expect(await failure { try await client.send(loop) } == "redirect")
            let by = OutboundRequest("GET", "http://start.test:\(port)/loop", redirectCountMax: 0)
            let unfollowed = try await client.send(by)
            #expect(unfollowed.status == 301)
            await client.shutdown()
        }
    }

    @Test func secretsStayWithTheirOrigin() async throws {
        try await TestServer.run(Self.options) { server in
            let client = OutboundClient(
                policy: .init(isGuarded: false), resolver: TableResolver { _, _ in ["127.0.0.1"] })
            let base = "http://start.test:\(server.port)"
            for (location, token) in [("/host", "secret"), ("http://other.test:\(server.port)/host", "")] {
                let request = OutboundRequest(
                    "GET", "\(base)/to?url=\(location)", headers: [("Authorization", "secret")])
                let body = String(decoding: try await client.send(request).body, as: UTF8.self)
                #expect(body.hasSuffix("kith \(token)"))
            }
            let after303 = try await client.send(OutboundRequest("POST", base + "/post/303", body: Array("x".utf8)))
            #expect(String(decoding: after303.body, as: UTF8.self) == "GET ")
            let after307 = try await client.send(OutboundRequest("POST", base + "/post/307", body: Array("x".utf8)))
            #expect(String(decoding: after307.body, as: UTF8.self) == "POST x")
            #expect(after307.url == base + "/echo")
            await client.shutdown()
        }
    }

    @Test func sizeAndTimeAreBounded() async throws {
        try await TestServer.run(Self.options) { server in
            let client = OutboundClient(policy: .init(isGuarded: false), resolver: TableResolver { _, _ in [] })
            let base = "http://127.0.0.1:\(server.port)"
            let fits = try await client.send(OutboundRequest("GET", base + "/bytes/1000", byteCountMax: 1000))
            #expect(fits.body.count == 1000)
            let over = OutboundRequest("GET", base + "/bytes/1001", byteCountMax: 1000)
            #expect(await failure { try await client.send(over) } == "large")
            let endless = OutboundRequest("GET", base + "/endless", byteCountMax: 1 << 20)
            #expect(await failure { try await client.send(endless) } == "large")
            let never = OutboundRequest("GET", base + "/never", timeout: .milliseconds(200))
            #expect(await failure { try await client.send(never) } == "timeout")
            let noTLS = OutboundRequest("GET", "https://127.0.0.1:\(server.port)/")
            #expect(await failure { try await client.send(noTLS) } == "broken")
            await client.shutdown()
            #expect(await failure { try await client.send(over) } == "broken")
        }
    }

    @Test func theNextAddressIsTriedWhenOneIsDead() async throws {
        try await TestServer.run(Self.options) { server in
            let client = OutboundClient(
                policy: .init(isGuarded: false), resolver: TableResolver { _, _ in ["127.0.0.9", "127.0.0.1"] })
            let response = try await client.send(OutboundRequest("GET", "http://two.test:\(server.port)/host"))
            #expect(response.status == 200)
            await client.shutdown()
        }
    }

    @Test func manyHostsNeedNoMoreClientsThanAllowed() async throws {
        try await TestServer.run(Self.options) { server in
            var policy = OutboundClient.Policy(isGuarded: false)
            policy.hostCountMax = 3
            let client = OutboundClient(policy: policy, resolver: TableResolver { _, _ in ["127.0.0.1"] })
            try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<30 {
                    group.addTask {
                        let url = "http://h\(index % 10).test:\(server.port)/host"
                        return try await client.send(OutboundRequest("GET", url)).status
                    }
                }
                for try await status in group { #expect(status == 200) }
            }
            await client.shutdown()
        }
    }
}
