import Base
import Foundation
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

    /// Looks at all of it and makes nothing, for one whose data folder can't be used or whose configuration has mistakes.
    ///
    /// - Parameters:
    ///   - faulty: paths of the keys whose values can't be used: what depends on them isn't looked at.
    ///   - folderMistake: what is known of the data folder already; it isn't looked at then.
    /// - Returns: what else speaks against a start. Of a folder in use, its user has looked at everything in it.
    func lookAround(faulty: Set<String> = [], folderMistake: DataDirectoryError? = nil) async -> [any Error] {
        async let blobs = faulty.contains { $0.hasPrefix("blobs.") } ? [] : lookAtBlobs(faulty)
        var mistakes: [any Error] = []
        var lock: InstanceLock?
        if folderMistake == nil, !faulty.contains("data") {
            do throws(DataDirectoryError) {
                lock = try DataDirectory(configuration.data).look()
            } catch {
                mistakes.append(InstanceError.dataDirectory(error))
                if case .inUse = error { return mistakes + (await blobs) }
                if case .unfinished = error { return mistakes + (await blobs) }
            }
        }
        if isThere(faulty) {
            // Without a name of ours the one in the database proves nothing.
            let isNamed = faulty.isDisjoint(with: ["hostname", "port"])
            let inspection = StartInspection(configuration, surroundings, isNamed ? stage : .restored)
            let (vault, mistake): (KeyVault?, InstanceError?) =
                faulty.contains("key-encryption-secret") ? (nil, nil) : knownVault
            if let mistake { mistakes.append(mistake) }
            let (database, found) = await inspection.database(vault)
            await database?.close()
            mistakes += found
        }
        withExtendedLifetime(lock) {}
        return mistakes + (await blobs)
    }

    /// Whether there is a database to look at: one on a server, or a file.
    private func isThere(_ faulty: Set<String>) -> Bool {
        guard !faulty.contains(where: { $0.hasPrefix("database.") }) else { return false }
        if case .sqlite = configuration.database, faulty.contains("data") { return false }
        return configuration.database.isLookedAtUnmade(beside: configuration.data)
    }

    /// The vault of the operator's secret, or of the file in the data folder if there is one; and what is wrong with it.
    private var knownVault: (KeyVault?, InstanceError?) {
        let directory = DataDirectory(configuration.data)
        guard configuration.keyEncryptionSecret != nil || FileManager.default.fileExists(atPath: directory.keyFile)
        else { return (nil, nil) }
        do throws(InstanceError) {
            return (try InstanceStore.vault(configuration, directory, surroundings), nil)
        } catch {
            return (nil, error)
        }
    }

    private func lookAtBlobs(_ faulty: Set<String>) async -> [any Error] {
        switch configuration.blobs {
        case .s3: return await lookAtBucket()
        case .file(let path):
            // Of those in the data folder nothing is there where it isn't.
            if faulty.contains("data") || path.hasPrefix(configuration.data + "/"), !DataDirectory.isThere(path) {
                return []
            }
            guard let reason = DataDirectory.obstacle(path) else { return [] }
            return [InstanceError.blobs(.unavailable(reason: "\(path): \(reason)"))]
        }
    }

    private func lookAtBucket() async -> [any Error] {
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
