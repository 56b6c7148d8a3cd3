import Base
package import Contracts
package import Storage
package import Web

/// Why an instance can't be opened.
package enum InstanceError: Error, Sendable, CustomStringConvertible {
    case dataDirectory(DataDirectoryError)
    case database(StorageError)
    case copy(CopyError)
    case unfit(UnfitDatabase)
    case replica(StorageError)
    /// The replica holds something else than the database: what, is the same as for a database.
    case otherReplica(UnfitDatabase)
    case schema(MigrationError)
    case keys(KeyVaultError)
    case blobs(BlobStoreError)
    case routes(RouterMistake)
    /// The host name can't be made an identity of.
    case name(PublicName)

    package var description: String {
        switch self {
        case .dataDirectory(let error): "\(error)"
        case .database(let error): "the database can't be opened: \(error.sentence)"
        case .unfit(let error): "\(error)"
        case .replica(let error): "the replica of the database can't be used: \(error.sentence)"
        case .otherReplica(let error): "the replica holds another database: \(error)"
        case .copy(let error): "\(error)"
        case .schema(let error): "\(error)"
        case .keys(let error): "the keys can't be opened: \(error)"
        case .blobs(let error): "the blobs can't be opened: \(error)"
        case .routes(let error): "\(error)"
        case .name(let name): "\(name.authority) can't be made a did:web of"
        }
    }
}

extension InstanceError {
    /// Whether it stays until an operator changes the configuration, the rights or the database: starting again doesn't
    /// help.
    var isLasting: Bool {
        switch self {
        case .copy, .unfit, .replica, .otherReplica, .name: true
        case .schema(.newer), .schema(.changed), .schema(.misnumbered): true
        case .schema(.failed(_, _, let error)), .schema(.unreadable(let error)), .database(let error): error.isLasting
        case .keys(.unavailable): false
        case .keys: true
        case .blobs(.refused): true
        case .dataDirectory, .blobs, .routes: false
        }
    }

    /// One word for programs, of one that lasts.
    var word: String {
        switch self {
        case .copy: "DatabaseNotServed"
        case .unfit, .otherReplica, .schema, .keys(.otherKey): "DatabaseUnfit"
        case .database, .replica: "DatabaseUnusable"
        case .keys: "KeysUnusable"
        case .blobs: "BlobsUnusable"
        case .name: "InvalidConfiguration"
        case .dataDirectory, .routes: "Failed"
        }
    }
}

/// One home for people and communities: its database, keys, rooms and background work.
///
/// A value like any other: a process may hold several, and none knows of another.
package final class Instance: Sendable {
    package let configuration: Configuration
    package let surroundings: Surroundings
    let directory: DataDirectory
    let store: InstanceStore
    let rooms: InstanceRooms
    let metrics: MetricRegistry
    let localPassword: Secret
    private let lock: InstanceLock

    /// Opens everything an instance keeps and builds its rooms; nothing runs yet and no port is open.
    ///
    /// - Parameter stage: whether a restore is still at work on it.
    /// - Throws: `InstanceError`, or `StartMistakes` with several of them, with everything closed again and nothing in
    ///   the database changed.
    package static func open(
        _ configuration: Configuration, _ surroundings: Surroundings, _ stage: Stage = .whole
    ) async throws -> Instance {
        let directory = DataDirectory(configuration.data)
        let lock: InstanceLock
        do throws(DataDirectoryError) {
            lock = try hold(directory, stage)
        } catch {
            var mistakes: [any Error] = [InstanceError.dataDirectory(error)]
            // Of one that is in use, the server that uses it has looked at everything else.
            if case .unavailable = error {
                mistakes += await StartInspection(configuration, surroundings, stage).lookAround(folderMistake: error)
            }
            throw StartMistakes.joined(mistakes)
        }
        directory.emptyTemporary()
        let store = try await InstanceStore.open(configuration, directory, surroundings, stage)
        do {
            let metrics = MetricRegistry()
            let password = Secret(Base64URL.encode(surroundings.randomness.bytes(24)))
            let rooms = try await InstanceRooms(
                configuration, store, metrics, LocalOperator(password: password), surroundings,
                spoolDirectory: directory.temporary)
            return Instance(configuration, surroundings, directory, store, rooms, metrics, password, lock)
        } catch {
            await store.close()
            throw error
        }
    }

    private static func hold(_ directory: DataDirectory, _ stage: Stage) throws(DataDirectoryError) -> InstanceLock {
        try directory.prepare()
        let lock = try InstanceLock(directory)
        if stage == .whole, directory.isBeingRestored { throw .unfinished(path: directory.path) }
        return lock
    }

    /// How far what an instance keeps is.
    package enum Stage: Sendable {
        case whole
        /// A backup was laid down, and others aren't told of it yet.
        case restored
    }

    private init(
        _ configuration: Configuration, _ surroundings: Surroundings, _ directory: DataDirectory,
        _ store: InstanceStore, _ rooms: InstanceRooms, _ metrics: MetricRegistry,
        _ localPassword: Secret, _ lock: InstanceLock
    ) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.directory = directory
        self.store = store
        self.rooms = rooms
        self.metrics = metrics
        self.lock = lock
        self.localPassword = localPassword
    }

    /// Closes what `open` opened. The instance is of no more use.
    package func close() async {
        await rooms.outside.close()
        await store.close()
    }

    /// Every route with who may call it.
    package var routes: [RouteDescription<AccessRule>] { rooms.router.routes }
}
