package import ATProtocol
package import Base
import Contracts
package import Storage

/// The private keys in this server's custody: its own, and the signing keys of the accounts that live here.
///
/// At rest every key is sealed by the vault for its purpose and owner. Opened keys of accounts are kept in memory, a
/// bounded number of them.
package final class KeyCustody: SigningKeys {
    /// Changes the did:plc identities made here.
    let rotationKey: PrivateKey
    /// Signs what the server says in its own name; in its did:web document as `#atproto`.
    let serviceKey: PrivateKey

    private let database: any Database
    private let vault: KeyVault
    private let clock: any WallClock
    private let randomness: any Randomness
    private let signers: BoundedCache<DID, PrivateKey>
    private let reservedKeysMax: Int

    static let signing = KeyPurpose("identity.signing")
    static let rotation = KeyPurpose("identity.rotation")
    static let service = KeyPurpose("identity.service")
    static let reservation = KeyPurpose("identity.reserved")
    /// The owner of the server's own keys: no DID, since the host name may change.
    private static let server = "server"
    /// The keys of an account were destroyed: its DID.
    private static let removed = AnnouncementTopic("keys", payloads: .all)
    /// How long a reserved key waits for its account.
    static let reservationAgeMax = Duration.seconds(24 * 3600)

    /// Opens the custody, making the server's own keys at the first start.
    package static func open(
        database: any Database, vault: KeyVault, clock: any WallClock, randomness: any Randomness,
        limits: IdentityLimits
    ) async throws -> KeyCustody {
        let (rotation, service) = try await database.write { scope in
            try (
                ownKey(Self.rotation, vault, clock.now(), randomness, scope),
                ownKey(Self.service, vault, clock.now(), randomness, scope)
            )
        }
        return KeyCustody(
            rotationKey: rotation, serviceKey: service, database: database, vault: vault, clock: clock,
            randomness: randomness, limits: limits)
    }

    private init(
        rotationKey: PrivateKey, serviceKey: PrivateKey, database: any Database, vault: KeyVault,
        clock: any WallClock, randomness: any Randomness, limits: IdentityLimits
    ) {
        self.rotationKey = rotationKey
        self.serviceKey = serviceKey
        self.database = database
        self.vault = vault
        self.clock = clock
        self.randomness = randomness
        signers = BoundedCache(countMax: limits.signersCachedMax)
        reservedKeysMax = limits.reservedKeysMax
        database.listen(to: Self.removed) { [signers] payload, _ in
            guard let did = payload.flatMap({ try? DID(parsing: $0) }) else { return signers.forgetAll() }
            signers.forget(did)
        }
    }

    package func signer(for did: DID) async throws -> any RepositorySigner {
        try await signingKey(of: did)
    }

    /// As `signer(for:)`.
    func signingKey(of did: DID) async throws -> PrivateKey {
        if let key = signers.value(for: did) { return key }
        let ticket = signers.ticket()
        guard
            let sealed = try await database.read({ try KeyStore.key(owner: did.string, purpose: Self.signing, in: $0) })
        else { throw SigningKeyError.notInCustody }
        let key = try Self.opened(sealed, owner: did.string, purpose: Self.signing, vault)
        signers.keep(key, for: did, ticket: ticket)
        return key
    }

    /// A new signing key for an account that is about to be made.
    func makeSigningKey() -> PrivateKey {
        PrivateKey.generate(.k256, using: randomness)
    }

    /// Seals a signing key, to be kept by `keep`.
    func sealed(_ key: PrivateKey, of did: DID) throws -> KeyStore.SealedKey {
        try Self.sealed(key, owner: did.string, purpose: Self.signing, vault)
    }

    /// Opens a signing key that was sealed and not kept yet.
    func opened(_ key: KeyStore.SealedKey, of did: DID) throws -> PrivateKey {
        try Self.opened(key, owner: did.string, purpose: Self.signing, vault)
    }

    /// Keeps an account's sealed signing key in the caller's transaction.
    func keep(_ key: KeyStore.SealedKey, of did: DID, now: Timestamp, in scope: any WriteScope) throws(StorageError) {
        try KeyStore.insert(key, owner: did.string, purpose: Self.signing, now: now, in: scope)
    }

    /// Destroys the keys of an account in the caller's transaction.
    func remove(_ did: DID, in scope: any WriteScope) throws(StorageError) {
        try KeyStore.remove(owner: did.string, in: scope)
        scope.announce(Self.removed, did.string)
        scope.afterCommit { [signers] in signers.forget(did) }
    }

    // MARK: Reserved keys

    /// Makes a signing key ahead of an account; for a DID always the same until it is claimed or expires.
    /// - Throws: `DirectoryError.tooManyReservations`.
    package func reserve(for did: DID?) async throws -> PublicKey {
        let (now, reservedKeysMax) = (clock.now(), reservedKeysMax)
        let key = makeSigningKey()
        let owner = key.publicKey.didKey
        let sealed = try Self.sealed(key, owner: owner, purpose: Self.reservation, vault)
        return try await database.write { scope in
            if let did, let known = try KeyStore.reserved(for: did, now: now, in: scope) { return known.publicKey }
            try KeyStore.removeExpired(now: now, in: scope)
            guard try KeyStore.reservedCount(in: scope) < reservedKeysMax else {
                throw DirectoryError.tooManyReservations
            }
            try KeyStore.reserve(
                sealed, did: did, expiresAt: now.advanced(by: Self.reservationAgeMax), in: scope)
            return key.publicKey
        }
    }

    /// The key that was reserved for `did`, or as the key its document names; nil when none was.
    func reservedKey(for did: DID, named publicKey: PublicKey?) async throws -> PrivateKey? {
        let now = clock.now()
        let found: KeyStore.SealedKey? = try await database.read { scope in
            if let key = try KeyStore.reserved(for: did, now: now, in: scope) { return key }
            return try publicKey.flatMap { try KeyStore.reserved($0, now: now, in: scope) }
        }
        return try found.map {
            try Self.opened($0, owner: $0.publicKey.didKey, purpose: Self.reservation, vault)
        }
    }

    // MARK: Sealing

    private static func ownKey(
        _ purpose: KeyPurpose, _ vault: KeyVault, _ now: Timestamp, _ randomness: any Randomness,
        _ scope: any WriteScope
    ) throws -> PrivateKey {
        if let known = try KeyStore.key(owner: server, purpose: purpose, in: scope) {
            return try opened(known, owner: server, purpose: purpose, vault)
        }
        let key = PrivateKey.generate(.k256, using: randomness)
        try KeyStore.insert(
            sealed(key, owner: server, purpose: purpose, vault), owner: server, purpose: purpose, now: now, in: scope)
        return key
    }

    private static func sealed(
        _ key: PrivateKey, owner: String, purpose: KeyPurpose, _ vault: KeyVault
    ) throws -> KeyStore.SealedKey {
        KeyStore.SealedKey(
            publicKey: key.publicKey, sealed: try vault.seal(key.rawBytes, purpose: purpose, owner: owner))
    }

    private static func opened(
        _ key: KeyStore.SealedKey, owner: String, purpose: KeyPurpose, _ vault: KeyVault
    ) throws -> PrivateKey {
        let bytes = try vault.open(key.sealed, purpose: purpose, owner: owner)
        return try PrivateKey(algorithm: key.publicKey.algorithm, rawBytes: bytes)
    }
}
