/// What copying has left in a database: one row of `storage_copy`, or none where none is under way.
package struct CopyMark: Sendable, Hashable {
    /// How far a copy is, from either side.
    package enum Phase: String, Sendable {
        /// The source: changes are written down.
        case capturing
        /// The source: besides, writes are refused for a moment.
        case held
        /// The source: writes are refused for good. The other database counts.
        case moved
        /// The target: it is being filled.
        case receiving
        /// The target: it holds everything, and counts once the source has moved.
        case complete
    }

    package let phase: Phase
    /// Ties the two sides of one copy together.
    package let token: String
    /// Of a source, where the other database is, without a password; of a target, the mark of the vault's key
    /// (`KeyVault.fingerprint`) of the instance that fills it.
    package let peer: String
    /// Keys of changes carry the generation in which they happened.
    package let generation: Int64
    /// Whether the copier has given a sign of life lately, by the clock of the database.
    package let isAlive: Bool

    /// How long a copier may be silent.
    static let leaseMilliseconds = 20_000
    /// How long writes are refused if nothing more is heard of the copier.
    static let holdMilliseconds = 10_000

    /// What the triggers say on either engine; see `StorageError.held`.
    static let heldMessage = "kith.held"
    static let heldState = "KH001"

    /// The mark, if there is one.
    package static func find(in scope: any ReadScope, _ dialect: SQLDialect) throws -> CopyMark? {
        guard try dialect.hasTable("storage_copy", in: scope) else { return nil }
        let sql = "SELECT phase, token, peer, generation, until > \(dialect.now) FROM storage_copy WHERE id = 1"
        guard let row = try scope.first(sql) else { return nil }
        guard let phase = Phase(rawValue: try row.text(0)) else { throw CopyError.unknownMark(try row.text(0)) }
        return CopyMark(
            phase: phase, token: try row.text(1), peer: try row.text(2), generation: try row.integer(3),
            isAlive: try row.boolean(4))
    }

    /// Makes sure that a database which is being served answers and wasn't moved. One short question of one table.
    ///
    /// - Throws: `CopyError.moved`; storage errors.
    package static func confirmServing(_ database: any Database) async throws {
        let peer = try await database.read { scope in
            try scope.first("SELECT peer FROM storage_copy WHERE phase = '\(Phase.moved.rawValue)'")?.text(0)
        }
        if let peer { throw CopyError.moved(to: peer) }
    }

    /// As `find(in:_:)`.
    package static func find(in database: any Database) async throws -> CopyMark? {
        let dialect = database.dialect
        return try await database.read { try find(in: $0, dialect) }
    }

    /// Sets the mark of a target, or of a source when nothing is under way.
    static func set(
        _ phase: Phase, token: String, peer: String, in scope: any WriteScope, _ dialect: SQLDialect
    ) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO storage_copy (id, phase, token, peer, generation, until)
            VALUES (1, $1, $2, $3, 1, \(dialect.now) + \(leaseMilliseconds))
            ON CONFLICT (id) DO UPDATE SET phase = excluded.phase, token = excluded.token, peer = excluded.peer,
                generation = excluded.generation, until = excluded.until
            """, [.text(phase.rawValue), .text(token), .text(peer)])
    }

    /// As `confirmUse`, without removing anything.
    static func confirmUsable(_ database: any Database) async throws {
        guard let mark = try await find(in: database) else { return }
        try mark.confirmUsable()
    }

    private func confirmUsable() throws(CopyError) {
        switch phase {
        case .moved: throw .moved(to: peer)
        case .receiving, .complete: throw .unfinished
        case .capturing, .held: break
        }
    }

    /// Makes sure that the database may be served.
    ///
    /// What a copy left that was broken off is removed.
    /// - Parameter isAlone: whether no other process can be using the database.
    /// - Throws: `CopyError.moved`, `.unfinished`; storage errors.
    package static func confirmUse(of database: any Database, isAlone: Bool) async throws {
        guard let mark = try await find(in: database) else { return }
        try mark.confirmUsable()
        guard isAlone || !mark.isAlive else { return }
        await ChangeCapture(database, token: mark.token).remove()
    }
}

extension SQLDialect {
    /// The clock of the database, in milliseconds since 1970.
    var now: String {
        switch engine {
        case .sqlite: "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"
        case .postgresql: "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
        }
    }
}
