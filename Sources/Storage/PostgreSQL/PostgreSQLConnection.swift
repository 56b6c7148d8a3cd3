import Base
import CPostgreSQL
import Glibc

/// What a statement came to, once the server has answered.
final class PostgreSQLAnswer {
    fileprivate(set) var rows: [Row] = []
    /// Rows inserted, updated or deleted.
    fileprivate(set) var changed = 0
    /// Bytes of all values.
    fileprivate(set) var sizeBytes = 0
    /// The command as the server names it, e.g. `COMMIT`.
    fileprivate(set) var command = ""
}

/// One connection in libpq's pipeline mode, used by one thread alone: statements are sent without waiting for the
/// answers to those before them, and `settle` waits for all.
///
/// libpq's calls block, or would; nothing here may run on the cooperative pool.
final class PostgreSQLConnection {
    /// A statement that the server refused, and who asked for it. Those sent after it, up to a mark, were not run.
    struct Failure {
        let owner: Int
        let error: StorageError
        /// Where its answer would have been, if one was wanted.
        let answer: PostgreSQLAnswer?
    }

    /// What the server still owes.
    private enum Expectation {
        case preparation(PostgreSQLStatement, owner: Int)
        case answer(PostgreSQLAnswer?, owner: Int)
        case mark
    }

    /// After a cancellation, the server gets so long to say that it has heard.
    private static let cancellationTime = Duration.seconds(2)
    /// A flag can be raised at any time: so often it is looked at.
    private static let flagInterval = Duration.milliseconds(50)

    let handle: OpaquePointer
    private let clock = ContinuousClock()
    private let pulse: PostgreSQLPulse
    private var expected = FIFO<Expectation>()
    private var isMarked = true
    private var statements = PostgreSQLStatements()
    private var parameters = PostgreSQLParameters()

    /// Whoever asks for the statements that are sent from now on; failures are told with it.
    var owner = 0
    /// Whether a statement that may change the database was sent since this was last set to false.
    var hasChanged = false
    /// The first statement that failed since this was last set to nil. Those after it, up to a mark, didn't run.
    var failure: Failure?
    /// Why the connection can't be used any more.
    private(set) var breakage: StorageError?
    /// When waiting ends, by a cancellation.
    var deadline: ContinuousClock.Instant?
    /// Ends waiting too, once it is raised.
    var stop: StopFlag?

    /// Takes over a connection that is established.
    init(handle: OpaquePointer, pulse: PostgreSQLPulse) {
        self.handle = handle
        self.pulse = pulse
    }

    deinit {
        PQfinish(handle)
    }

    /// The process that serves this connection.
    var backendID: Int32 { PQbackendPID(handle) }

