package import ATProtocol
import Base
package import Contracts
package import Storage

/// How people present themselves, and all that is kept of them, to take along.
package struct ProfileService: Sendable {
    private let accounts: AccountService
    private let records: any PersonalRecords
    /// The communities that somebody belongs to.
    private let memberships: @Sendable (DID) async throws -> [DID]

    /// The collection of the profile that other networks know, too.
    private static let standard = "app.bsky.actor.profile"
    /// What the collections of other applications' profiles end in.
    private static let customSuffix = ".actor.profile"
    private static let key = "self"
    /// How often a profile that somebody else changes at the same moment is read again.
    private static let attemptsMax = 5
    /// Profiles of other applications that are shown at most.
    private static let customProfilesMax = 50

    package init(
        accounts: AccountService, records: any PersonalRecords,
        memberships: @escaping @Sendable (DID) async throws -> [DID] = { _ in [] }
    ) {
        self.accounts = accounts
        self.records = records
        self.memberships = memberships
    }

    // MARK: Profiles

    /// How somebody presents themself.
    package struct Profile: Sendable, Hashable {
        package var did: DID
        package var handle: Handle
        /// The standard profile, if there is one.
        package var standard: DataValue?
        /// Those of other applications, by collection.
        package var custom: DataMap
    }

    /// The profile of an active account.
    ///
    /// - Throws: `ProfileError.notFound`, also for accounts that others may not see; storage errors.
    package func profile(of did: DID) async throws -> Profile {
        guard let standing = try await accounts.standings.standing(of: did), standing.status.hosting.isActive else {
            throw ProfileError.notFound
        }
        var profile = Profile(did: did, handle: standing.handle, custom: [:])
        profile.standard = try await records.record(at: try Self.path(Self.standard), of: did)?.value
        let others = try await records.collections(of: did).filter {
            $0.string.hasSuffix(Self.customSuffix) && $0.string != Self.standard
        }
        for collection in others.prefix(Self.customProfilesMax) {
            let path = try Self.path(collection.string)
            profile.custom[collection.string] = try await records.record(at: path, of: did)?.value
        }
        return profile
    }

    /// Changes fields of one's standard profile; what isn't given stays.
    ///
    /// - Throws: `ProfileError.invalid`; what the door throws.
    package func update(_ changes: DataMap, of caller: AccountCaller) async throws -> StoredRecord {
        guard !changes.isEmpty else {
            throw ProfileError.invalid("displayName, description, or collection with record is needed")
        }
        let path = try Self.path(Self.standard)
        for _ in 0..<Self.attemptsMax {
            let before = try await records.record(at: path, of: caller.did)
            var map = before?.value.mapValue ?? [:]
            map["$type"] = .string(Self.standard)
            for (name, value) in changes { map[name] = value }
            do {
                let cid = try await records.put(
                    .map(map), at: path, replacing: before.map { .record($0.cid) } ?? .absent, by: .account(caller))
                return StoredRecord(path: path, cid: cid, value: .map(map))
            } catch is RecordConflict {
                continue
            }
        }
        throw ProfileError.contended
    }

    /// Replaces the record `self` of a collection.
    ///
    /// - Throws: `ProfileError.invalid`; what the door throws.
    package func replace(_ collection: NSID, by value: DataValue, of caller: AccountCaller) async throws -> StoredRecord
    {
        guard case .map(var map) = value else { throw ProfileError.invalid("record must be an object") }
        let type = map["$type"] ?? .string(collection.string)
        guard type == .string(collection.string) else {
            throw ProfileError.invalid("record: $type must be \(collection)")
        }
        map["$type"] = type
        let path = try Self.path(collection.string)
        let cid = try await records.put(.map(map), at: path, replacing: .anything, by: .account(caller))
        return StoredRecord(path: path, cid: cid, value: .map(map))
    }

    private static func path(_ collection: String) throws -> RepositoryPath {
        try RepositoryPath(parsing: "\(collection)/\(key)")
    }

    // MARK: Export

    /// Everything that is kept of an account and is its owner's, as one JSON object; in any state of the account, for its
    /// owner and for administrators.
    ///
    /// - Parameter client: whose share of the database's streams it takes.
    /// - Throws: `AccountError.notAllowed`, `.notFound`; storage errors.
    package func export(_ did: DID, for caller: Caller, client: String) async throws -> ByteStream {
        let isOwner = caller.account.map { $0.did == did && ($0.scope == .full || $0.scope == .takendown) } ?? false
        guard isOwner || caller.isAdministrator else { throw AccountError.notAllowed }
        let account = try await accounts.account(did.string)
        let now = accounts.clock.now()
        var own: DataMap = [
            "did": .string(did.string), "handle": .string(account.handle.string),
            "status": .string(account.status.rawValue), "createdAt": .string(Datetime(account.createdAt).string),
        ]
        if isOwner { own["email"] = account.email.map { .string($0.string) } }
        let communities = try await memberships(did)
        let count = try await accounts.repositories.figures(of: did)?.recordCount ?? 0
        let actor = AuditEntry.Actor(caller)
        let document: DataMap = [
            "$type": "net.openfederation.account.export", "exportedAt": .string(Datetime(now).string),
            "exportedBy": .string(caller.did?.string ?? "operator"), "account": .map(own),
            "stats": [
                "totalRecords": .integer(count),
                "collections": .integer(Int64(try await records.collections(of: did).count)),
                "communityMemberships": .integer(Int64(communities.count)),
            ],
            "memberships": .array(communities.map { .string($0.string) }),
        ]
        let head = DataValue.map(document).json().dropLast() + Array(",\"collections\":".utf8)
        let stream = try await records.dump(did, head: Array(head), tail: Array("}".utf8), for: client)
        try await accounts.database.write {
            try AuditStore.append(AuditEntry(.accountExport, by: actor, target: did.string, time: now), in: $0)
        }
        return stream
    }
}

/// Why a profile cannot be shown or changed.
package enum ProfileError: Error, Sendable, Hashable {
    /// There is no such account that may be shown.
    case notFound
    /// The sentence names the field.
    case invalid(String)
    /// Somebody else changes it again and again at the same moment.
    case contended
}
