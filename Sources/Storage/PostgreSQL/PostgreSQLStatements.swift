import CPostgreSQL

/// A statement prepared on one connection.
final class PostgreSQLStatement {
    let sql: String
    /// Its name on the server, ending in 0.
    let name: [CChar]
    /// The types it was prepared for; 0 where the first parameter was `NULL` and the server chose.
    let types: [Oid]
    /// Whether it may change the database; false only when that is certain.
    let mayChange: Bool
    /// The connection's count of look-ups when it was last asked for.
    var lastUse = 0

    init(sql: String, name: String, types: [Oid]) {
        self.sql = sql
        self.name = Array(name.utf8CString)
        self.types = types
        mayChange = !(PostgreSQLStatement.onlyReads(sql) || sql.hasPrefix("DECLARE ") || sql.hasPrefix("CLOSE "))
    }

    /// Whether the statement was prepared for parameters like these.
    func fits(_ parameters: [SQLValue]) -> Bool {
        guard types.count == parameters.count else { return false }
        for index in types.indices {
            guard let type = parameters[index].postgreSQLType else { continue }
            if type != types[index] { return false }
        }
        return true
    }

    static func onlyReads(_ sql: String) -> Bool {
        let word = sql.utf8.prefix { $0 != 0x20 && $0 != 0x0a }
        return word.elementsEqual("SELECT".utf8) || word.elementsEqual("FETCH".utf8)
            || word.elementsEqual("VALUES".utf8)
    }
}

/// The statements that a connection keeps prepared, bounded.
struct PostgreSQLStatements {
    /// Past so many the least recently used quarter is dropped, between two transactions.
    static let countMax = 256

    private var statements: [String: PostgreSQLStatement] = [:]
    private var lookups = 0
    private var lastName = 0
    /// Prepared on the server and not wanted any more.
    private var retired: [PostgreSQLStatement] = []

    /// The statement that is prepared for `sql` and these parameters, if there is one.
    mutating func find(_ sql: String, _ parameters: [SQLValue]) -> PostgreSQLStatement? {
        lookups += 1
        guard let statement = statements[sql], statement.fits(parameters) else { return nil }
        statement.lastUse = lookups
        return statement
    }

    /// A new statement, to be prepared now. Without room for it before the end of the transaction it has no name, and
    /// is gone with the next one that has none.
    mutating func add(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> PostgreSQLStatement {
        let expected = SQLDialect.parameterCount(sql)
        guard expected == parameters.count else {
            throw .statement(detail: "\(expected) parameters expected, \(parameters.count) given")
        }
        let older = statements[sql]
        var types: [Oid] = []
        for index in parameters.indices {
            let known = older.map { $0.types.indices.contains(index) ? $0.types[index] : 0 } ?? 0
            types.append(parameters[index].postgreSQLType ?? known)
        }
        let isKept = statements.count < Self.countMax
        if isKept { lastName += 1 }
        let statement = PostgreSQLStatement(sql: sql, name: isKept ? "s\(lastName)" : "", types: types)
        statement.lastUse = lookups
        if isKept {
            if let older { retired.append(older) }
            statements[sql] = statement
        }
        return statement
    }

    /// A statement that the server refused, or never saw.
    mutating func forget(_ statement: PostgreSQLStatement) {
        if statements[statement.sql] === statement { statements[statement.sql] = nil }
        retired.removeAll { $0 === statement }
    }

    /// Forgets all; they are still prepared.
    mutating func retireAll() {
        retired += statements.values
        statements = [:]
    }

    /// Takes the names of those that the server is to drop.
    mutating func takeRetired() -> [String] {
        if statements.count >= Self.countMax {
            let idle = statements.values.sorted { $0.lastUse < $1.lastUse }.prefix(Self.countMax / 4)
            for statement in idle { statements[statement.sql] = nil }
            retired += idle
        }
        defer { retired = [] }
        return retired.map { String(decoding: $0.name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }
}
