import ATProtocol
import Base
import Testing

@testable import Web

/// Counting, and the text that Prometheus reads.
@Suite(.timeLimit(.minutes(10)))
struct MetricsTests {
    @Test func text() {
        let registry = MetricRegistry()
        let counter = registry.counter("b_total", help: "Bs.", labels: [("kind", "a \"b\"\\\n")])
        let unused = registry.counter("b_total", help: "Bs.", labels: [("kind", "none")])
        let gauge = registry.gauge("a", help: "As.")
        registry.gauge("c", help: "Cs.") { 1.5 }
        let histogram = registry.histogram("d_seconds", help: "Ds.")
        counter.add(3)
        gauge.set(7)
        gauge.add(-2)
        histogram.record(.microseconds(700))
        histogram.record(.seconds(60))
        #expect(unused.value == 0)
        let text = registry.text()
        #expect(text.hasPrefix("# HELP a As.\n# TYPE a gauge\na 5\n# HELP b_total Bs.\n# TYPE b_total counter\n"))
        #expect(text.contains(#"b_total{kind="a \"b\"\\\n"} 3"#))
        #expect(!text.contains("none"))
        #expect(text.contains("\nc 1.5\n"))
        #expect(text.contains("d_seconds_bucket{le=\"0.0005\"} 0\n"))
        #expect(text.contains("d_seconds_bucket{le=\"0.001\"} 1\n"))
        #expect(text.contains("d_seconds_bucket{le=\"10.0\"} 1\n"))
        #expect(text.contains("d_seconds_bucket{le=\"+Inf\"} 2\n"))
        #expect(text.contains("d_seconds_sum 60.0007\nd_seconds_count 2\n"))
    }

    @Test func theProcess() {
        #expect(ProcessMetrics.residentByteCount > 1 << 20)
        #expect(ProcessMetrics.openFileCount > 2)
        #expect(ProcessMetrics.processorSeconds > 0)
    }

    @Test func requestsAreCounted() async throws {
        var options = TestServerOptions { routes in
            routes.query("test.kith.get", access: .anyone) { _ in .json("ok") }
            routes.query("test.kith.private", access: .session) { _ in .json("ok") }
        }
        options.schemas = [
            "test.kith.get": HandwrittenSchema(kind: .query), "test.kith.private": HandwrittenSchema(kind: .query),
        ]
        let metrics = options.metrics
        try await TestServer.run(options) { server in
            for _ in 0..<3 { _ = try await server.get("/xrpc/test.kith.get") }
            _ = try await server.get("/xrpc/test.kith.private")
            _ = try await server.get("/nowhere")
            let text = metrics.text()
            #expect(text.contains(#"kith_http_requests_total{route="test.kith.get",status="200"} 3"#))
            #expect(text.contains(#"kith_http_requests_total{route="test.kith.private",status="401"} 1"#))
            #expect(text.contains(#"kith_http_requests_total{route="unmatched",status="404"} 1"#))
            #expect(text.contains(#"kith_http_request_seconds_count{route="test.kith.get"} 3"#))
            #expect(text.contains("kith_http_connections_accepted_total 5"))
        }
        #expect(metrics.text().contains("kith_http_connections 0"))
    }

    @Test func dates() {
        #expect(HTTPDate.text(secondsSince1970: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(secondsSince1970: 0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(HTTPDate.text(secondsSince1970: 951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
        #expect(HTTPDate.text(secondsSince1970: -1) == "Wed, 31 Dec 1969 23:59:59 GMT")
        #expect(HTTPDate.text(secondsSince1970: 4_102_444_799) == "Thu, 31 Dec 2099 23:59:59 GMT")
    }
}
