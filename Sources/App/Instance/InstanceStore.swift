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

    /// Opens all of it, once nothing speaks against any of it.
    ///
    /// - Throws: `InstanceError` or, of several, `StartMistakes`.
    static func open(
        _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings,
        _ stage: Instance.Stage
    ) async throws -> InstanceStore {
        async let opening = openBlobs(configuration, directory, surroundings)
        let vault = Result { () throws(InstanceError) in
            try Self.vault(configuration, directory, surroundings)
        }
        let (found, mistakes) = await StartInspection(configuration, surroundings, stage).database(try? vault.get())
        let blobs = await opening
        let all = mistakes + [vault.failure, blobs.failure].compactMap(\.self)
        guard all.isEmpty, let found, let vault = try? vault.get(), let blobs = try? blobs.get() else {
            await found?.close()
            await (try? blobs.get())?.close()
            throw StartMistakes.joined(all)
        }
        let database = SwitchingDatabase(surroundings.database(found))
        do {
            try await confirmUse(configuration, database)
            try await migrate(database, surroundings)
            try await confirm(vault, in: database)
            try await InstanceMark.remember(name: configuration.name.authority, in: database)
            return InstanceStore(
                database: database, log: try await EventLog.open(database, limits: logLimits(configuration)),
                vault: vault, blobs: blobs)
        } catch {
            await database.close()
            await blobs.close()
            throw error
        }
    }

    private static func openBlobs(
        _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings
    ) async -> Result<any BlobStore, InstanceError> {
        do throws(InstanceError) {
            return .success(try await blobs(configuration, directory, surroundings))
        } catch {
            return .failure(error)
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

    static func vault(
        _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings
    ) throws(InstanceError) -> KeyVault {
        do throws(KeyVaultError) {
            guard let secret = configuration.keyEncryptionSecret else {
                return try KeyVault.opening(file: directory.keyFile, randomness: surroundings.randomness)
            }
            return try KeyVault(secret: secret.value, randomness: surroundings.randomness)
        } catch {
            throw .keys(error)
        }
    }

    /// Again, for another instance may have been first at an empty database.
    private static func confirm(_ vault: KeyVault, in database: any Database) async throws {
        do {
            try await vault.confirm(in: database)
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

extension Result {
    fileprivate var failure: (any Error)? {
        if case .failure(let error) = self { error } else { nil }
    }
}
