import Base
import CPostgreSQL
import Glibc
import Synchronization

/// What a connection is for; the limits that the server is told depend on it.
enum PostgreSQLPurpose: String, Sendable {
    case write
    case read
    case stream
    case listen
}

/// One server as a connection string names it: opens connections, and holds back while it can't be reached.
final class PostgreSQLServer: Sendable {
    private struct Reach {
        var pause: Duration
        var notBefore: ContinuousClock.Instant?
        /// Why the last attempt failed; nil when it didn't.
        var refusal: StorageError?
        /// Attempts under way.
        var attempts = 0
        var connections = 0
        var failures = 0
    }

    /// The oldest server whose SQL we speak.
    private static let versionMin: Int64 = 150_000

    let options: PostgreSQLOptions
    let pulse: PostgreSQLPulse
    private let url: String
    private let randomness: any Randomness
    private let clock = ContinuousClock()
    private let reach: Mutex<Reach>

    init(url: String, options: PostgreSQLOptions, randomness: any Randomness) {
        self.url = url
        self.options = options
        self.randomness = randomness
        reach = Mutex(Reach(pause: options.pauseMin))
        pulse = PostgreSQLPulse(silenceMax: options.silenceMax) { Self.isAnswering(url, within: options.knockTimeout) }
    }

    /// Connections opened so far, and attempts that failed.
    var attempts: (opened: Int, failed: Int) { reach.withLock { ($0.connections, $0.failures) } }

    /// Opens a connection. Blocks for at most the connect timeout; not at all for a while after an attempt failed, nor
    /// while somebody else tries again or the server stands still, lest everybody wait for a server that isn't there.
    func connect(_ purpose: PostgreSQLPurpose) throws(StorageError) -> PostgreSQLConnection {
        if pulse.isStillSilent() { throw Self.silence }
        let now = clock.now
        let refusal: StorageError? = reach.withLock { reach in
            guard let known = reach.refusal, reach.attempts > 0 || reach.notBefore.map({ now < $0 }) ?? false else {
                reach.attempts += 1
                return nil
            }
            return known
        }
        if let refusal { throw refusal }
        defer { reach.withLock { $0.attempts -= 1 } }
        do throws(StorageError) {
            let connection = try open(purpose, deadline: now + options.connectTimeout)
            reach.withLock { reach in
                reach.pause = options.pauseMin
                reach.notBefore = nil
                reach.refusal = nil
                reach.connections += 1
            }
            return connection
        } catch {
            if error == Self.silence { pulse.miss(began: now) }
            holdBack(error)
            throw error
        }
    }

    private func holdBack(_ error: StorageError) {
        let now = clock.now
        let spread = Double(randomness.uint64() % 1024) / 1024 + 0.5
        reach.withLock { reach in
            reach.refusal = error
            reach.notBefore = now + reach.pause * spread
            reach.pause = min(reach.pause * 2, options.pauseMax)
            reach.failures += 1
        }
    }

