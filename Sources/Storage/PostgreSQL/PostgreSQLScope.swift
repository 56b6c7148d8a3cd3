/// The questions of a body, asked over one connection. `PostgreSQLReader` and `PostgreSQLWriter` say what surrounds them.
class PostgreSQLScope: ReadScope {
    /// Rows of a cursor's first page, and of any page.
    private static let (firstPage, pageMax) = (64, 2048)
    /// About so many bytes in a page.
    private static let pageSizeBytes = 256 << 10

    private var openCursors = 0

    /// Sends a statement whose answer is not waited for yet.
    func send(_ sql: String, _ parameters: [SQLValue], _ answer: PostgreSQLAnswer?) throws(StorageError) {
        throw .closed
    }

    /// Waits for the answers to everything that was sent.
    func settle() throws(StorageError) {
        throw .closed
    }

    func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
        let answer = PostgreSQLAnswer()
        try send(sql, parameters, answer)
        try settle()
        return answer.rows
    }

    func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row? {
        try query(sql, parameters).first
    }

    /// In pages through a cursor of the server, so that the answer may be of any size and other questions may be asked
    /// between two rows.
    func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws {
        guard PostgreSQLStatement.onlyReads(sql) || sql.hasPrefix("WITH") else {
            for row in try query(sql, parameters) { guard try body(row) else { return } }
            return
        }
        openCursors += 1
        defer { openCursors -= 1 }
        let name = "rows\(openCursors)"
        try send("DECLARE \(name) NO SCROLL CURSOR FOR \(sql)", parameters, nil)
        var size = Self.firstPage
        while true {
            let page = PostgreSQLAnswer()
            try send("FETCH \(size) FROM \(name)", [], page)
            try settle()
            for row in page.rows {
                do {
                    guard try body(row) else { return try send("CLOSE \(name)", [], nil) }
                } catch {
                    // What the body asked may have failed already, and the cursor be gone with it.
                    try? send("CLOSE \(name)", [], nil)
                    throw error
                }
            }
            guard page.rows.count == size else { break }
            size = Self.nextPage(after: page)
        }
        try send("CLOSE \(name)", [], nil)
    }

    /// A power of two, so that the pages of many answers are the same few statements.
    private static func nextPage(after page: PostgreSQLAnswer) -> Int {
        let rowSizeBytes = max(page.sizeBytes / max(page.rows.count, 1), 1)
        var size = pageMax
        while size > 1, size * rowSizeBytes > pageSizeBytes { size /= 2 }
        return size
    }
}

/// A thread's reading connection, opened when it is first needed and again when it was lost.
final class PostgreSQLReader: PostgreSQLScope {
    private let server: PostgreSQLServer
    private let purpose: PostgreSQLPurpose
    private var connection: PostgreSQLConnection?
    /// Whether the last read ended because the connection was lost that it had.
    private(set) var hasLostConnection = false

    init(_ server: PostgreSQLServer, _ purpose: PostgreSQLPurpose) {
        self.server = server
        self.purpose = purpose
    }

    /// Runs `body` inside one read transaction, cancelled when the deadline passes or `stop` is raised.
    func reading<T>(
        deadline: ContinuousClock.Instant? = nil, stop: StopFlag? = nil, _ body: () throws -> T
    ) throws -> T {
        hasLostConnection = false
        let connection = try open()
        connection.failure = nil
        connection.deadline = deadline
        connection.stop = stop
        defer { end(connection) }
        try connection.send("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return try body()
    }

    /// Ends the connection.
    func close() {
        connection = nil
    }

    private func open() throws(StorageError) -> PostgreSQLConnection {
        if let connection, connection.isAlive() { return connection }
        connection = nil
        let opened = try server.connect(purpose)
        connection = opened
        return opened
    }

    /// The end is sent and not waited for: it is heard of with the next read.
    private func end(_ connection: PostgreSQLConnection) {
        do throws(StorageError) {
            try connection.mark()
            try connection.send("COMMIT")
            try connection.mark()
            connection.flush()
        } catch {
            self.connection = nil
        }
        if let breakage = connection.breakage, case .unavailable = breakage { hasLostConnection = !connection.isSilent }
        if connection.isSpoilt || connection.breakage != nil { self.connection = nil }
    }

    override func send(_ sql: String, _ parameters: [SQLValue], _ answer: PostgreSQLAnswer?) throws(StorageError) {
        guard let connection else { throw .closed }
        if let failure = connection.failure { throw failure.error }
        try connection.send(sql, parameters, answer)
    }

    override func settle() throws(StorageError) {
        guard let connection else { throw .closed }
        try connection.settle()
        if let failure = connection.failure { throw failure.error }
    }
}
