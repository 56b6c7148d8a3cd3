package import ATProtocol
package import Contracts
package import Storage

/// What can be read of repositories, and by whom.
package struct RepositoryReader: Sendable {
    let database: any Database
    let accounts: any Accounts
    let directory: any IdentityDirectory

    package init(database: any Database, accounts: any Accounts, directory: any IdentityDirectory) {
        self.database = database
        self.accounts = accounts
        self.directory = directory
    }

    /// Whether `caller` may see what is not public of `did`: its owner, the operator, administrators.
    package static func mayReadInactive(_ did: DID, _ caller: Caller) -> Bool {
        caller.isAdministrator || caller.account?.did == did
    }

    /// Lets active repositories through, and inactive ones for those who may see them.
    ///
    /// - Throws: `.repositoryNotFound`, `.repositoryInactive`.
    package func admit(_ did: DID, for caller: Caller) async throws {
        guard let standing = try await accounts.standing(of: did) else {
            throw RepositoryReadError.repositoryNotFound
        }
        let hosting = standing.status.hosting
        if !hosting.isActive, !Self.mayReadInactive(did, caller) {
            guard standing.isKnownOutside else { throw RepositoryReadError.repositoryNotFound }
            throw RepositoryReadError.repositoryInactive(hosting)
        }
    }

    /// The active account that `identifier` names.
    ///
    /// - Throws: `.invalidRequest` when there is none, and also for inactive ones: `repo.*` does not tell states apart.
    private func activeAccount(_ identifier: ATIdentifier) async throws -> AccountStanding {
        guard let standing = try await accounts.standing(of: identifier), standing.status.hosting.isActive else {
            throw RepositoryReadError.invalidRequest("Could not find repo: \(identifier.string)")
        }
        return standing
    }

    /// A record by repository, collection and key.
    ///
    /// - Throws: `.recordNotFound`, also when `cid` is given and the record is another now.
    package func record(
        _ identifier: ATIdentifier, _ collection: NSID, _ key: RecordKey, cid: CID?
    ) async throws -> (uri: ATURI, row: RecordRow) {
        let path = RepositoryPath(collection, key)
        let missing = RepositoryReadError.recordNotFound("at://\(identifier.string)/\(path)")
        guard let standing = try await accounts.standing(of: identifier), standing.status.hosting.isActive else {
            throw missing
        }
        let (did, text) = (standing.did, path.string)
        guard let row = try await database.read({ try RepositoryStore.record(text, did: did, in: $0) }),
            cid == nil || row.cid == cid
        else { throw missing }
        return (ATURI(.did(did), path), row)
    }

    /// A page of a collection, newest key first unless `isAscending`.
    ///
    /// - Returns: records and, when the page is not empty, the cursor for the next one: the last key.
    package func records(
        _ identifier: ATIdentifier, _ collection: NSID, cursor: String?, isAscending: Bool, limit: Int
    ) async throws -> (did: DID, rows: [RecordRow], cursor: String?) {
        let standing = try await activeAccount(identifier)
        let did = standing.did
        if let cursor, !RecordKey.isValid(cursor) {
            throw RepositoryReadError.invalidRequest("cursor is not one of this method")
        }
        let rows: [RecordRow] = try await database.read { scope in
            guard let repository = try RepositoryStore.repository(did, in: scope) else { return [] }
            return try RepositoryStore.records(
                collection, tree: repository.tree, cursor: cursor, isAscending: isAscending, limit: limit, in: scope)
        }
        let next = rows.last.map { String($0.path.dropFirst(collection.string.utf8.count + 1)) }
        return (did, rows, next)
    }

    /// What `describeRepo` says. The DID document may come from a cache; a handle that does not check is told as such.
    package func describe(_ identifier: ATIdentifier) async throws -> DataValue {
        guard let standing = try await accounts.standing(of: identifier) else {
            throw RepositoryReadError.repositoryNotFound
        }
        let hosting = standing.status.hosting
        guard standing.isKnownOutside else { throw RepositoryReadError.repositoryNotFound }
        guard hosting.isActive else { throw RepositoryReadError.repositoryInactive(hosting) }
        let did = standing.did
        let collections: [String] = try await database.read { scope in
            guard let repository = try RepositoryStore.repository(did, in: scope) else {
                throw RepositoryReadError.repositoryNotFound
            }
            return try RepositoryStore.collections(of: repository.id, in: scope)
        }
        let document = try await directory.document(of: did)
        return [
            "handle": .string(standing.handle.string), "did": .string(did.string), "didDoc": document.value,
            "collections": .array(collections.map(DataValue.string)),
            "handleIsCorrect": .boolean(document.handle == standing.handle),
        ]
    }

    /// The row of a repository that `caller` may see.
    package func repository(_ did: DID, for caller: Caller) async throws -> RepositoryRow {
        try await admit(did, for: caller)
        guard let row = try await database.read({ try RepositoryStore.repository(did, in: $0) }) else {
            throw RepositoryReadError.repositoryNotFound
        }
        return row
    }

    /// The hosting state of a repository, with its revision when active.
    package func status(_ did: DID) async throws -> (status: HostingStatus, rev: TID?) {
        guard let standing = try await accounts.standing(of: did), standing.isKnownOutside else {
            throw RepositoryReadError.repositoryNotFound
        }
        let row = try await database.read { try RepositoryStore.repository(did, in: $0) }
        guard let row else { throw RepositoryReadError.repositoryNotFound }
        let hosting = standing.status.hosting
        return (hosting, hosting.isActive ? row.rev : nil)
    }

    /// A page of all repositories in order of creation, but for accounts that were never let in; a page may be short.
    package func list(cursor: String?, limit: Int) async throws -> (entries: [DataValue], cursor: String?) {
        let after = try parse(cursor: cursor)
        let rows = try await database.read { try RepositoryStore.repositories(after: after, limit: limit, in: $0) }
        var standings: [DID: AccountStanding] = [:]
        for standing in try await accounts.standings(of: rows.map(\.did)) { standings[standing.did] = standing }
        let entries: [DataValue] = rows.compactMap { row in
            guard let standing = standings[row.did], standing.isKnownOutside else { return nil }
            let hosting = standing.status.hosting
            var entry: DataMap = [
                "did": .string(row.did.string), "head": .string(row.commit.string), "rev": .string(row.rev.string),
                "active": .boolean(hosting.isActive),
            ]
            if let name = hosting.wireName { entry["status"] = .string(name) }
            return .map(entry)
        }
        return (entries, rows.count == limit ? rows.last.map { String($0.id) } : nil)
    }

    /// A page of the active repositories that have records of `collection`.
    package func list(
        with collection: NSID, cursor: String?, limit: Int
    ) async throws -> (dids: [DID], cursor: String?) {
        let after = try parse(cursor: cursor)
        let rows = try await database.read {
            try RepositoryStore.repositories(with: collection, after: after, limit: limit, in: $0)
        }
        let active = Set(
            try await accounts.standings(of: rows.map(\.did)).filter { $0.status.hosting.isActive }.map(\.did))
        return (rows.map(\.did).filter(active.contains), rows.count == limit ? rows.last.map { String($0.id) } : nil)
    }

    private func parse(cursor: String?) throws -> Int64 {
        guard let cursor else { return 0 }
        guard let number = Int64(cursor), number >= 0 else {
            throw RepositoryReadError.invalidRequest("cursor is not one of this method")
        }
        return number
    }
}
