import Base
import Logging
import Storage

/// All that keeps a server from starting, told in one report.
package struct StartMistakes: Error, Sendable, CustomStringConvertible {
    /// Two or more, each with a sentence for the operator.
    package let mistakes: [any Error]

    package var description: String {
        let sentences = mistakes.flatMap { mistake in
            (mistake as? ConfigurationMistakes)?.mistakes.map { "\($0)" } ?? ["\(mistake)"]
        }
        return "the server can't start, for \(sentences.count) reasons:" + sentences.map { "\n  - \($0)" }.joined()
    }

    /// The one mistake, or all of them.
    static func joined(_ mistakes: [any Error]) -> any Error {
        mistakes.count == 1 ? mistakes[0] : StartMistakes(mistakes: mistakes)
    }
}

/// Looks at everything that an instance is to be served from, without changing any of it.
struct StartInspection: Sendable {
    private let configuration: Configuration
    private let surroundings: Surroundings
    private let stage: Instance.Stage

    init(_ configuration: Configuration, _ surroundings: Surroundings, _ stage: Instance.Stage) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.stage = stage
    }

    /// Opens the database and its replica and looks whether they are fit to be served by the holder of the vault's key.
    ///
    /// - Parameter vault: nil where the key isn't known.
    /// - Returns: the database, closed and nil when there are mistakes.
    func database(_ vault: KeyVault?) async -> (database: (any Database)?, mistakes: [any Error]) {
        let fitness = DatabaseFitness(
            InstanceRooms.migrations, keyFingerprint: vault?.fingerprint, names: stage == .whole ? names : [])
        var mistakes = replica(fitness)
        do throws(InstanceError) {
            let database = try InstanceStore.database(configuration, surroundings)
            mistakes = await fitness.mistakes(of: database).map { Self.told($0) } + mistakes
            guard mistakes.isEmpty else {
                await database.close()
                return (nil, mistakes)
            }
            return (database, [])
        } catch {
            return (nil, [error] + mistakes)
        }
    }

    /// The public name, and the one under which the data folder was served before: whoever has that may rename.
    private var names: Set<String> {
        Set([configuration.name.authority, DataDirectory(configuration.data).servedName].compactMap(\.self))
    }

    private func replica(_ fitness: DatabaseFitness) -> [any Error] {
        guard case .postgreSQL(let address) = configuration.databaseReplica else { return [] }
        switch PostgreSQLDatabase.replica(at: address.value, randomness: surroundings.randomness) {
        case .database(let mark):
            return fitness.mistakes(of: mark).compactMap { $0 as? UnfitDatabase }.map { InstanceError.otherReplica($0) }
        case .refused(let error): return [InstanceError.replica(error)]
        case .absent(let error):
            surroundings.logger.warning(
                "the replica of the database can't be reached; all is read from the database itself until it can",
                metadata: ["error": "\(error.sentence)"])
            return []
        }
    }

    private static func told(_ error: any Error) -> any Error {
        switch error {
        case let error as CopyError: InstanceError.copy(error)
        case let error as MigrationError: InstanceError.schema(error)
        case let error as UnfitDatabase: InstanceError.unfit(error)
        default: InstanceError.database(error as? StorageError ?? .unavailable(detail: "\(error)"))
        }
    }

    /// Looks at what is elsewhere, for one who may not touch the data folder or whose configuration has mistakes.
    ///
    /// - Parameter faulty: paths of the keys whose values can't be used: what depends on them isn't looked at.
    func lookAround(faulty: Set<String> = []) async -> [any Error] {
        async let bucket = faulty.contains { $0.hasPrefix("blobs.") } ? [] : lookAtBucket()
        var mistakes: [any Error] = []
        if case .postgreSQL = configuration.database, !faulty.contains(where: { $0.hasPrefix("database.") }) {
            // Without a name of ours the one in the database proves nothing.
            let isNamed = faulty.isDisjoint(with: ["hostname", "port"])
            let inspection = StartInspection(configuration, surroundings, isNamed ? stage : .restored)
            let (database, found) = await inspection.database(knownVault)
            await database?.close()
            mistakes = found
        }
        return mistakes + (await bucket)
    }

    /// The vault of the operator's secret; a file of the data folder isn't looked for.
    private var knownVault: KeyVault? {
        configuration.keyEncryptionSecret.flatMap {
            try? KeyVault(secret: $0.value, randomness: surroundings.randomness)
        }
    }

    private func lookAtBucket() async -> [any Error] {
        guard case .s3 = configuration.blobs else { return [] }
        do throws(InstanceError) {
            let blobs = try await InstanceStore.blobs(
                configuration, DataDirectory(configuration.data), surroundings)
            await blobs.close()
            return []
        } catch {
            return [error]
        }
    }
}

extension StorageError {
    /// For the operator, in one sentence.
    var sentence: String {
        switch self {
        case .unavailable(let detail): detail
        case .corrupt(let detail): "it is damaged, or no database: \(detail)"
        case .statement(let detail): detail
        case .full: "no room is left"
        case .busy: "another process holds it"
        case .timedOut: "it took too long to answer"
        default: "\(self)"
        }
    }
}
