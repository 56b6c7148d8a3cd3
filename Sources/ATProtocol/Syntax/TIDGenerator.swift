package import Base

/// Makes strictly increasing TIDs, also when the clock steps back and, seeded with the last one, across restarts.
///
/// A value without clock or randomness of its own; not shared: whoever orders the writes of one repository owns it.
package struct TIDGenerator: Sendable {
    /// The greatest TID made or seen; every further one is greater.
    package private(set) var last: TID?
    private let clockID: UInt64

    private static let microsecondsMax: UInt64 = (1 << 53) - 1

    /// - Parameters:
    ///   - clockID: tells generators apart that run at the same time; only the lower 10 bits are used.
    ///   - last: the last TID of an earlier run, e.g. the repository's `rev`.
    package init(clockID: UInt16, last: TID? = nil) {
        self.clockID = UInt64(clockID & 0x3FF)
        self.last = last
    }

    /// A TID greater than all before: of time `now`, or one microsecond after the last where that is later.
    ///
    /// Only beyond the 53 bits of time (the year 2255, or a seed from beyond it) the bits below the time count on as well;
    /// at the greatest 64-bit value it stands still. Refuse revisions from the future, and this is never seen.
    package mutating func next(now: Timestamp) -> TID {
        next(nowMicroseconds: now.microseconds)
    }

    /// As `next(now:)`, with the time in microseconds since 1970; times before 1970 count as 1970.
    package mutating func next(nowMicroseconds: Int64) -> TID {
        let earliest = last.map { ($0.value >> 10) + 1 } ?? 0
        let microseconds = max(UInt64(max(0, nowMicroseconds)), earliest)
        let tid: TID
        if microseconds <= Self.microsecondsMax {
            tid = TID(value: microseconds << 10 | clockID)
        } else {
            let floor = max(last?.value ?? 0, Self.microsecondsMax << 10)
            tid = TID(value: floor == .max ? floor : floor + 1)
        }
        last = tid
        return tid
    }

    /// Makes every further TID greater than `tid` too, e.g. after an import.
    package mutating func advance(past tid: TID) {
        if let last, last >= tid { return }
        last = tid
    }
}
