import ATProtocol
import Base
import Storage

/// `kith database …`: by the server that holds the data directory, or here where none does.
package enum DatabaseCopy {
    // MARK: Status

    /// What is in the database, and how far its schema is.
    package static func status(_ configuration: Configuration) async throws -> CommandOutput {
        try confirmThere(configuration)
        if let lock = try lockUnlessServed(configuration) {
            defer { withExtendedLifetime(lock) {} }
            let database = try openSource(configuration)
            return try await closing(database) { output(try await statusJSON(of: $0, configuration.database)) }
        }
        return output(try await client(configuration).query("social.kith.admin.getDatabaseStatus"))
    }

    /// What `social.kith.admin.getDatabaseStatus` answers.
    static func statusJSON(of database: any Database, _ location: DatabaseLocation?) async throws -> DataValue {
        let found = try await DatabaseInspection.inspect(database, InstanceRooms.migrations)
        var map: DataMap = [
            "engine": .string(found.engine.rawValue), "version": .string(found.version),
            "sizeBytes": .integer(found.sizeBytes), "eventHead": .integer(found.eventHead),
            "schema": .array(
                found.schema.map {
                    [
                        "room": .string($0.room), "applied": .integer(Int64($0.applied)),
                        "known": .integer(Int64($0.known)),
                    ]
                }),
            "tables": .array(found.tables.map { ["name": .string($0.name), "rows": .integer($0.rowCount)] }),
        ]
        map["address"] = location.map { .string($0.publicName) }
        if let mark = found.mark {
            map["copy"] = mark.phase == .moved ? "moved" : .string(mark.phase.rawValue)
            if mark.phase == .moved { map["movedTo"] = .string(mark.peer) }
        }
        return .map(map)
    }

    private static func output(_ status: DataValue) -> CommandOutput {
        let schema = (status["schema"]?.arrayValue ?? []).map { room in
            let (applied, known) = (room["applied"]?.integerValue ?? 0, room["known"]?.integerValue ?? 0)
            let note = applied < known ? " of \(known): run kith database migrate" : applied > known ? " (newer)" : ""
            return ["  " + Administration.text(room, "room"), "\(applied)\(note)"]
        }
        let tables = (status["tables"]?.arrayValue ?? []).map {
            ["  " + Administration.text($0, "name"), "\($0["rows"]?.integerValue ?? 0)"]
        }
        var rows = [["engine", "\(Administration.text(status, "engine")) \(Administration.text(status, "version"))"]]
        if status["address"] != nil { rows.append(["address", Administration.text(status, "address")]) }
        rows.append(["size", "\(ByteCount(Int(status["sizeBytes"]?.integerValue ?? 0)))"])
        rows.append(["newest event", "\(status["eventHead"]?.integerValue ?? 0)"])
        if let copy = status["copy"]?.stringValue {
            let peer = status["movedTo"]?.stringValue.map { " to \($0)" } ?? ""
            rows.append(["copy", copy + peer])
        }
        let text = TextTable(nil, rows + [["schema steps", ""]] + schema + [["rows", ""]] + tables).text
        return CommandOutput(status, text: text)
    }

    // MARK: Migrate

    /// Brings the schema up to date.
    package static func migrate(_ configuration: Configuration, _ surroundings: Surroundings) async throws
        -> CommandOutput
    {
        var lock: InstanceLock?
        // One process has a file; a server's database is brought up to date before the next version is started on it.
        if case .sqlite = configuration.database { lock = try prepared(configuration) }
        defer { withExtendedLifetime(lock) {} }
        let database = try openSource(configuration)
        return try await closing(database) { database in
            do throws(MigrationError) {
                let steps = try await Migrator(InstanceRooms.migrations, clock: surroundings.clock).migrate(database)
                let names = steps.map { "\($0.room) \($0.number)" }
                return CommandOutput(
                    ["applied": .array(names.map { .string($0) })],
                    text: names.isEmpty
                        ? "the schema is up to date" : "applied:\n  " + names.joined(separator: "\n  "))
            } catch {
                throw InstanceError.schema(error)
            }
        }
    }

    // MARK: Copy

    /// Copies the database and has the copy count.
    package static func copy(
        _ configuration: Configuration, _ surroundings: Surroundings, to address: String,
        report: @escaping ProgressReport
    ) async throws -> CommandOutput {
        let location = try DatabaseLocation(parsing: address)
        guard location != configuration.database else { throw DatabaseCommandError.sameDatabase }
        try confirmThere(configuration)
        let outcome: DataValue
        if let lock = try lockUnlessServed(configuration) {
            defer { withExtendedLifetime(lock) {} }
            outcome = try await copyHere(configuration, surroundings, to: location, report: report)
        } else {
            outcome = try await copyThere(try client(configuration), address, report: report)
        }
        if let failure = outcome["failure"]?.stringValue { throw DatabaseCommandError.failed(failure) }
        let output = CommandOutput(outcome, text: text(outcome))
        let differing = (outcome["differing"]?.arrayValue ?? []).compactMap(\.stringValue)
        guard differing.isEmpty else { throw DatabaseCommandError.differs(differing, output) }
        return output
    }

    private static func copyThere(
        _ client: AdministrationClient, _ address: String, report: @escaping ProgressReport
    ) async throws -> DataValue {
        var last: DataValue = [:]
        try await client.follow("social.kith.admin.copyDatabase", ["to": .string(address)]) { line in
            if let progress = CopyProgress(json: line) { return report(progress.work) }
            if line["alive"] == nil { last = line }
        }
        guard last["movedTo"] != nil || last["failure"] != nil else {
            throw DatabaseCommandError.failed("the server ended before the copy did")
        }
        return last
    }

    private static func copyHere(
        _ configuration: Configuration, _ surroundings: Surroundings, to location: DatabaseLocation,
        report: @escaping ProgressReport
    ) async throws -> DataValue {
        let source = try openSource(configuration)
        return try await closing(source) { source in
            let target = try openTarget(location, configuration, surroundings.randomness)
            return try await closing(target) { target in
                let copier = DatabaseCopier(
                    .init(
                        source: source, target: target, targetName: location.publicName,
                        migrations: InstanceRooms.migrations),
                    clock: surroundings.clock, randomness: surroundings.randomness, switchOver: {},
                    report: { report($0.work) })
                do {
                    return try await copier.run().json(movedTo: location.publicName, isServed: false)
                } catch {
                    throw DatabaseCommandError.failed(DatabaseCommandError.sentence(error))
                }
            }
        }
    }

    private static func text(_ outcome: DataValue) -> String {
        let tables = (outcome["tables"]?.arrayValue ?? []).map { table in
            [
                Administration.text(table, "name"), "\(table["rows"]?.integerValue ?? 0)",
                Administration.text(table, "digest"), Administration.text(table, "targetDigest"),
            ]
        }
        let name = Administration.text(outcome, "movedTo")
        let held = outcome["heldMilliseconds"]?.integerValue ?? 0
        let isServed = outcome["served"]?.booleanValue == true
        var lines: [String] = []
        if tables.isEmpty {
            lines.append("The earlier copy had come to its last step, which is taken now.")
        } else {
            lines.append(TextTable(["TABLE", "ROWS", "SHA-256 HERE", "SHA-256 THERE"], tables).text)
            lines.append("")
            lines.append("Writes were held for \(held) ms.")
        }
        lines.append(
            isServed ? "The server uses \(name) from now on." : "Serve \(name) from now on; this database refuses.")
        lines.append("Name it as database.url (KITH_DATABASE_URL) before the next start.")
        return lines.joined(separator: "\n")
    }

    // MARK: Opening

    /// Opens the database that is to be filled.
    static func openTarget(
        _ location: DatabaseLocation, _ configuration: Configuration, _ randomness: any Randomness
    ) throws(DatabaseCommandError) -> any Database {
        do throws(StorageError) {
            return try location.open(configuration, randomness)
        } catch {
            throw .unavailable(location.publicName, error)
        }
    }

    /// Nothing is made where nothing is.
    private static func confirmThere(_ configuration: Configuration) throws(DatabaseCommandError) {
        guard configuration.database.isThere else { throw .absent(configuration.database.publicName) }
    }

    private static func openSource(
        _ configuration: Configuration
    ) throws(DatabaseCommandError) -> any Database {
        do throws(StorageError) {
            return try configuration.database.open(configuration, SystemRandomness())
        } catch {
            throw .unavailable(configuration.database.publicName, error)
        }
    }

    private static func closing<T>(
        _ database: any Database, _ body: (any Database) async throws -> T
    ) async throws -> T {
        do {
            let result = try await body(database)
            await database.close()
            return result
        } catch {
            await database.close()
            throw error
        }
    }

    /// Holds the data directory, or nil when a server does.
    private static func lockUnlessServed(_ configuration: Configuration) throws -> InstanceLock? {
        do {
            return try prepared(configuration)
        } catch InstanceError.dataDirectory(.inUse) {
            return nil
        }
    }

    private static func prepared(_ configuration: Configuration) throws -> InstanceLock {
        let directory = DataDirectory(configuration.data)
        do throws(DataDirectoryError) {
            try directory.prepare()
            return try InstanceLock(directory)
        } catch {
            throw InstanceError.dataDirectory(error)
        }
    }

    private static func client(_ configuration: Configuration) throws -> AdministrationClient {
        guard let ticket = OperatorTicket(of: DataDirectory(configuration.data)) else {
            throw InstanceError.dataDirectory(.inUse(path: configuration.data, processID: nil))
        }
        return AdministrationClient(ticket)
    }
}