    private func open(
        _ purpose: PostgreSQLPurpose, deadline: ContinuousClock.Instant
    ) throws(StorageError) -> PostgreSQLConnection {
        // What the connection string says of these comes later and wins. A peer that is gone is noticed in seconds.
        var settings = [
            ("application_name", "kith \(purpose.rawValue)"), ("keepalives", "1"), ("keepalives_idle", "5"),
            ("keepalives_interval", "2"), ("keepalives_count", "3"), ("tcp_user_timeout", "5000"),
            ("client_encoding", "UTF8"),
        ]
        if purpose == .write { settings.append(("target_session_attrs", "read-write")) }
        if let mistake = PostgreSQLAddress.mistake(in: url) { throw .unavailable(detail: mistake) }
        settings.append(("dbname", url))
        guard let handle = Self.start(settings) else { throw .unavailable(detail: "no memory for a connection") }
        let connection = PostgreSQLConnection(handle: handle, pulse: pulse)
        // With the codes of errors, by which a refusal is told from a server that isn't there.
        PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        try Self.finish(handle, deadline: deadline, clock)
        PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
            throw .unavailable(detail: "the connection can't be used in pipeline mode")
        }
        connection.deadline = deadline
        try prepare(connection, purpose)
        connection.deadline = nil
        return connection
    }

    static let tooOld = "PostgreSQL 15 or newer is needed"
    static let otherEncoding = "the database keeps text as"
    static let readOnly = "the database is read-only"

    /// Why a server has no session that writes: one that follows another may come to lead, and any other is told not to.
    ///
    /// - Returns: `error`, or what is known better.
    func reasonNotToWrite(_ error: StorageError) -> StorageError {
        guard case .unavailable(let detail) = error, detail.contains("session is read-only") else { return error }
        do throws(StorageError) {
            // At once: what is held back for is the attempt that has just failed.
            let connection = try open(.read, deadline: clock.now + options.connectTimeout)
            let answer = PostgreSQLAnswer()
            connection.deadline = clock.now + options.connectTimeout
            try connection.send("SELECT pg_is_in_recovery()", [], answer)
            try connection.settle()
            guard let row = answer.rows.first, try !row.boolean(0) else { return error }
            return .unavailable(detail: "\(Self.readOnly): default_transaction_read_only is on")
        } catch {
            return .unavailable(detail: detail)
        }
    }

    /// What is told of a server that stands still.
    static let silence = StorageError.unavailable(detail: "the database server doesn't answer")

    /// Whether somebody says anything at all, be it that we may not come in.
    private static func isAnswering(_ url: String, within limit: Duration) -> Bool {
        guard let handle = start([("application_name", "kith knock"), ("dbname", url)]) else { return true }
        defer { PQfinish(handle) }
        let clock = ContinuousClock()
        do throws(StorageError) {
            try finish(handle, deadline: clock.now + limit, clock)
            return true
        } catch {
            return error != silence
        }
    }

    private static func start(_ settings: [(String, String)]) -> OpaquePointer? {
        let keywords = settings.map { strdup($0.0) }
        let values = settings.map { strdup($0.1) }
        defer { for text in keywords + values { free(text) } }
        let end: [UnsafePointer<CChar>?] = [nil]
        return PQconnectStartParams(keywords.map { UnsafePointer($0) } + end, values.map { UnsafePointer($0) } + end, 1)
    }

    private static func finish(
        _ handle: OpaquePointer, deadline: ContinuousClock.Instant, _ clock: ContinuousClock
    ) throws(StorageError) {
        var next = PGRES_POLLING_WRITING
        while PQstatus(handle) != CONNECTION_BAD {
            let events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT
            // Looked at once more when the time is over: it may be us who stood still.
            let time = max(deadline - clock.now, .zero).wholeMicroseconds / 1000
            var descriptor = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
            guard poll(&descriptor, 1, Int32(clamping: time)) > 0 else {
                guard clock.now < deadline else { throw silence }
                continue
            }
            next = PQconnectPoll(handle)
            if next == PGRES_POLLING_OK { return }
            if next == PGRES_POLLING_FAILED { break }
        }
        throw PostgreSQLAddress.refusal(String(cString: PQerrorMessage(handle)))
    }

    /// Tells the server our limits, and checks that it is one we can work with.
    private func prepare(_ connection: PostgreSQLConnection, _ purpose: PostgreSQLPurpose) throws(StorageError) {
        let answer = PostgreSQLAnswer()
        let (statement, idle) = limits(purpose)
        try connection.send(
            """
            SELECT current_setting('server_version_num')::BIGINT, current_setting('server_encoding'),
                set_config('statement_timeout', $1, false),
                set_config('idle_in_transaction_session_timeout', $2, false),
                set_config('lock_timeout', $3, false), set_config('jit', 'off', false),
                set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
                set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '10000', false),
                CASE WHEN current_setting('synchronous_commit') = 'off'
                    THEN set_config('synchronous_commit', 'on', false) END
            """,
            [.milliseconds(statement), .milliseconds(idle), .milliseconds(options.lockTimeout)], answer)
        try connection.settle()
        if let failure = connection.failure { throw failure.error }
        guard let row = answer.rows.first else { throw Self.silence }
        let version = try row.integer(0)
        guard version >= Self.versionMin else {
            throw .unavailable(detail: "\(Self.tooOld); the server is \(version / 10_000)")
        }
        let encoding = try row.text(1)
        guard encoding == "UTF8" else {
            throw .unavailable(
                detail: "\(Self.otherEncoding) \(encoding); make one with CREATE DATABASE … ENCODING 'UTF8'")
        }
    }

    /// How long a statement may run, and a transaction stand idle, by what the connection is for.
    private func limits(_ purpose: PostgreSQLPurpose) -> (statement: Duration, idle: Duration) {
        switch purpose {
        case .write: (options.statementTimeout, options.idleInTransactionTimeout)
        // A read has its own clock; this one is for a process that is gone.
        case .read, .listen: (options.readDurationMax * 2, options.readDurationMax * 2)
        case .stream: (options.statementTimeout, options.streams.stallTimeout * 2)
        }
    }
}

extension SQLValue {
    fileprivate static func milliseconds(_ duration: Duration) -> SQLValue {
        .text(String(max(duration.wholeMicroseconds / 1000, 1)))
    }
}
