import Base
import CPostgreSQL
import Dispatch
import Foundation
package import Storage

/// A scratch directory that is removed with its last holder.
package final class ScratchDirectory: Sendable {
    /// Where it is, without a final slash.
    package let path: String

    package init() throws {
        var template = Array((NSTemporaryDirectory() + "/kith-storage-XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else { throw StorageError.unavailable(detail: "mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        _ = made
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of something in it.
    package func file(_ name: String) -> String { path + "/" + name }
}

/// A database that is there for one test and removed with its last holder.
package final class ScratchDatabase: Sendable {
    /// Databases on the server at once: each may have a dozen connections.
    private static let turns = Turns(10)
    /// Making and dropping takes a while, which tests that run meanwhile shall not wait for.
    private static let administrator = DispatchQueue(label: "kith.test.databases")

    /// The engine it is of.
    package let engine: Engine
    /// For whatever else the test keeps; holds the file of an embedded database.
    package let directory: ScratchDirectory
    private let name: String
    private let hasTurn: Bool

    /// Makes an empty database. Waits while too many are there: not for tests that need two at once.
    ///
    /// - Parameter clause: what stands after `CREATE DATABASE name TEMPLATE template0`.
    package convenience init(_ engine: Engine, clause: String = ScratchDatabase.clause) async throws {
        if engine == .postgresql { await Self.turns.take() }
        try self.init(engine, hasTurn: engine == .postgresql)
        guard engine == .postgresql else { return }
        let creation = creation(clause)
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Self.administrator.async {
                continuation.resume(with: Result { _ = try Self.administer(creation) })
            }
        }
    }

    /// Makes an empty database of the engine that was chosen for this run of the tests.
    package convenience init() throws {
        try self.init(.chosen, hasTurn: false)
        if engine == .postgresql { try Self.administer(creation(Self.clause)) }
    }

    private func creation(_ clause: String) -> String { "CREATE DATABASE \(name) TEMPLATE template0 \(clause)" }

    /// What suits us.
    package static let clause = "ENCODING 'UTF8' LOCALE 'C'"

    private init(_ engine: Engine, hasTurn: Bool) throws {
        self.engine = engine
        self.hasTurn = hasTurn
        name = "kith_test_" + Hex.encode(SystemRandomness().bytes(8))
        directory = try ScratchDirectory()
    }

    deinit {
        guard engine == .postgresql else { return }
        let (name, hasTurn) = (name, hasTurn)
        Self.administrator.async {
            _ = try? Self.administer("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
            if hasTurn { Self.turns.give() }
        }
    }

    /// As `KITH_DATABASE_URL` would name it.
    package var url: String {
        switch engine {
        case .sqlite: "sqlite:" + directory.file("kith.sqlite")
        case .postgresql: Self.url(of: name)
        }
    }

    /// Opens it; a second time, as another process would.
    package func open(_ options: TestOptions = TestOptions()) throws(StorageError) -> any Database {
        switch engine {
        case .sqlite: try SQLiteDatabase(path: directory.file("kith.sqlite"), options: options.sqlite)
        case .postgresql: try PostgreSQLDatabase(url: url, options: options.postgreSQL)
        }
    }

    /// Runs a statement beside all databases, outside any transaction; returns the first column of its rows.
    @discardableResult
    package func administer(_ sql: String) throws -> [String] {
        try Self.administer(sql, in: Self.url(of: name))
    }

    /// Lets connections in, or ends those that are there and lets none in: the server is gone, as far as one can tell.
    package func setReachable(_ isReachable: Bool) throws {
        try Self.administer("ALTER DATABASE \(name) ALLOW_CONNECTIONS \(isReachable)")
        guard !isReachable else { return }
        try Self.administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
    }

    private static func url(of name: String) -> String {
        (Engine.serverURL ?? "").replacing("/postgres?", with: "/\(name)?")
    }

    @discardableResult
    private static func administer(_ sql: String, in url: String? = nil) throws -> [String] {
        let connection = PQconnectdb(url ?? Engine.serverURL ?? "")
        defer { PQfinish(connection) }
        let result = PQexec(connection, sql)
        defer { PQclear(result) }
        guard [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else {
            throw StorageError.unavailable(detail: String(cString: PQerrorMessage(connection)))
        }
        return (0..<PQntuples(result)).map { String(cString: PQgetvalue(result, $0, 0)) }
    }
}

/// The options of both engines; those that both have are set for both.
package struct TestOptions: Sendable {
    /// Those of SQLite.
    package var sqlite = SQLiteOptions()
    /// Those of PostgreSQL.
    package var postgreSQL = PostgreSQLOptions()

    package init() {
        // Tests hold groups open, on machines of any speed.
        postgreSQL.idleInTransactionTimeout = .seconds(600)
        postgreSQL.lockTimeout = .seconds(600)
        postgreSQL.silenceMax = .seconds(600)
        postgreSQL.connectTimeout = .seconds(60)
        postgreSQL.knockTimeout = .seconds(60)
        postgreSQL.statementTimeout = .seconds(600)
    }

    package var groupMax: Int {
        get { sqlite.groupMax }
        set { (sqlite.groupMax, postgreSQL.groupMax) = (newValue, newValue) }
    }
    package var groupDurationMax: Duration {
        get { sqlite.groupDurationMax }
        set { (sqlite.groupDurationMax, postgreSQL.groupDurationMax) = (newValue, newValue) }
    }
    package var writesWaitingMax: Int {
        get { sqlite.writesWaitingMax }
        set { (sqlite.writesWaitingMax, postgreSQL.writesWaitingMax) = (newValue, newValue) }
    }
    package var readersMax: Int {
        get { sqlite.readersMax }
        set { (sqlite.readersMax, postgreSQL.readersMax) = (newValue, newValue) }
    }
    package var readsWaitingMax: Int {
        get { sqlite.readsWaitingMax }
        set { (sqlite.readsWaitingMax, postgreSQL.readsWaitingMax) = (newValue, newValue) }
    }
    package var readDurationMax: Duration {
        get { sqlite.readDurationMax }
        set { (sqlite.readDurationMax, postgreSQL.readDurationMax) = (newValue, newValue) }
    }
    package var streams: StreamLimits {
        get { sqlite.streams }
        set { (sqlite.streams, postgreSQL.streams) = (newValue, newValue) }
    }
}
