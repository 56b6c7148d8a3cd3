import Base
import Contracts
import Logging
import Storage

/// What an instance keeps: database, log of events, keys, blobs.
struct InstanceStore: Sendable {
    let database: SwitchingDatabase
    let log: EventLog
    let vault: KeyVault
    let blobs: any BlobStore

    static func open(
        _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings
    ) async throws -> InstanceStore {
        let database = SwitchingDatabase(surroundings.database(try database(configuration, surroundings)))
        do {
            try await confirmUse(configuration, database)
            try await migrate(database, surroundings)
            let vault = try await vault(configuration, directory, database, surroundings)
            return InstanceStore(
                database: database, log: try await EventLog.open(database, limits: logLimits(configuration)),
                vault: vault, blobs: try await blobs(configuration, directory, surroundings))
        } catch {
            await database.close()
            throw error
        }
    }

    func close() async {
        log.close()
        await blobs.close()
        await database.close()
    }

    static func database(
        _ configuration: Configuration, _ surroundings: Surroundings
    ) throws(InstanceError) -> any Database {
        do throws(StorageError) {
            return try configuration.database.open(configuration, surroundings.randomness, replica: true)
        } catch {
            throw .database(error)
        }
    }

    /// A database that was moved, or whose filling was broken off, is not served.
    private static func confirmUse(_ configuration: Configuration, _ database: any Database) async throws {
        var isAlone = false
        if case .sqlite = configuration.database { isAlone = true }
        do {
            try await CopyMark.confirmUse(of: database, isAlone: isAlone)
        } catch let error as CopyError {
            throw InstanceError.copy(error)
        } catch let error as StorageError {
            throw InstanceError.database(error)
        }
    }

    private static func migrate(_ database: any Database, _ surroundings: Surroundings) async throws {
        do throws(MigrationError) {
            let applied = try await Migrator(InstanceRooms.migrations, clock: surroundings.clock).migrate(database)
            guard !applied.isEmpty else { return }
            surroundings.logger.info("brought the schema up to date", metadata: ["steps": "\(applied.count)"])
        } catch {
            throw InstanceError.schema(error)
        }
    }

    private static func vault(
        _ configuration: Configuration, _ directory: DataDirectory, _ database: any Database,
        _ surroundings: Surroundings
    ) async throws -> KeyVault {
        do {
            let vault =
                if let secret = configuration.keyEncryptionSecret {
                    try KeyVault(secret: secret.value, randomness: surroundings.randomness)
                } else {
                    try KeyVault.opening(file: directory.keyFile, randomness: surroundings.randomness)
                }
            try await vault.confirm(in: database)
            return vault
        } catch let error as KeyVaultError {
            throw InstanceError.keys(error)
        }
    }

    static func blobs(
        _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings
    ) async throws(InstanceError) -> any BlobStore {
        do throws(BlobStoreError) {
            switch configuration.blobs {
            case .file(let path):
                return try DiskBlobStore(path: path, randomness: surroundings.randomness)
            case .s3(let location):
                return try await BucketTransport.openStore(location, configuration, directory, surroundings)
            }
        } catch {
            throw .blobs(error)
        }
    }

    private static func logLimits(_ configuration: Configuration) -> LogLimits {
        var limits = LogLimits()
        limits.ageMax = configuration.firehose.ageMax
        limits.sizeBytesMax = Int64(configuration.firehose.sizeBytesMax)
        limits.sizeBytesHardMax = max(limits.sizeBytesHardMax, 2 * limits.sizeBytesMax)
        limits.ringSizeBytesMax = min(configuration.firehose.memoryBytes, configuration.firehose.sizeBytesMax)
        return limits
    }
}
