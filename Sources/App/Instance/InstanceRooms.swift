import ATProtocol
import Base
import Contracts
import ServiceLifecycle
import Storage
import Web

/// The rooms of an instance and their routes: the one place where they meet.
struct InstanceRooms: Sendable {
    let router: XRPCRouter<Caller, AccessRule>
    let catalog: LexiconCatalog
    /// Background work, in the order it is started.
    let services: [RunningService] = []

    /// The schema steps of every room, in the order they are applied.
    static let migrations: [Migration] = []

    init(
        _ configuration: Configuration, _ store: InstanceStore, _ metrics: MetricRegistry, _ local: LocalOperator,
        _ surroundings: Surroundings
    ) async throws {
        var router = XRPCRouter<Caller, AccessRule>(anonymous: [.anyone]) { _, _ in .anonymous }
        guard let did = configuration.name.did else { throw InstanceError.name(configuration.name) }
        ServerRoutes(configuration: configuration, did: did, database: store.database, metrics: metrics)
            .add(to: &router)
        self.router = router
        catalog = LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
    }
}

/// A loop of a room.
struct RunningService: Sendable {
    /// For logs.
    let name: String
    let service: any Service
}
