package import ATProtocol
package import Base
import Contracts
package import Storage

/// Identities: documents and handles of everybody, and the did:plc identities of the accounts that live here.
///
/// - Spec: https://atproto.com/specs/did, https://atproto.com/specs/handle
package final class DirectoryService: IdentityEvidence {
    /// What is known of an identity changed: its DID.
    private static let changed = AnnouncementTopic("identities", payloads: .all)

    /// Where operations of a did:plc identity are registered.
    enum Home: Sendable {
        case embedded
        case external(ExternalDirectory)
        /// The method is did:web: its owner edits the document.
        case owner
    }

    let configuration: IdentityConfiguration
    let database: any Database
    let standings: AccountStandings
    let custody: KeyCustody
    let clock: any WallClock
    /// The directory in this database; used for what is registered here also when new identities go elsewhere.
    package let embedded: EmbeddedDirectory
    /// Where new identities are registered; nil for the embedded one.
    let external: ExternalDirectory?
    /// Where identities are looked up that neither knows: those of people who moved in, or only visit.
    let publicDirectory: ExternalDirectory?
    private let lookup: any RemoteLookup
    private let handles: HandleResolution
    private let documents: DocumentCache
    private let localDocuments: BoundedCache<DID, DIDDocument>

    package init(
        configuration: IdentityConfiguration, database: any Database, standings: AccountStandings,
        custody: KeyCustody, lookup: any RemoteLookup, clock: any WallClock
    ) {
        self.configuration = configuration
        self.database = database
        self.standings = standings
        self.custody = custody
        self.lookup = lookup
        self.clock = clock
        embedded = EmbeddedDirectory(database: database, clock: clock)
        external = configuration.plcDirectory.map { ExternalDirectory(origin: $0, lookup: lookup) }
        publicDirectory = configuration.publicPLCDirectory.map { ExternalDirectory(origin: $0, lookup: lookup) }
        handles = HandleResolution(lookup: lookup, clock: clock, limits: configuration.limits)
        documents = DocumentCache(clock: clock, limits: configuration.limits)
        localDocuments = BoundedCache(countMax: configuration.limits.documentsCachedMax)
        database.listen(to: Self.changed) { [localDocuments, documents] payload, _ in
            guard let did = payload.flatMap({ try? DID(parsing: $0) }) else {
                localDocuments.forgetAll()
                return documents.forgetAll()
            }
            localDocuments.forget(did)
            documents.forget(did)
        }
    }

    // MARK: Documents

    package func document(of did: DID) async throws -> DIDDocument {
        try await document(of: did, freshness: .cached)
    }

    package func currentDocument(of did: DID) async throws -> DIDDocument {
        try await document(of: did, freshness: .fresh)
    }

    package func operations(of did: DID) async throws -> DataValue? {
        guard did.isPLC else { return nil }
        let log = try await embedded.log(of: did)
        if log.head != nil { return log.logValue }
        // Of what only some may know of nobody outside is asked.
        if let standing = try await standings.standing(of: did), !standing.isKnownOutside { return nil }
        return try await (external ?? publicDirectory)?.log(of: did).logValue
    }

    /// The document of `did`.
    ///
    /// - Throws: `DirectoryError` `.didNotFound`, `.didDeactivated`, `.unreachable`; storage errors.
    package func document(of did: DID, freshness: Freshness) async throws -> DIDDocument {
        if did == configuration.serviceDID { return try serviceDocument() }
        if did.isPLC {
            if let local = try await registeredDocument(of: did, freshness: freshness) { return local }
            guard let directory = external ?? publicDirectory else { throw DirectoryError.didNotFound }
            return try await documents.document(of: did, freshness: freshness) { [standings] in
                if let standing = try await standings.standing(of: did), !standing.isKnownOutside {
                    throw DirectoryError.didNotFound
                }
                return try await directory.document(of: did)
            }
        }
        guard let web = DIDWeb(did) else { throw DirectoryError.didNotFound }
        return try await documents.document(of: did, freshness: freshness) { try await self.fetch(web) }
    }

    /// The document of an identity in the embedded directory; nil when it isn't registered there.
    private func registeredDocument(of did: DID, freshness: Freshness) async throws -> DIDDocument? {
        if freshness == .cached, let document = localDocuments.value(for: did) { return document }
        let ticket = localDocuments.ticket()
        let log = try await embedded.log(of: did)
        guard log.head != nil else { return nil }
        guard let document = log.document else { throw DirectoryError.didDeactivated }
        localDocuments.keep(document, for: did, ticket: ticket)
        return document
    }

    private func fetch(_ web: DIDWeb) async throws(DirectoryError) -> DIDDocument {
        let reply: RemoteReply
        do {
            reply = try await lookup.get(web.documentURL, sizeBytesMax: DIDDocument.limits.sizeBytesMax)
        } catch {
            throw .unreachable
        }
        switch reply.status {
        case 200: break
        case 404: throw .didNotFound
        case 410: throw .didDeactivated
        default: throw .unreachable
        }
        guard let document = try? DIDDocument(json: reply.body, of: web.did) else { throw .didNotFound }
        return document
    }

    /// The server's own did:web document.
    package func serviceDocument() throws -> DIDDocument {
        let did = configuration.serviceDID.string
        return try DIDDocument([
            "@context": [
                "https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1",
                "https://w3id.org/security/suites/secp256k1-2019/v1",
            ],
            "id": .string(did),
            "verificationMethod": [
                [
                    "id": .string(did + "#atproto"), "type": "Multikey", "controller": .string(did),
                    "publicKeyMultibase": .string(custody.serviceKey.publicKey.multikey),
                ]
            ],
            "service": [
                [
                    "id": "#atproto_pds", "type": .string(PLCService.pdsType),
                    "serviceEndpoint": .string(configuration.origin.string),
                ]
            ],
        ])
    }

    /// Forgets what is remembered of `did` once the transaction of `scope` is on disk, here and in other processes.
    func forget(_ did: DID, after scope: any WriteScope) {
        scope.announce(Self.changed, did.string)
        scope.afterCommit { [localDocuments, documents] in
            localDocuments.forget(did)
            documents.forget(did)
        }
    }

    /// Forgets what is remembered of `did`, here alone.
    func forget(_ did: DID) {
        localDocuments.forget(did)
        documents.forget(did)
    }

    // MARK: Handles

    package func resolve(_ handle: Handle) async throws -> DID? {
        try await resolve(handle, freshness: .cached)
    }

    /// The DID that `handle` points to: an active account here, else by DNS and https unless the server itself gives
    /// the names of that domain. Nil when it points nowhere.
    package func resolve(_ handle: Handle, freshness: Freshness) async throws -> DID? {
        if let standing = try await standings.standing(of: .handle(handle)) {
            return standing.status.hosting.isActive ? standing.did : nil
        }
        if configuration.handleDomains.serves(handle) { return nil }
        return await handles.resolve(handle, freshness: freshness)
    }

    /// Whether a certificate is needed for `name`: the server's own, and the handles of accounts that live here and that
    /// the world knows of.
    func servesName(_ name: String) async throws -> Bool {
        let name = name.lowercased()
        if name == configuration.origin.host { return true }
        guard let handle = try? Handle(parsing: name),
            let standing = try await standings.standing(of: .handle(handle))
        else { return false }
        return standing.isKnownOutside
    }

    /// Where `handle` points as the world outside sees it, whatever accounts say here; past every cache.
    func resolveOutside(_ handle: Handle) async -> DID? {
        await handles.resolve(handle, freshness: .fresh)
    }

    /// An identity checked both ways.
    package struct Resolved: Sendable, Hashable {
        package var did: DID
        /// `handle.invalid` when the document claims none, or one that points elsewhere.
        package var handle: Handle
        package var document: DIDDocument
    }

    /// The identity that `identifier` names.
    ///
    /// - Throws: `DirectoryError`; storage errors.
    package func resolveIdentity(_ identifier: ATIdentifier, freshness: Freshness) async throws -> Resolved {
        let did: DID
        switch identifier {
        case .did(let given): did = given
        case .handle(let handle):
            guard let found = try await resolve(handle, freshness: freshness) else {
                throw DirectoryError.handleNotFound
            }
            did = found
        }
        if freshness == .fresh { forget(did) }
        let document = try await document(of: did, freshness: freshness)
        guard let claimed = document.handle else {
            return Resolved(did: did, handle: .invalid, document: document)
        }
        let pointsBack = try await resolve(claimed, freshness: freshness) == did
        return Resolved(did: did, handle: pointsBack ? claimed : .invalid, document: document)
    }
}
