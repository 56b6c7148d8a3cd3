import Synchronization

/// A moment on the wall clock, in microseconds since 1970-01-01T00:00:00Z (negative before).
///
/// The unit is the one of TIDs (https://atproto.com/specs/tid), so no conversion loses anything.
package struct Timestamp: Sendable, Hashable, Comparable, Codable {
    package var microseconds: Int64

    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// A moment given in whole seconds since 1970.
    package init(seconds: Int64) {
        self.microseconds = seconds.multipliedReportingOverflow(by: 1_000_000).partialValue
    }

    /// Whole seconds since 1970, rounded towards the past.
    package var seconds: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Whole milliseconds since 1970, rounded towards zero.
    package var milliseconds: Int64 { microseconds / 1000 }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The moment `duration` later; saturates at the ends of the range instead of trapping.
    package func advanced(by duration: Duration) -> Timestamp {
        let delta = duration.wholeMicroseconds
        let (sum, overflow) = microseconds.addingReportingOverflow(delta)
        return Timestamp(microseconds: overflow ? (delta < 0 ? .min : .max) : sum)
    }

    /// The time from `earlier` to this moment; negative when `earlier` is later.
    package func since(_ earlier: Timestamp) -> Duration {
        .microseconds(microseconds.subtractingReportingOverflow(earlier.microseconds).partialValue)
    }
}

extension Duration {
    /// The duration in whole microseconds, saturating at the range of `Int64`.
    package var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, overflowed) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return overflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in seconds, for metrics and logs.
    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// What tells the time. Passed in everywhere, so that tests can move it.
package protocol WallClock: Sendable {
    /// The present moment. May step backwards: the machine's clock is not trusted to be monotonic.
    func now() -> Timestamp
}

/// A clock that stands still until a test moves it.
package final class ManualClock: WallClock {
    private let moment: Mutex<Timestamp>

    package init(_ start: Timestamp = Timestamp(seconds: 1_750_000_000)) {
        moment = Mutex(start)
    }

    package func now() -> Timestamp {
        moment.withLock { $0 }
    }

    /// Moves the clock by `duration`, backwards when it is negative.
    package func advance(by duration: Duration) {
        moment.withLock { $0 = $0.advanced(by: duration) }
    }
}
