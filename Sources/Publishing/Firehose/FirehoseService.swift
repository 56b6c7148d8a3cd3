import ATProtocol
package import Base
package import Storage
import Synchronization
package import Web

/// Limits of the firehose.
package struct FirehoseLimits: Sendable, Hashable {
    /// Events fetched from the log at once.
    package var pageEventCountMax: Int = 500
    /// Bytes of frames in such a page, one larger frame excepted. With the heads of 500 frames it stays below 256 KiB, the
    /// next power of two, which is what a buffer for it takes.
    package var pageByteCountMax: Int = 240 * 1024
    /// Framed pages kept so that subscribers at the same position share them.
    package var sharedByteCountMax: Int = 4 << 20
    /// A subscriber that was up to date and is now this many events behind is ended with `ConsumerTooSlow`.
    package var lagEventCountMax: Int64 = 20_000
    /// Subscribers at once; more are refused with 503.
    package var subscriberCountMax: Int = 2_000
    /// Subscribers of one client address at once; more are refused with 429.
    package var subscriberCountPerAddressMax: Int = 200

    package init() {}
}

/// Why a subscription does not begin.
package enum FirehoseRefusal: Error, Sendable, Hashable, WireConvertible {
    case tooManySubscribers
    case tooManyOfAddress
    case invalidCursor

    package var wire: WireFailure {
        switch self {
        case .tooManySubscribers:
            WireFailure(
                status: 503, error: "NotEnoughResources", message: "Too many subscribers. Please try again later.",
                headers: [.init(name: "Retry-After", value: "30")])
        case .tooManyOfAddress:
            WireFailure(
                status: 429, error: "RateLimitExceeded", message: "Too many subscribers from your address.",
                headers: [.init(name: "Retry-After", value: "30")])
        case .invalidCursor:
            WireFailure(status: 400, error: "InvalidRequest", message: "cursor must be zero or more")
        }
    }
}