    /// Looks whether the server has ended the connection while nobody used it.
    func isAlive() -> Bool {
        guard breakage == nil else { return false }
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, 0) > 0 else { return true }
        return PQconsumeInput(handle) == 1 && PQstatus(handle) == CONNECTION_OK
    }

    // MARK: Sending

    /// Sends one statement, prepared if it isn't yet. Its answer is there after `settle`.
    func send(_ sql: String, _ values: [SQLValue] = [], _ answer: PostgreSQLAnswer? = nil) throws(StorageError) {
        if let breakage { throw breakage }
        let statement = try prepared(sql, values)
        try parameters.encode(values)
        let code = parameters.withPointers { count, values, lengths, formats in
            PQsendQueryPrepared(handle, statement.name, count, values, lengths, formats, 1)
        }
        guard code == 1 else { throw broken("sending") }
        if statement.mayChange { hasChanged = true }
        expected.append(.answer(answer, owner: owner))
        isMarked = false
    }

    private func prepared(_ sql: String, _ values: [SQLValue]) throws(StorageError) -> PostgreSQLStatement {
        if let found = statements.find(sql, values) { return found }
        if sql.utf8.contains(0) { throw .statement(detail: "a statement with U+0000") }
        let statement = try statements.add(sql, values)
        guard PQsendPrepare(handle, statement.name, sql, Int32(statement.types.count), statement.types) == 1 else {
            statements.forget(statement)
            throw broken("preparing")
        }
        expected.append(.preparation(statement, owner: owner))
        isMarked = false
        return statement
    }

    /// Hands to the network what it takes without waiting.
    func flush() {
        if breakage == nil { _ = PQflush(handle) }
    }

    /// Ends what has been sent with a mark, without waiting: what comes after runs even if something before failed.
    func mark() throws(StorageError) {
        if let breakage { throw breakage }
        guard !isMarked else { return }
        guard PQpipelineSync(handle) == 1 else { throw broken("sending") }
        expected.append(.mark)
        isMarked = true
    }

    /// Has the server drop statements that are no longer wanted. Between transactions only.
    func tidy() {
        let names = statements.takeRetired()
        guard !names.isEmpty, breakage == nil else { return }
        do throws(StorageError) {
            for name in names where !name.isEmpty {
                guard PQsendQueryParams(handle, "DEALLOCATE \(name)", 0, nil, nil, nil, nil, 1) == 1 else {
                    throw broken("sending")
                }
                expected.append(.answer(nil, owner: owner))
                isMarked = false
            }
            try mark()
        } catch {
            return
        }
    }

    // MARK: Waiting

    /// Waits until everything that was sent has been answered. What failed stands in `failure`.
    /// - Throws: when the connection is lost, or the deadline passes, or the flag is raised; then for good.
    func settle() throws(StorageError) {
        try mark()
        while !expected.isEmpty {
            try waitForInput()
            try takeResult()
        }
    }

    private func waitForInput() throws(StorageError) {
        var limit = deadline
        var isCancelled = false
        let began = clock.now
        while PQisBusy(handle) == 1 {
            let unsent = PQflush(handle)
            // The network failed. What the server said last is still to be had, and tells why: `PQgetResult` gives it,
            // and after it the end.
            guard unsent >= 0 else { return }
            var descriptor = pollfd(
                fd: PQsocket(handle), events: Int16(POLLIN | (unsent > 0 ? POLLOUT : 0)), revents: 0)
            let count = poll(&descriptor, 1, pollTime(until: limit))
            if count > 0, descriptor.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
                if PQconsumeInput(handle) == 0 { return }
                pulse.beat()
            } else if pulse.isSilent(forOneWaitingSince: began) {
                isSilent = true
                breakage = PostgreSQLServer.silence
                throw PostgreSQLServer.silence
            }
            let isStopped = stop?.isRaised ?? false
            guard isStopped || limit.map({ clock.now > $0 }) ?? false else { continue }
            if isCancelled {
                breakage = .timedOut
                throw .timedOut
            }
            PostgreSQLCancellation.send(for: handle)
            isCancelled = true
            stop = nil
            limit = clock.now + Self.cancellationTime
        }
        // The cancellation may be on its way still, and hit the next statement: none may follow.
        if isCancelled { isSpoilt = true }
    }

    /// Whether the connection was given up because the server stands still: there is no use in trying again.
    private(set) var isSilent = false
    /// Whether the connection is to be given up after this use.
    private(set) var isSpoilt = false

    private func pollTime(until limit: ContinuousClock.Instant?) -> Int32 {
        var time = limit.map { max($0 - clock.now, .zero) } ?? .seconds(60)
        time = min(time, PostgreSQLPulse.lookInterval)
        if stop != nil { time = min(time, Self.flagInterval) }
        return Int32(clamping: time.wholeMicroseconds / 1000 + 1)
    }

    private func takeResult() throws(StorageError) {
        guard let result = PQgetResult(handle) else {
            if PQstatus(handle) == CONNECTION_BAD { throw broken("waiting") }
            // The end of one statement's results.
            _ = expected.popFirst()
            return
        }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC:
            guard let done = expected.popFirst(), case .mark = done else { throw broken("an answer out of turn") }
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK: try take(result)
        case PGRES_PIPELINE_ABORTED: forgetUnprepared()
        case PGRES_EMPTY_QUERY: fail(.statement(detail: "an empty statement"))
        default:
            // Without a code it comes from libpq, not from the server: the connection is lost.
            guard PQresultErrorField(result, Int32(UInt8(ascii: "C"))) != nil else { throw broken("waiting") }
            let error = StorageError(postgreSQL: result)
            // Prepared for what the schema was before another process changed it.
            if error == .busy { statements.retireAll() }
            fail(error)
            if PQstatus(handle) == CONNECTION_BAD { throw broken("waiting") }
        }
    }

    private func take(_ result: OpaquePointer) throws(StorageError) {
        guard case .answer(let answer?, _) = expected.first else { return }
        answer.command = String(cString: PQcmdStatus(result))
        answer.changed = Int(String(cString: PQcmdTuples(result))) ?? 0
        do throws(StorageError) {
            try answer.read(result)
        } catch {
            fail(error)
        }
    }

    private func fail(_ error: StorageError) {
        forgetUnprepared()
        guard failure == nil, let next = expected.first else { return }
        switch next {
        case .preparation(_, let owner): failure = Failure(owner: owner, error: error, answer: nil)
        case .answer(let answer, let owner): failure = Failure(owner: owner, error: error, answer: answer)
        case .mark: failure = Failure(owner: owner, error: error, answer: nil)
        }
    }

    private func forgetUnprepared() {
        if case .preparation(let statement, _) = expected.first { statements.forget(statement) }
    }

    // MARK: Breaking

    private func broken(_ doing: String) -> StorageError {
        if let breakage { return breakage }
        let message = String(cString: PQerrorMessage(handle)).split(separator: "\n").first.map(String.init)
        let error =
            failure.flatMap { Self.isOfConnection($0.error) ? $0.error : nil }
            ?? .unavailable(detail: "\(doing): \(message ?? "the connection is lost")")
        breakage = error
        return error
    }

    private static func isOfConnection(_ error: StorageError) -> Bool {
        if case .unavailable = error { return true }
        return false
    }
}

extension PostgreSQLAnswer {
    fileprivate func read(_ result: OpaquePointer) throws(StorageError) {
        let (rowCount, columnCount) = (PQntuples(result), PQnfields(result))
        guard columnCount > 0 else { return }
        rows.reserveCapacity(Int(rowCount))
        let types = (0..<columnCount).map { PQftype(result, $0) }
        for row in 0..<rowCount {
            var values: [SQLValue] = []
            values.reserveCapacity(Int(columnCount))
            for column in 0..<columnCount {
                if PQgetisnull(result, row, column) == 1 {
                    values.append(.null)
                    continue
                }
                let length = Int(PQgetlength(result, row, column))
                sizeBytes += length
                let bytes = UnsafeRawBufferPointer(start: PQgetvalue(result, row, column), count: length)
                values.append(try SQLValue(postgreSQL: bytes, type: types[Int(column)], column: Int(column)))
            }
            rows.append(Row(values))
        }
    }
}
