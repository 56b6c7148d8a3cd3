import ATProtocol
package import Base
package import Storage
import Synchronization
package import Web

/// Limits of the firehose.
package struct FirehoseLimits: Sendable, Hashable {
    /// Events fetched from the log at once.
    package var pageEventCountMax: Int = 500
    /// A subscriber that was up to date and is now this many events behind is ended with `ConsumerTooSlow`.
    package var lagEventCountMax: Int64 = 20_000
    /// Subscribers at once; more are refused with 503.
    package var subscriberCountMax: Int = 2_000

    package init() {}
}

/// Why a subscription does not begin.
package enum FirehoseRefusal: Error, Sendable, Hashable, WireConvertible {
    case tooManySubscribers
    case invalidCursor

    package var wire: WireFailure {
        switch self {
        case .tooManySubscribers:
            WireFailure(
                status: 503, error: "NotEnoughResources", message: "Too many subscribers. Please try again later.",
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

    package init(log: EventLog, limits: FirehoseLimits = FirehoseLimits()) {
        self.log = log
        self.limits = limits
        shared = SharedBatches()
    }

    /// Subscribers at this moment.
    package var subscriberCount: Int { subscribers.load(ordering: .relaxed) }

    /// Refuses a subscriber too many, and a cursor that can't be, before the handshake.
    package func admit(cursor: Int64?) throws(FirehoseRefusal) {
        if let cursor, cursor < 0 { throw .invalidCursor }
        guard subscriberCount < limits.subscriberCountMax else { throw .tooManySubscribers }
    }

    /// Sends events until the subscriber leaves or is ended.
    ///
    /// - Parameter cursor: nil for the live tail; else everything after that number that is still kept.
    package func serve(_ socket: WebSocketConnection, cursor: Int64?) async throws {
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
        while socket.isOpen {
            let events: [LogEvent]
            do {
                events = try await log.next(after: position, limitEvents: limits.pageEventCountMax)
            } catch StorageError.closed {
                return
            }
            guard let last = events.last else { continue }
            let head = log.head
            if wasCurrent, head - position > limits.lagEventCountMax {
                await end(socket, .consumerTooSlow)
                return
            }
            do {
                try await socket.send(shared.frames(of: events, after: position))
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

/// The last few framed batches: subscribers at the same position are sent the same bytes.
private final class SharedBatches: Sendable {
    private struct Key: Hashable {
        var after: Int64
        var last: Int64
    }

    private struct State {
        var batches: [(key: Key, frames: WebSocketFrames)] = []
    }

    /// Enough for subscribers a few groups apart.
    private static let countMax = 8
    private let state = Mutex(State())

    func frames(of events: [LogEvent], after: Int64) -> WebSocketFrames {
        let key = Key(after: after, last: events.last?.seq ?? after)
        let known = state.withLock { state in state.batches.first { $0.key == key }?.frames }
        if let known { return known }
        let frames = WebSocketFrames(binary: events.map(\.frame))
        state.withLock { state in
            if state.batches.contains(where: { $0.key == key }) { return }
            if state.batches.count >= Self.countMax { state.batches.removeFirst() }
            state.batches.append((key, frames))
        }
        return frames
    }
}
