import Synchronization

/// Values read from the database and kept in memory, at most `countMax` of them, safe to ask from any thread.
///
/// Two generations stand in for an exact order of use: when the young one is half of the bound, it becomes the old one
/// and the old one is dropped. What is asked for again moves to the young one.
///
/// A reader that found nothing takes a ticket, reads the database, and hands the ticket in with the value: when
/// anything was forgotten in between, the value may be out of date and is not kept.
package final class BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// The state of the cache before a reading of the database.
    package struct Ticket: Sendable {
        fileprivate let epoch: UInt64
    }

    private struct State {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
        var epoch: UInt64 = 0
    }

    private let generationCountMax: Int
    private let state = Mutex(State())

    /// - Parameter countMax: 2 or more.
    package init(countMax: Int) {
        generationCountMax = max(1, countMax / 2)
    }

    /// The value of `key`, if it is kept.
    package func value(for key: Key) -> Value? {
        state.withLock { state in
            if let value = state.young[key] { return value }
            guard let value = state.old[key] else { return nil }
            Self.keep(value, key, &state, generationCountMax)
            return value
        }
    }

    /// To be taken before the database is read.
    package func ticket() -> Ticket {
        state.withLock { Ticket(epoch: $0.epoch) }
    }

    /// Keeps a value that was read after `ticket` was taken.
    package func keep(_ value: Value, for key: Key, ticket: Ticket) {
        state.withLock { state in
            guard state.epoch == ticket.epoch else { return }
            Self.keep(value, key, &state, generationCountMax)
        }
    }

    /// Forgets `key`: what is read from now on is newer.
    package func forget(_ key: Key) {
        state.withLock { state in
            state.epoch &+= 1
            state.young[key] = nil
            state.old[key] = nil
        }
    }

    /// Forgets everything.
    package func forgetAll() {
        state.withLock { state in
            state.epoch &+= 1
            state.young = [:]
            state.old = [:]
        }
    }

    /// How many values are kept, those of both generations counted twice.
    package var count: Int { state.withLock { $0.young.count + $0.old.count } }

    private static func keep(_ value: Value, _ key: Key, _ state: inout State, _ countMax: Int) {
        if state.young.count >= countMax, state.young[key] == nil {
            state.old = state.young
            state.young = [:]
        }
        state.young[key] = value
    }
}
