import ATProtocol
import Base
import Logging
import Storage
import Synchronization
import Web

/// Moves the instance's database to another place while it is served; from then on the server uses that one.
final class DatabaseMove: Sendable {
    /// Between two lines that say nothing: whoever listens knows that the server is at it.
    private static let heartbeat = Duration.seconds(10)
    private static let linesMax = 256

    private let database: SwitchingDatabase
    private let configuration: Configuration
    private let surroundings: Surroundings
    private let isRunning = Mutex(false)

    init(_ database: SwitchingDatabase, _ configuration: Configuration, _ surroundings: Surroundings) {
        self.database = database
        self.configuration = configuration
        self.surroundings = surroundings
    }

    /// Copies to `address`; tells how far it is, and at last how it went, in lines of JSON. Breaks off when nobody takes
    /// them any more.
    ///
    /// - Throws: `DatabaseCommandError` when it can't begin.
    func copy(to address: String) throws(DatabaseCommandError) -> Web.ByteStream {
        let location = try DatabaseLocation(parsing: address)
        let isFirst = isRunning.withLock { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard isFirst else { throw DatabaseCommandError.busy }
        return Web.ByteStream { [self] take in
            defer { isRunning.withLock { $0 = false } }
            let (lines, line) = AsyncStream<DataValue>.makeStream(bufferingPolicy: .bufferingNewest(Self.linesMax))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        line.yield(["alive": true])
                        try await Task.sleep(for: Self.heartbeat)
                    }
                }
                group.addTask { [self] in
                    line.yield(await run(location) { line.yield($0.json) })
                    line.finish()
                }
                for await value in lines { try await take(value.json() + [0x0a]) }
                group.cancelAll()
            }
        }
    }

    private func run(
        _ location: DatabaseLocation, report: @escaping @Sendable (CopyProgress) -> Void
    ) async -> DataValue {
        let logger = surroundings.logger
        let name = location.publicName
        logger.notice("copying the database", metadata: ["to": "\(name)"])
        do {
            let target = try DatabaseCopy.openTarget(location, configuration, surroundings.randomness)
            let hasMoved = Mutex(false)
            let copier = DatabaseCopier(
                .init(
                    source: database.current, target: target, targetName: name,
                    migrations: InstanceRooms.migrations),
                clock: surroundings.clock, randomness: surroundings.randomness
            ) { [database] in
                database.switchOver(to: target)
                hasMoved.withLock { $0 = true }
            } report: {
                report($0)
            }
            let result: CopyReport
            do {
                result = try await copier.run()
            } catch {
                if !hasMoved.withLock({ $0 }) { await target.close() }
                throw error
            }
            logger.notice(
                "the database was moved: name the new one before the next start (KITH_DATABASE_URL)",
                metadata: ["to": "\(name)", "held-ms": "\(result.held.wholeMilliseconds)"])
            return result.json(movedTo: name, isServed: true)
        } catch {
            logger.error("the database was not copied", metadata: ["to": "\(name)", "error": "\(error)"])
            return ["failure": .string(DatabaseCommandError.sentence(error))]
        }
    }
}

extension CopyProgress {
    var json: DataValue {
        var map: DataMap = [
            "phase": .string(phase.rawValue), "done": .integer(done), "total": .integer(total),
        ]
        map["table"] = table.map { .string($0) }
        return .map(map)
    }

    /// For people.
    init?(json: DataValue) {
        guard let phase = json["phase"]?.stringValue.flatMap({ Phase(rawValue: $0) }) else { return nil }
        self.init(
            phase: phase, table: json["table"]?.stringValue, done: json["done"]?.integerValue ?? 0,
            total: json["total"]?.integerValue ?? 0)
    }

    /// What a progress bar shows.
    var work: WorkProgress {
        let (done, total) = (Int(done), Int(total))
        switch phase {
        case .preparing: return .waiting("preparing")
        case .copying: return WorkProgress("copying", done: min(done, total), total: total, unit: .items("rows"))
        case .following: return WorkProgress("following", done: done, unit: .items("changes"))
        case .comparing: return WorkProgress("comparing", done: done, total: total, unit: .items("tables"))
        case .holding: return .waiting("holding writes for a moment")
        case .confirming: return WorkProgress("confirming", done: done, total: total, unit: .items("tables"))
        }
    }
}

extension CopyReport {
    func json(movedTo name: String, isServed: Bool) -> DataValue {
        [
            "movedTo": .string(name), "served": .boolean(isServed),
            "heldMilliseconds": .integer(held.wholeMilliseconds),
            "tookMilliseconds": .integer(took.wholeMilliseconds), "changes": .integer(Int64(changeCount)),
            "rounds": .integer(Int64(roundCount)),
            "tables": .array(
                tables.map { table in
                    [
                        "name": .string(table.source.table), "rows": .integer(table.source.rowCount),
                        "digest": .string(Hex.encode(table.source.digest)),
                        "targetRows": .integer(table.target.rowCount),
                        "targetDigest": .string(Hex.encode(table.target.digest)),
                    ]
                }),
            "differing": .array(differing.map { .string($0) }),
        ]
    }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
