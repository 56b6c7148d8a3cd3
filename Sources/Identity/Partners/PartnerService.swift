import ATProtocol
import Base
package import Contracts
import Crypto
import Storage
package import Web

/// Partners of the operator's, who register people by a key: no invite, no approval, but bound to origins and to a number
/// of registrations an hour, which is counted in the transaction that makes the account.
package struct PartnerService: Sendable {
    private let accounts: AccountService
    private let outbound: any OutboundHTTP

    private var database: any Database { accounts.database }

    /// - Parameter outbound: the guarded client, for proofs.
    package init(accounts: AccountService, outbound: any OutboundHTTP) {
        self.accounts = accounts
        self.outbound = outbound
    }

    // MARK: Keys

    /// What a key is to be.
    package struct KeyRequest: Sendable, Hashable {
        package var name: String
        package var partnerName: String
        package var origins: [String]
        package var hourlyMax: Int
        package var permissions: [String]

        package init(
            name: String, partnerName: String, origins: [String], hourlyMax: Int = 100,
            permissions: [String] = PartnerKey.permissions
        ) {
            self.name = name
            self.partnerName = partnerName
            self.origins = origins
            self.hourlyMax = hourlyMax
            self.permissions = permissions
        }
    }

    /// A new key with its secret, and the text that proves its origins: both are shown once.
    package struct NewKey: Sendable {
        package var key: PartnerKey
        package var secret: String
        package var proof: String
    }

    /// Makes a key; it works at once.
    ///
    /// - Throws: `PartnerError.invalidInput`; storage errors.
    package func createKey(_ request: KeyRequest, by caller: Caller) async throws -> NewKey {
        let origins = try Self.origins(request)
        let (randomness, now) = (accounts.randomness, accounts.clock.now())
        let secret = PartnerKeyText.make(randomness)
        guard let prefix = PartnerKeyText.prefix(of: secret) else { throw PartnerError.invalidInput("key") }
        let proof = Base64URL.encode(randomness.bytes(32))
        let key = PartnerKey(
            id: Base64URL.encode(randomness.bytes(12)), name: request.name, partnerName: request.partnerName,
            prefix: prefix, origins: origins, hourlyMax: request.hourlyMax, createdAt: now,
            createdBy: caller.account?.did, registrationCount: 0)
        try await database.write { write in
            try PartnerStore.insert(
                key, digest: PartnerKeyText.digest(secret), proofDigest: PartnerKeyText.proofDigest(proof), in: write)
            try Self.audit(.partnerKeyCreate, key, by: .init(caller), now: now, in: write)
        }
        return NewKey(key: key, secret: secret, proof: proof)
    }

    private static func origins(_ request: KeyRequest) throws(PartnerError) -> [String] {
        for name in [request.name, request.partnerName] {
            guard (1...PartnerKey.nameLengthMax).contains(name.utf8.count), !name.contains("\0") else {
                throw .invalidInput("name and partnerName must have 1 to \(PartnerKey.nameLengthMax) bytes")
            }
        }
        guard PartnerKey.hourlyLimits.contains(request.hourlyMax) else {
            throw .invalidInput("rateLimitPerHour must be 1 to \(PartnerKey.hourlyLimits.upperBound)")
        }
        guard request.permissions == PartnerKey.permissions else {
            throw .invalidInput("permissions: register is the only one there is")
        }
        var origins: [String] = []
        for text in request.origins {
            guard let origin = WebOrigin.normalized(text) else {
                throw .invalidInput("allowedOrigins: \(text) is no origin such as https://app.example")
            }
            if !origins.contains(origin) { origins.append(origin) }
        }
        guard (1...PartnerKey.originsMax).contains(origins.count) else {
            throw .invalidInput("allowedOrigins must name 1 to \(PartnerKey.originsMax) origins")
        }
        return origins
    }

    /// A page of all keys, the newest first.
    ///
    /// - Parameter id: goes on behind the key of this id.
    package func keys(after id: String? = nil, limit: Int) async throws -> [PartnerKey] {
        try await database.read { try PartnerStore.list(after: id, limit: limit, in: $0) }
    }

    /// Ends a key at once: what was let in with it a moment before and isn't registered yet will not be.
    ///
    /// - Throws: `PartnerError.notFound`, `.alreadyRevoked`; storage errors.
    package func revokeKey(_ id: String, by caller: Caller) async throws -> PartnerKey {
        let now = accounts.clock.now()
        return try await database.write { write in
            guard var key = try PartnerStore.key(id, in: write) else { throw PartnerError.notFound }
            guard !key.isRevoked else { throw PartnerError.alreadyRevoked }
            key.revokedAt = now
            try PartnerStore.revoke(id, now: now, in: write)
            try Self.audit(.partnerKeyRevoke, key, by: .init(caller), now: now, in: write)
            return key
        }
    }

    // MARK: Proof of origins

    /// How long the proof of one origin may take, and how long it may be.
    private static let proofTimeout = Duration.seconds(5)
    private static let proofByteCountMax = 4096

    /// What came of looking for proofs.
    package enum Verification: Sendable, Hashable {
        /// Every origin showed its proof just now.
        case verified(PartnerKey)
        /// They had before.
        case already(PartnerKey)
    }

    /// Looks at every origin of a key for the text that `createKey` gave.
    ///
    /// - Throws: `PartnerError.notFound`, `.alreadyRevoked`, `.verificationFailed`; storage errors.
    package func verifyKey(_ id: String, by caller: Caller) async throws -> Verification {
        let (found, digest) = try await database.read {
            (try PartnerStore.key(id, in: $0), try PartnerStore.proofDigest(id, in: $0))
        }
        guard let key = found, let digest else { throw PartnerError.notFound }
        guard !key.isRevoked else { throw PartnerError.alreadyRevoked }
        guard key.verifiedAt == nil else { return .already(key) }
        let now = accounts.clock.now()
        for origin in key.origins {
            guard let reason = await fault(of: origin, digest: digest) else { continue }
            try await database.write { write in
                try Self.audit(
                    .partnerKeyVerifyFailed, key, by: .init(caller), meta: ["origin": .string(origin)], now: now,
                    in: write)
            }
            throw PartnerError.verificationFailed("\(origin)\(PartnerKey.proofPath) \(reason)")
        }
        return try await database.write { write in
            guard var present = try PartnerStore.key(id, in: write), !present.isRevoked else {
                throw PartnerError.alreadyRevoked
            }
            present.verifiedAt = now
            try PartnerStore.setVerified(id, now: now, in: write)
            try Self.audit(.partnerKeyVerified, present, by: .init(caller), now: now, in: write)
            return .verified(present)
        }
    }

    /// What is wrong with an origin's proof; nil when nothing is. The other server's own words are not passed on.
    private func fault(of origin: String, digest: [UInt8]) async -> String? {
        let request = OutboundRequest(
            "GET", origin + PartnerKey.proofPath, timeout: Self.proofTimeout, byteCountMax: Self.proofByteCountMax,
            redirectCountMax: 0)
        guard let response = try? await outbound.send(request) else { return "could not be fetched" }
        guard response.status == 200 else { return "answers \(response.status)" }
        guard let token = (try? DataValue(json: response.body))?["token"]?.stringValue,
            PartnerKeyText.proofDigest(token) == digest
        else { return "does not hold the token" }
        return nil
    }

    // MARK: Registration

    /// How a partner's request proves who sends it.
    package struct Presented: Sendable, Hashable {
        /// The key, if exactly one came.
        package var key: String?
        /// From where the request says that it comes, if it says so once.
        package var origin: String?

        package init(key: String?, origin: String?) {
            self.key = key
            self.origin = origin
        }
    }

    /// Makes an account in a partner's name, with its first session.
    ///
    /// - Throws: `PartnerError`; as `AccountService.register`.
    package func register(
        _ new: AccountService.NewAccount, by presented: Presented
    ) async throws -> AccountService.Registered {
        let key = try await admit(presented)
        var new = new
        new.maker = .partner
        let (id, clock) = (key.id, accounts.clock)
        return try await accounts.register(new) { did, write in
            let now = clock.now()
            try Self.charge(id, now: now, in: write)
            try PartnerStore.addRegistration(did, with: id, now: now, in: write)
            try AuditStore.append(
                AuditEntry(
                    .partnerRegister, by: .anonymous, target: did.string,
                    meta: ["key": .string(id), "partner": .string(key.partnerName)], time: now), in: write)
        }
    }

    /// The key of a request that may use it now; judged again when the account is made.
    private func admit(_ presented: Presented) async throws -> PartnerKey {
        guard let text = presented.key else { throw PartnerError.authRequired }
        guard let prefix = PartnerKeyText.prefix(of: text) else { throw PartnerError.unknownKey }
        let digest = PartnerKeyText.digest(text)
        let now = accounts.clock.now()
        return try await database.read { scope in
            // Digests are compared in a time that tells nothing of how far they agree.
            guard let key = try PartnerStore.keys(prefix: prefix, in: scope).first(where: { digest == $0.digest })?.key,
                !key.isRevoked
            else { throw PartnerError.unknownKey }
            guard let origin = presented.origin.flatMap({ WebOrigin.normalized($0) }), key.origins.contains(origin)
            else { throw PartnerError.forbiddenOrigin(presented.origin) }
            try Self.charge(key.id, now: now, in: scope)
            return key
        }
    }

    /// Refuses when the key was revoked or its hour is full.
    private static func charge(_ id: String, now: Timestamp, in scope: any ReadScope) throws {
        guard let key = try PartnerStore.key(id, in: scope), !key.isRevoked else { throw PartnerError.unknownKey }
        let since = now.advanced(by: .seconds(-3600))
        guard
            let oldest = try PartnerStore.registration(key.hourlyMax, of: id, since: since, in: scope)
        else { return }
        let wait = oldest.since(since).wholeMicroseconds
        throw PartnerError.limitReached(retryAfterSeconds: Int(max(1, (wait + 999_999) / 1_000_000)))
    }

    private static func audit(
        _ action: AuditEntry.Action, _ key: PartnerKey, by actor: AuditEntry.Actor, meta: DataMap = [:],
        now: Timestamp, in write: any WriteScope
    ) throws {
        var meta = meta
        meta["name"] = .string(key.name)
        meta["partner"] = .string(key.partnerName)
        try AuditStore.append(AuditEntry(action, by: actor, target: key.id, meta: meta, time: now), in: write)
    }
}
