package import ATProtocol
import Base
package import Contracts
import Storage

/// Keys that people have in other networks, published in their own repositories and found by anybody.
package struct ExternalKeyService: Sendable {
    private let accounts: AccountService
    private let records: any PersonalRecords

    static let collection = "net.openfederation.identity.externalKey"
    /// Longest name of a key, in bytes.
    private static let nameLengthMax = 512
    /// Accounts that are looked at for one that others may see.
    private static let ownersMax = 50

    package init(accounts: AccountService, records: any PersonalRecords) {
        self.accounts = accounts
        self.records = records
    }

    /// A key to be published.
    package struct NewKey: Sendable {
        /// Letters, digits and, inside, hyphens.
        package var rkey: String
        package var key: ExternalKey
        package var purpose: String
        package var label: String?
        /// A challenge and its signature.
        package var proof: Proof?

        package init(rkey: String, key: ExternalKey, purpose: String, label: String? = nil, proof: Proof? = nil) {
            self.rkey = rkey
            self.key = key
            self.purpose = purpose
            self.label = label
            self.proof = proof
        }
    }

    /// A challenge and what the key made of it.
    package struct Proof: Sendable, Hashable {
        package var challenge: String
        /// Base64.
        package var signature: String

        package init(challenge: String, signature: String) {
            self.challenge = challenge
            self.signature = signature
        }
    }

    /// What to sign with a key to show that one holds it.
    ///
    /// - Throws: `ExternalKeyError.proofNotSupported`.
    package func challenge(for key: ExternalKey, of caller: AccountCaller) throws(ExternalKeyError) -> KeyChallenge {
        guard key.kind.signs else { throw .proofNotSupported }
        return KeyChallenge(
            did: caller.did, key: key, service: accounts.configuration.serviceDID, now: accounts.clock.now(),
            randomness: accounts.randomness)
    }

    /// Publishes a key under a name, or replaces what stood there.
    ///
    /// - Returns: the record, and whether it proves possession.
    /// - Throws: `ExternalKeyError`; what the door throws.
    package func set(_ new: NewKey, of caller: AccountCaller) async throws -> (record: StoredRecord, isProven: Bool) {
        let path = try Self.path(new.rkey)
        guard (1...PublishedKey.purposeLengthMax).contains(new.purpose.utf8.count), !new.purpose.contains("\0") else {
            throw ExternalKeyError.invalidInput("purpose must have 1 to \(PublishedKey.purposeLengthMax) bytes")
        }
        let now = accounts.clock.now()
        var map: DataMap = [
            "$type": .string(Self.collection), "type": .string(new.key.kind.rawValue), "purpose": .string(new.purpose),
            "publicKey": .string(new.key.text), "createdAt": .string(Datetime(now).string),
        ]
        map["label"] = new.label.map { .string($0) }
        if let proof = new.proof {
            try check(proof, of: new.key, by: caller.did, now: now)
            map["proof"] = ["challenge": .string(proof.challenge), "signature": .string(proof.signature)]
        }
        let cid = try await records.put(.map(map), at: path, replacing: .anything, by: .account(caller))
        try await note(.identitySetExternalKey, new.rkey, of: caller)
        return (StoredRecord(path: path, cid: cid, value: .map(map)), new.proof != nil)
    }

    private func check(
        _ proof: Proof, of key: ExternalKey, by did: DID, now: Timestamp
    ) throws(ExternalKeyError) {
        guard key.kind.signs else { throw .proofNotSupported }
        guard let challenge = KeyChallenge(proof.challenge), challenge.did == did, challenge.key == key.text,
            challenge.service == accounts.configuration.serviceDID
        else { throw .invalidProof("the challenge is not one for this key and account of this server") }
        guard challenge.expiresAt > now else { throw .challengeExpired }
        guard challenge.expiresAt <= now.advanced(by: KeyChallenge.lifetime) else {
            throw .invalidProof("the challenge is not one of this server")
        }
        guard KeyChallenge.isProof(proof.challenge, proof.signature, of: key, by: did) else {
            throw .invalidProof("the signature is not one of this key over the challenge")
        }
    }

    /// Takes back a key.
    ///
    /// - Throws: `ExternalKeyError.notFound`; what the door throws.
    package func remove(_ rkey: String, of caller: AccountCaller) async throws {
        guard let path = try? Self.path(rkey), try await records.remove(at: path, by: .account(caller)) else {
            throw ExternalKeyError.notFound
        }
        try await note(.identityDeleteExternalKey, rkey, of: caller)
    }

    /// A key of an active account.
    ///
    /// - Throws: `ExternalKeyError.notFound`; storage errors.
    package func key(_ rkey: String, of did: DID) async throws -> PublishedKey {
        guard try await isShown(did), let rkey = try? RecordKey(parsing: rkey),
            let key = try await accounts.database.read({ try ExternalKeyStore.key(did, rkey: rkey, in: $0) })
        else { throw ExternalKeyError.notFound }
        return key
    }

    /// A page of the keys of an active account, by name.
    ///
    /// - Parameter rkey: goes on behind the key of this name.
    /// - Throws: `AccountError.notFound`; storage errors.
    package func keys(of did: DID, purpose: String?, after rkey: String?, limit: Int) async throws -> [PublishedKey] {
        guard try await isShown(did) else { throw AccountError.notFound }
        guard rkey == nil || RecordKey.isValid(rkey ?? "") else {
            throw ExternalKeyError.invalidInput("cursor is not one of this method")
        }
        return try await accounts.database.read {
            try ExternalKeyStore.list(did, purpose: purpose, after: rkey, limit: limit, in: $0)
        }
    }

    /// The active account that publishes a key: one that proved it before others, else the one that did so first.
    ///
    /// - Throws: `ExternalKeyError.notFound`; storage errors.
    package func owner(of key: ExternalKey, purpose: String?) async throws -> (key: PublishedKey, handle: Handle) {
        let text = key.text
        let found = try await accounts.database.read {
            try ExternalKeyStore.owners(of: text, purpose: purpose, limit: Self.ownersMax, in: $0)
        }
        for key in found {
            guard let standing = try await accounts.standings.standing(of: key.did), standing.status.hosting.isActive
            else { continue }
            return (key, standing.handle)
        }
        throw ExternalKeyError.notFound
    }

    private func isShown(_ did: DID) async throws -> Bool {
        try await accounts.standings.standing(of: did)?.status.hosting.isActive == true
    }

    private func note(_ action: AuditEntry.Action, _ rkey: String, of caller: AccountCaller) async throws {
        let now = accounts.clock.now()
        try await accounts.database.write {
            try AuditStore.append(
                AuditEntry(
                    action, by: .account(caller.did), target: caller.did.string, meta: ["rkey": .string(rkey)],
                    time: now), in: $0)
        }
    }

    private static func path(_ rkey: String) throws(ExternalKeyError) -> RepositoryPath {
        let bytes = rkey.utf8
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard (1...nameLengthMax).contains(bytes.count), let first = bytes.first, isPlain(first),
            let last = bytes.last, isPlain(last),
            bytes.allSatisfy({ isPlain($0) || $0 == UInt8(ascii: "-") }),
            let path = try? RepositoryPath(parsing: "\(collection)/\(rkey)")
        else { throw .invalidInput("rkey must have 1 to \(nameLengthMax) letters, digits and inner hyphens") }
        return path
    }
}
