/// Requests counted by route and status, and how long they took.
struct RequestMetrics: Sendable {
    let registry: MetricRegistry

    /// The metrics of a route; made once, at start.
    func route(_ name: String) -> RouteMetrics { RouteMetrics(name, registry: registry) }
}

/// The counters of one route.
final class RouteMetrics: Sendable {
    /// Statuses with a counter of their own; others count as their class's first.
    private static let statuses = [
        101, 200, 201, 204, 206, 302, 303, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 416, 426, 429,
        500, 501, 502, 503, 504, 507,
    ]

    private static let slots: [UInt8] = (0..<600).map { status in
        let exact = statuses.firstIndex(of: status)
        let ofClass = statuses.firstIndex { $0 / 100 == status / 100 && status >= 200 }
        return UInt8(exact ?? ofClass ?? 0)
    }

    private let counters: [Counter]
    private let latency: Histogram

    init(_ name: String, registry: MetricRegistry) {
        counters = Self.statuses.map { status in
            registry.counter(
                "kith_http_requests_total", help: "Requests answered, by route and status.",
                labels: [("route", name), ("status", String(status))])
        }
        latency = registry.histogram(
            "kith_http_request_seconds", help: "Time from a request's header to its answer's header, by route.",
            labels: [("route", name)])
    }

    func record(status: Int, latency duration: Duration) {
        if Self.slots.indices.contains(status) { counters[Int(Self.slots[status])].add() }
        latency.record(duration)
    }
}