/// Serves the log as `com.atproto.sync.subscribeRepos`.
///
/// Frames are taken from the log as they were stored; those who are up to date share one framed batch, so that an
/// event costs each further subscriber a reference and its share of a write.
/// Spec: https://atproto.com/specs/sync#firehose
package final class FirehoseService: Sendable {
    private let log: EventLog
    private let limits: FirehoseLimits
    private let shared: SharedBatches
    private let subscribers = Atomic<Int>(0)
    private let addresses: AddressShares

    package init(log: EventLog, limits: FirehoseLimits = FirehoseLimits()) {
        self.log = log
        self.limits = limits
        shared = SharedBatches(byteCountMax: limits.sharedByteCountMax)
        addresses = AddressShares(countMax: limits.subscriberCountPerAddressMax)
    }

    /// Subscribers at this moment.
    package var subscriberCount: Int { subscribers.load(ordering: .relaxed) }

    /// Refuses a subscriber too many, and a cursor that can't be, before the handshake.
    ///
    /// - Parameter address: the client's, `RequestHead.addressKey`.
    package func admit(cursor: Int64?, from address: String) throws(FirehoseRefusal) {
        if let cursor, cursor < 0 { throw .invalidCursor }
        guard subscriberCount < limits.subscriberCountMax else { throw .tooManySubscribers }
        guard addresses.hasRoom(for: address) else { throw .tooManyOfAddress }
    }

    /// Sends events until the subscriber leaves or is ended.
    ///
    /// - Parameter cursor: nil for the live tail; else everything after that number that is still kept.
    package func serve(_ socket: WebSocketConnection, cursor: Int64?, from address: String) async throws {
        // Many may have been admitted to the last place.
        guard addresses.enter(address) else { return await socket.close(code: 1013, reason: "Too many subscribers") }
        defer { addresses.leave(address) }
        subscribers.wrappingAdd(1, ordering: .relaxed)
        defer { subscribers.wrappingSubtract(1, ordering: .relaxed) }
        var position = log.head
        if let cursor {
            if cursor > position {
                await end(socket, .futureCursor)
                return
            }
            position = cursor
            if cursor < log.oldest - 1 {
                // Cursor 0 asks for all there is; whoever names a number has missed something and is told so.
                if cursor > 0 {
                    let info = FirehoseFrame.info(.outdatedCursor).bytes() ?? []
                    try await socket.send(binary: info)
                }
                position = log.oldest - 1
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await socket.waitUntilClosed() }
            group.addTask { [position] in try await self.send(to: socket, after: position) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func send(to socket: WebSocketConnection, after start: Int64) async throws {
        var position = start
        var wasCurrent = false
        // What fills the socket: found by others at the same position until there is room again.
        var sent: Batch?
        defer { withExtendedLifetime(sent) {} }
        while socket.isOpen {
            let events: [LogEvent]
            do {
                // Before there is a page, so that a subscriber who doesn't read holds none.
                try await socket.waitUntilReady()
                sent = nil
                events = try await log.next(
                    after: position, limitEvents: limits.pageEventCountMax, limitBytes: limits.pageByteCountMax)
            } catch StorageError.closed {
                return
            } catch WebSocketFailure.stalled {
                return await end(socket, .consumerTooSlow)
            } catch is WebSocketFailure {
                return
            }
            guard let last = events.last else { continue }
            let head = log.head
            if wasCurrent, head - position > limits.lagEventCountMax {
                await end(socket, .consumerTooSlow)
                return
            }
            do {
                let batch = shared.batch(of: events, after: position)
                sent = batch
                try await socket.send(batch.frames)
            } catch WebSocketFailure.stalled {
                await end(socket, .consumerTooSlow)
                return
            } catch {
                return
            }
            position = last.seq
            if position >= head { wasCurrent = true }
        }
    }

    private func end(_ socket: WebSocketConnection, _ failure: FirehoseFailure) async {
        guard let frame = FirehoseFrame.failure(failure).bytes() else { return await socket.close() }
        await socket.close(sending: WebSocketFrames(binary: frame), code: 1008, reason: failure.error)
    }
}

/// A framed page, for as long as anybody needs it.
private final class Batch: Sendable {
    let frames: WebSocketFrames

    init(_ frames: WebSocketFrames) { self.frames = frames }
}

/// Framed pages: subscribers at the same position are sent the same bytes.
///
/// The last few are kept; a page is also found for as long as a subscriber has it on its way to its socket.
private final class SharedBatches: Sendable {
    private struct Key: Hashable {
        var after: Int64
        var last: Int64
    }

    private struct Known {
        weak var batch: Batch?
    }

    private struct State {
        var known: [Key: Known] = [:]
        /// `known` is swept when it has grown to this.
        var sweepCount = countMax
        /// From the oldest to the newest.
        var recent: [Batch] = []
        var byteCount = 0
    }

    private let byteCountMax: Int
    private let state = Mutex(State())

    /// Enough for subscribers a few hundred groups apart.
    private static let countMax = 256

    init(byteCountMax: Int) { self.byteCountMax = byteCountMax }

    func batch(of events: [LogEvent], after: Int64) -> Batch {
        let key = Key(after: after, last: events.last?.seq ?? after)
        if let known = state.withLock({ $0.known[key]?.batch }) { return known }
        let batch = Batch(WebSocketFrames(binary: events.map(\.frame)))
        return state.withLock { state in
            if let known = state.known[key]?.batch { return known }
            if state.known.count >= state.sweepCount {
                state.known = state.known.filter { $0.value.batch != nil }
                state.sweepCount = max(Self.countMax, 2 * state.known.count)
            }
            state.known[key] = Known(batch: batch)
            state.recent.append(batch)
            state.byteCount += batch.frames.byteCount
            while state.byteCount > byteCountMax || state.recent.count > Self.countMax {
                state.byteCount -= state.recent.removeFirst().frames.byteCount
            }
            return batch
        }
    }
}
