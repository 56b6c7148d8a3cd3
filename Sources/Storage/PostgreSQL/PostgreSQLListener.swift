import Base
import CPostgreSQL
import Dispatch
import Foundation
import Glibc
import Synchronization

/// Hears what other processes announce, on a thread and a connection of its own.
///
/// Notifications come within a millisecond or so. They can be lost with the connection; therefore every action is also
/// run when a connection was made, and every few seconds.
final class PostgreSQLListener: Sendable {
    private struct State {
        var actions: [(topic: AnnouncementTopic, action: AnnouncementAction)] = []
        var isStarted = false
        var isClosed = false
    }

    /// What is waited for at most before the thread looks whether it is to end.
    private static let waitMilliseconds: Int32 = 60_000

    private let server: PostgreSQLServer
    private let identity: PostgreSQLIdentity
    private let state = Mutex(State())
    private let ended = DispatchSemaphore(value: 0)
    private let clock = ContinuousClock()
    /// A pipe, readable once there is a new action or the listener is to end.
    private let bell: (reading: Int32, writing: Int32)

    init(_ server: PostgreSQLServer, _ identity: PostgreSQLIdentity) {
        self.server = server
        self.identity = identity
        var ends: [Int32] = [-1, -1]
        // Without a pipe, ends of -1: then only the time wakes the thread.
        _ = pipe(&ends)
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        bell = (ends[0], ends[1])
    }

    deinit {
        Glibc.close(bell.reading)
        Glibc.close(bell.writing)
    }

    /// The channel of a topic.
    static func channel(_ topic: AnnouncementTopic) -> String { "kith_\(topic.name)" }

    /// Adds an action; the first starts the thread.
    func add(_ topic: AnnouncementTopic, _ action: @escaping AnnouncementAction) {
        let starts = state.withLock { state in
            state.actions.append((topic, action))
            defer { state.isStarted = true }
            return !state.isStarted && !state.isClosed
        }
        if starts {
            let thread = Thread { [self] in
                run()
                ended.signal()
            }
            thread.name = "kith-listen"
            thread.stackSize = 1 << 20
            thread.start()
        }
        ring()
    }

    /// Ends the thread; returns once it has.
    func close() {
        let mustWait = state.withLock { state in
            defer { state.isClosed = true }
            return state.isStarted && !state.isClosed
        }
        ring()
        if mustWait { ended.wait() }
    }

    private func ring() {
        // A pipe that is full rings already.
        var byte: UInt8 = 1
        _ = write(bell.writing, &byte, 1)
    }

    private var isClosed: Bool { state.withLock { $0.isClosed } }

    private func run() {
        while !isClosed {
            do throws(StorageError) {
                try listen(on: try server.connect(.listen))
            } catch {
                // The server holds back attempts by itself; this only keeps the thread from spinning until it lets one
                // through.
                wait(on: nil, time: server.options.pauseMin)
            }
        }
    }

    private func listen(on connection: PostgreSQLConnection) throws(StorageError) {
        let scope = PostgreSQLListening(connection, limit: server.options.readDurationMax)
        var heard: Set<AnnouncementTopic> = []
        var nextLook = clock.now
        var notices: [String: [String]] = [:]
        // Topics of which something may have been missed.
        var missed: Set<AnnouncementTopic> = []
        while !isClosed {
            let actions = state.withLock { $0.actions }
            for topic in Set(actions.map(\.topic)).subtracting(heard) {
                try scope.run("LISTEN \(Self.channel(topic))")
                heard.insert(topic)
                missed.insert(topic)
                nextLook = clock.now
            }
            notices.merge(Self.notices(connection, but: identity.writer)) { $0 + $1 }
            let looks = clock.now >= nextLook
            if looks { nextLook = clock.now + server.options.pollInterval }
            var failed: Set<AnnouncementTopic> = []
            for (topic, action) in actions {
                let mustLook = looks && (topic.payloads == .last || missed.contains(topic))
                do {
                    for payload in Self.payloads(of: topic, notices[topic.name] ?? [], mustLook: mustLook) {
                        try scope.reading { try action(payload, scope) }
                    }
                } catch {
                    if let breakage = connection.breakage { throw breakage }
                    failed.insert(topic)
                    nextLook = min(nextLook, clock.now + server.options.pauseMax)
                }
            }
            missed = looks ? failed : missed.union(failed)
            // What came with the answers to those questions makes no socket readable any more.
            notices = Self.notices(connection, but: identity.writer)
            guard notices.isEmpty else { continue }
            wait(on: connection, time: max(nextLook - clock.now, .zero))
            guard connection.isAlive() else { throw .unavailable(detail: "the connection is lost") }
        }
    }

    /// With which payloads an action is to be run: nil stands for any.
    private static func payloads(
        of topic: AnnouncementTopic, _ notices: [String], mustLook: Bool
    ) -> [String?] {
        if mustLook { return [nil] }
        if topic.payloads == .last { return notices.last.map { [$0] } ?? [] }
        if notices.contains("") { return [nil] }
        return notices.flatMap { $0.split(separator: AnnouncementTopic.separator).map { String($0) } }
    }

    /// What other processes have announced of each topic, in order.
    private static func notices(_ connection: PostgreSQLConnection, but own: Int32) -> [String: [String]] {
        var notices: [String: [String]] = [:]
        while let notice = PQnotifies(connection.handle) {
            let channel = String(cString: notice.pointee.relname)
            if notice.pointee.be_pid != own {
                notices[String(channel.dropFirst("kith_".count)), default: []]
                    .append(String(cString: notice.pointee.extra))
            }
            PQfreemem(notice)
        }
        return notices
    }

    /// Waits until the server says something, the bell rings or the time is over.
    private func wait(on connection: PostgreSQLConnection?, time: Duration) {
        var descriptors = [pollfd(fd: bell.reading, events: Int16(POLLIN), revents: 0)]
        if let connection {
            descriptors.append(pollfd(fd: PQsocket(connection.handle), events: Int16(POLLIN), revents: 0))
        }
        let milliseconds = min(Int64(Self.waitMilliseconds), time.wholeMicroseconds / 1000 + 1)
        _ = poll(&descriptors, UInt(descriptors.count), Int32(milliseconds))
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(bell.reading, &bytes, bytes.count) > 0 {}
    }
}

/// What an action asks, in one read transaction.
private final class PostgreSQLListening: PostgreSQLScope {
    private let connection: PostgreSQLConnection

    private let limit: Duration

    init(_ connection: PostgreSQLConnection, limit: Duration) {
        self.connection = connection
        self.limit = limit
    }

    func run(_ sql: String) throws(StorageError) {
        try send(sql, [], nil)
        try settle()
    }

    func reading(_ body: () throws -> Void) throws {
        connection.failure = nil
        connection.deadline = ContinuousClock().now + limit
        defer { connection.deadline = nil }
        try connection.send("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        let outcome = Result { try body() }
        try connection.mark()
        try connection.send("COMMIT")
        try connection.settle()
        try outcome.get()
    }

    override func send(_ sql: String, _ parameters: [SQLValue], _ answer: PostgreSQLAnswer?) throws(StorageError) {
        if let failure = connection.failure { throw failure.error }
        try connection.send(sql, parameters, answer)
    }

    override func settle() throws(StorageError) {
        try connection.settle()
        if let failure = connection.failure { throw failure.error }
    }
}
