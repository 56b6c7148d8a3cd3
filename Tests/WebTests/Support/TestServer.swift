import ATProtocol
import Base
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

@testable import Web

/// Who calls in these tests, and who may.
enum TestAccess: Hashable {
    case anyone, session
}

struct TestCaller: Hashable {
    var name: String?
}

typealias TestRouter = XRPCRouter<TestCaller, TestAccess>

struct TestFailure: WireConvertible {
    var wire = WireFailure(status: 401, error: "AuthMissing", message: "Authentication Required")
}

/// Everything a test may set on its server.
struct TestServerOptions: Sendable {
    var limits = ServerLimits()
    var rateLimiter: RateLimiter?
    var metrics = MetricRegistry()
    var logs = LogRecorder()
    var schemas: [String: HandwrittenSchema] = [:]
    var routes: @Sendable (inout TestRouter) -> Void = { _ in }

    init(_ routes: @escaping @Sendable (inout TestRouter) -> Void = { _ in }) { self.routes = routes }
}

/// A server on a free loopback port for the length of a test.
struct TestServer: Sendable {
    let port: Int
    let group: ServiceGroup

    /// Runs `body` against a server with `options`, then stops it gracefully.
    static func run(
        _ options: TestServerOptions,
        _ body: @escaping @Sendable (TestServer) async throws -> Void
    ) async throws {
        var router = TestRouter(anonymous: [.anyone]) { access, head in
            let name = head.header("authorization")
            if access == .session, name == nil { throw TestFailure() }
            return TestCaller(name: name)
        }
        options.routes(&router)
        var settings = ResponderSettings(metrics: options.metrics, logger: options.logs.logger)
        settings.limits = options.limits
        settings.rateLimiter = options.rateLimiter
        let responder = try XRPCResponder(router, catalog: options.schemas, settings: settings)
        var configuration = HTTPServer.Configuration()
        configuration.port = 0
        configuration.limits = options.limits
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let server = HTTPServer(
            responder: responder, configuration: configuration, metrics: options.metrics, clock: SystemClock(),
            randomness: SystemRandomness(), logger: options.logs.logger
        ) { port in
            listening.yield(port)
        }
        var serviceConfiguration = ServiceGroupConfiguration(services: [server], logger: options.logs.logger)
        serviceConfiguration.maximumGracefulShutdownDuration = .seconds(30)
        let group = ServiceGroup(configuration: serviceConfiguration)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                try await group.run()
                listening.finish()
            }
            for await port in ports {
                do {
                    try await body(TestServer(port: port, group: group))
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
                break
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    /// Sends one request on a connection of its own and returns the answer.
    func send(_ request: RawRequest) async throws -> RawResponse {
        try await RawClient.withConnection(to: port) { client in
            try await client.send(request)
            return try await client.response(hasBody: request.method != "HEAD")
        }
    }

    func get(_ target: String, headers: [(String, String)] = []) async throws -> RawResponse {
        try await send(RawRequest("GET", target, headers: headers))
    }

    func post(
        _ target: String,
        headers: [(String, String)] = [],
        json: String
    ) async throws -> RawResponse {
        try await send(
            RawRequest(
                "POST", target, headers: headers + [("content-type", "application/json")], body: Array(json.utf8)))
    }
}

/// Collects log lines.
final class LogRecorder: Sendable {
    struct Line: Sendable {
        var level: Logger.Level
        var text: String
    }

    private let lines = Mutex<[Line]>([])

    var all: [Line] { lines.withLock { $0 } }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(recorder: self) }
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = Line(level: event.level, text: "\(event.message) \(event.metadata ?? [:])")
            recorder.lines.withLock { $0.append(line) }
        }
    }
}
