import Synchronization

/// A number that only grows.
package final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    /// Adds `amount`, 0 or more.
    package func add(_ amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    /// The sum so far.
    package var value: Int { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package final class Gauge: Sendable {
    private let level = Atomic<Int>(0)

    package init() {}

    /// Changes the level by `amount`.
    package func add(_ amount: Int) { level.wrappingAdd(amount, ordering: .relaxed) }

    /// Replaces the level.
    package func set(_ value: Int) { level.store(value, ordering: .relaxed) }

    /// The level now.
    package var value: Int { level.load(ordering: .relaxed) }
}

/// How often something took how long.
package final class Histogram: Sendable {
    /// Upper bounds of the buckets in seconds, ascending; a last bucket takes the rest.
    package static let secondsBounds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
    ]

    let bounds: [Double]
    private let boundMicroseconds: [Int64]
    private let buckets: [Counter]
    private let sumMicroseconds = Atomic<Int>(0)

    /// - Parameter bounds: in seconds, ascending.
    package init(bounds: [Double] = Histogram.secondsBounds) {
        self.bounds = bounds
        boundMicroseconds = bounds.map { Int64($0 * 1_000_000) }
        buckets = (0...bounds.count).map { _ in Counter() }
    }

    /// Counts one event that took `duration`.
    package func record(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let microseconds = seconds &* 1_000_000 &+ attoseconds / 1_000_000_000_000
        var index = 0
        while index < boundMicroseconds.count, microseconds > boundMicroseconds[index] { index += 1 }
        buckets[index].add()
        sumMicroseconds.wrappingAdd(Int(microseconds), ordering: .relaxed)
    }

    /// The counts of the buckets, the last for all beyond the bounds.
    package var counts: [Int] { buckets.map(\.value) }

    /// The sum of all durations in seconds.
    package var sumSeconds: Double { Double(sumMicroseconds.load(ordering: .relaxed)) / 1_000_000 }
}

/// All metrics of an instance, and their text for Prometheus.
///
/// Register at start, count in hot paths: counting is one atomic addition and never takes the registry's lock.
package final class MetricRegistry: Sendable {
    /// A label of a series: name and value.
    package typealias Label = (name: String, value: String)

    private enum Source: Sendable {
        case counter(Counter)
        case gauge(@Sendable () -> Double)
        case histogram(Histogram)
    }

    private struct Series: Sendable {
        let labels: String
        let source: Source
    }

    private struct Family: Sendable {
        let help: String
        let type: String
        var series: [Series] = []
    }

    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// A counter; `name` ends in `_total`. Each (name, labels) is registered once.
    package func counter(_ name: String, help: String, labels: [Label] = []) -> Counter {
        let counter = Counter()
        add(name, help: help, type: "counter", labels: labels, source: .counter(counter))
        return counter
    }

    /// A gauge set by its owner.
    package func gauge(_ name: String, help: String, labels: [Label] = []) -> Gauge {
        let gauge = Gauge()
        add(name, help: help, type: "gauge", labels: labels, source: .gauge { Double(gauge.value) })
        return gauge
    }

    /// A gauge that is read when it is asked for; `read` must be quick.
    package func gauge(
        _ name: String,
        help: String,
        labels: [Label] = [],
        read: @escaping @Sendable () -> Double
    ) {
        add(name, help: help, type: "gauge", labels: labels, source: .gauge(read))
    }

    /// A counter that is read when it is asked for; `name` ends in `_total`, `read` must be quick.
    package func counter(
        _ name: String,
        help: String,
        labels: [Label] = [],
        read: @escaping @Sendable () -> Double
    ) {
        add(name, help: help, type: "counter", labels: labels, source: .gauge(read))
    }

    /// A histogram of durations; `name` ends in `_seconds`.
    package func histogram(_ name: String, help: String, labels: [Label] = []) -> Histogram {
        let histogram = Histogram()
        add(name, help: help, type: "histogram", labels: labels, source: .histogram(histogram))
        return histogram
    }

    /// Everything in Prometheus' text format 0.0.4. Counters and histograms that never counted are left out.
    package func text() -> String {
        var text = ""
        for (name, family) in families.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            var lines = ""
            for series in family.series { Self.write(series, name: name, to: &lines) }
            guard !lines.isEmpty else { continue }
            text += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.type)\n" + lines
        }
        return text
    }

    /// The answer of a `/metrics` route.
    package func response() -> XRPCResponse {
        .text(text(), contentType: "text/plain; version=0.0.4; charset=utf-8")
    }

    private func add(_ name: String, help: String, type: String, labels: [Label], source: Source) {
        let text = labels.map { "\($0.name)=\"\(Self.escape($0.value))\"" }.joined(separator: ",")
        families.withLock { families in
            families[name, default: Family(help: help, type: type)].series.append(Series(labels: text, source: source))
        }
    }

    private static func write(_ series: Series, name: String, to text: inout String) {
        let labels = series.labels.isEmpty ? "" : "{\(series.labels)}"
        switch series.source {
        case .counter(let counter):
            if counter.value > 0 { text += "\(name)\(labels) \(counter.value)\n" }
        case .gauge(let read):
            let value = read()
            text += "\(name)\(labels) \(value == value.rounded() ? String(Int(value)) : String(value))\n"
        case .histogram(let histogram):
            let counts = histogram.counts
            guard counts.contains(where: { $0 > 0 }) else { return }
            let prefix = series.labels.isEmpty ? "" : series.labels + ","
            var sum = 0
            for (index, count) in counts.enumerated() {
                sum += count
                let bound = index < histogram.bounds.count ? String(histogram.bounds[index]) : "+Inf"
                text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(sum)\n"
            }
            text += "\(name)_sum\(labels) \(histogram.sumSeconds)\n\(name)_count\(labels) \(sum)\n"
        }
    }

    private static func escape(_ value: String) -> String {
        var result = ""
        for character in value {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}
