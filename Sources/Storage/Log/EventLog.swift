import ATProtocol
import Base
import Synchronization

/// The one log of an instance: every public change, in the order in which it became durable.
///
/// Numbers are given inside the transaction that makes the event durable. Readers never see an event before that.
/// The newest events come from memory, shared by all readers; older ones from the table, byte for byte the same.
package final class EventLog: Sendable {
    static let events = SequenceName("log.event")
    static let bytes = SequenceName("log.bytes")
    /// Events were appended; the payload is the newest number.
    static let appended = AnnouncementTopic("log")
    /// Events were removed: of a deleted account, or (with the last number as payload) by retention.
    static let removed = AnnouncementTopic("log_removed")
    /// Events of another process that are taken into memory at once; past these readers use the table.
    private static let takenMax = 1000

    private struct State {
        var ring: LogRing
        /// Every number up to this was removed by retention.
        var removed: Int64
        var waiters: [UInt64: Waiter] = [:]
        var lastWaiter: UInt64 = 0
        var isClosed = false
    }

    private struct Waiter {
        let position: Int64
        let continuation: CheckedContinuation<Void, any Error>
    }

    let database: any Database
    package let limits: LogLimits
    private let state: Mutex<State>

    private init(database: any Database, limits: LogLimits, head: Int64, removed: Int64) {
        self.database = database
        self.limits = limits
        state = Mutex(State(ring: LogRing(sizeBytesMax: limits.ringSizeBytesMax, head: head), removed: removed))
    }

    /// Opens the log of a migrated database. One per database and process.
    package static func open(_ database: any Database, limits: LogLimits = LogLimits()) async throws -> EventLog {
        let (head, removed) = try await database.read { scope in
            (try Self.head(in: scope), try Self.removed(in: scope))
        }
        let log = EventLog(database: database, limits: limits, head: head, removed: removed)
        database.listen(to: appended) { [weak log] payload, scope in
            try log?.takeForeign(through: payload.flatMap { Int64($0) }, in: scope)
        }
        database.listen(to: Self.removed) { [weak log] payload, scope in
            try log?.forgetForeign(through: payload.flatMap { Int64($0) }, in: scope)
        }
        return log
    }

    /// The newest durable number; 0 when there never was an event.
    package var head: Int64 { state.withLock { $0.ring.head } }

    /// The oldest number that may still be had; `head + 1` when nothing is left. A cursor smaller than `oldest - 1`
    /// has missed events.
    package var oldest: Int64 { state.withLock { $0.removed + 1 } }

    /// Adds an event as part of the transaction of `scope`; readers see it once that is on disk.
    /// - Returns: the event's number.
    package func append(_ entry: LogEntry, in scope: any WriteScope) throws(StorageError) -> Int64 {
        let seq = try scope.advance(Self.events, by: 1)
        let event = LogEvent(
            seq: seq, did: entry.did, kind: entry.kind, time: entry.time, frame: entry.frame.frame(seq: seq))
        let offset = try scope.advance(Self.bytes, by: Int64(event.frame.count))
        try scope.enqueue(
            "INSERT INTO log_event (seq, did, kind, time, log_offset, frame) VALUES ($1, $2, $3, $4, $5, $6)",
            [
                .integer(seq), .text(event.did.string), .text(event.kind.rawValue), .integer(event.time.microseconds),
                .integer(offset), .blob(event.frame),
            ])
        scope.afterCommit { [self] in state.withLock { $0.ring.append(event) } }
        scope.afterGroup(ObjectIdentifier(self)) { [self] in wake() }
        scope.announce(Self.appended, String(seq))
        return seq
    }

    /// Up to `limitEvents` events after the number `seq`, in order; empty when there is none yet.
    ///
    /// A page holds at most about `limits.pageSizeBytesMax` bytes of frames, and at least one event if there is one.
    /// - Parameter limitBytes: a smaller bound of the page.
    package func read(after seq: Int64, limitEvents: Int, limitBytes: Int = .max) async throws -> [LogEvent] {
        let limit = max(limitEvents, 1)
        let bytesMax = min(limits.pageSizeBytesMax, limitBytes)
        let (recent, head) = state.withLock { state in
            (
                state.ring.events(after: seq, limitEvents: limit, limitBytes: bytesMax),
                state.ring.head
            )
        }
        if let recent { return recent }
        return try await database.read { scope in
            try Self.page(after: seq, through: head, limitEvents: limit, limitBytes: bytesMax, in: scope)
        }
    }

    /// As `read`, but waits until there is an event. Never returns an empty page.
    /// - Throws: `CancellationError`; `StorageError.closed` once the log is closed; `.overloaded` when too many wait.
    package func next(after seq: Int64, limitEvents: Int, limitBytes: Int = .max) async throws -> [LogEvent] {
        var position = seq
        while true {
            let head = head
            if position < head {
                let events = try await read(after: position, limitEvents: limitEvents, limitBytes: limitBytes)
                if !events.isEmpty { return events }
                // All events in between were purged.
                position = head
            }
            try await wait(beyond: position)
        }
    }

    /// Looks up the newest number in the database: for events that another process has written.
    package func refresh() async throws {
        let (head, removed) = try await database.read { scope in
            (try Self.head(in: scope), try Self.removed(in: scope))
        }
        state.withLock { state in
            state.removed = max(state.removed, removed)
            if head > state.ring.head { state.ring.restart(head: head) }
        }
        wake()
    }

    /// Takes the events that another process has written into memory, once for all readers of this one.
    private func takeForeign(through announced: Int64?, in scope: any ReadScope) throws {
        let newest = if let announced { announced } else { try Self.head(in: scope) }
        let head = head
        guard newest > head else { return }
        let events = try Self.page(
            after: head, through: newest, limitEvents: Self.takenMax, limitBytes: limits.pageSizeBytesMax, in: scope)
        state.withLock { state in
            // Whatever was appended here meanwhile is newer than some of these.
            for event in events where event.seq > state.ring.head { state.ring.append(event) }
            if state.ring.head < newest { state.ring.restart(head: newest) }
        }
        wake()
    }

    /// Another process has removed events: of a deleted account nothing may stay in memory.
    private func forgetForeign(through announced: Int64?, in scope: any ReadScope) throws {
        let removed = if let announced { announced } else { try Self.removed(in: scope) }
        markRemoved(through: removed)
        if announced == 0 { forgetRecent() }
    }

    /// Ends every wait with `.closed`; later ones too. Reading goes on for as long as the database is open.
    package func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.continuation.resume(throwing: StorageError.closed) }
    }

    /// Readers that wait at this moment.
    package var waiting: Int { state.withLock { $0.waiters.count } }

    // MARK: What the extensions need

    func forgetRecent() {
        state.withLock { $0.ring.restart(head: $0.ring.head) }
    }

    func markRemoved(through seq: Int64) {
        state.withLock { state in
            state.removed = max(state.removed, seq)
            state.ring.drop(through: seq)
        }
    }

    static func head(in scope: any ReadScope) throws(StorageError) -> Int64 {
        try scope.first("SELECT value FROM storage_sequence WHERE name = $1", [.text(events.name)])?.integer(0) ?? 0
    }

    static func removed(in scope: any ReadScope) throws(StorageError) -> Int64 {
        try scope.first("SELECT seq FROM log_removed WHERE id = 1")?.integer(0) ?? 0
    }

    // MARK: Waiting

    private func wait(beyond position: Int64) async throws {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let result: Result<Void, any Error>? = state.withLock { state in
                    if state.isClosed { return .failure(StorageError.closed) }
                    // The cancellation handler may have run before this waiter was there to be found.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.ring.head > position { return .success(()) }
                    if state.waiters.count >= limits.waitersMax { return .failure(StorageError.overloaded) }
                    state.waiters[id] = Waiter(position: position, continuation: continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    private func wake() {
        let ready: [Waiter] = state.withLock { state in
            let head = state.ring.head
            guard state.waiters.contains(where: { $0.value.position < head }) else { return [] }
            let ready = state.waiters.filter { $0.value.position < head }
            for id in ready.keys { state.waiters[id] = nil }
            return Array(ready.values)
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    private static func page(
        after seq: Int64, through head: Int64, limitEvents: Int, limitBytes: Int, in scope: any ReadScope
    ) throws -> [LogEvent] {
        var events: [LogEvent] = []
        var bytes = 0
        try scope.forEach(
            """
            SELECT seq, did, kind, time, frame FROM log_event WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
            """, [.integer(seq), .integer(head), .integer(limitEvents)]
        ) { row in
            let event = try LogEvent(row)
            bytes += event.frame.count
            if bytes > limitBytes, !events.isEmpty { return false }
            events.append(event)
            return true
        }
        return events
    }
}

extension LogEvent {
    /// From the columns `seq, did, kind, time, frame`.
    fileprivate init(_ row: Row) throws {
        let text = try row.text(1)
        guard let did = try? DID(parsing: text) else {
            throw StorageError.decoding(column: 1, expected: "a DID", found: "text")
        }
        seq = try row.integer(0)
        self.did = did
        kind = LogEventKind(rawValue: try row.text(2))
        time = Timestamp(microseconds: try row.integer(3))
        frame = try row.blob(4)
    }
}
