package import ATProtocol
import Base
package import Contracts
import Storage

/// What is to change of a community's profile and settings; nil leaves it as it is.
package struct CommunityChange: Sendable, Hashable {
    /// Empty clears it.
    package var displayName: String?
    /// Empty clears it.
    package var description: String?
    package var visibility: CommunitySettings.Visibility?
    package var joinPolicy: CommunitySettings.JoinPolicy?

    package init(
        displayName: String? = nil, description: String? = nil, visibility: CommunitySettings.Visibility? = nil,
        joinPolicy: CommunitySettings.JoinPolicy? = nil
    ) {
        self.displayName = displayName
        self.description = description
        self.visibility = visibility
        self.joinPolicy = joinPolicy
    }

    var touchesProfile: Bool { displayName != nil || description != nil }
    var touchesSettings: Bool { visibility != nil || joinPolicy != nil }
}

/// Profile and settings.
extension CommunityService {
    /// Changes profile, settings or both as one act; a change of visibility hides or shows the whole community with it.
    ///
    /// - Throws: as every deed.
    package func update(_ did: DID, _ change: CommunityChange, by caller: Caller) async throws {
        if change.visibility == .public {
            // Strangers don't set the directory in motion.
            let seen = try await seen(did, by: caller)
            try demand(.settingsWrite, of: caller, in: seen)
            if seen.row.visibility != .public {
                try await inCommunityTerms { try await accounts.prepareOpening(of: did) }
            }
        }
        try await act(in: did) { transaction in
            let scope = transaction.scope
            let seen = try admit(caller, to: did, in: scope)
            var writes: [RecordWrite] = []
            if change.touchesProfile {
                try demand(.profileWrite, of: caller, in: seen)
                writes.append(try profile(change, of: did, transaction))
            }
            if change.touchesSettings {
                try demand(.settingsWrite, of: caller, in: seen)
                writes.append(try settings(change, of: did, transaction))
            }
            guard !writes.isEmpty else {
                if seen.permissions == nil, !caller.isAdministrator { throw CommunityError.notMember }
                return
            }
            // What hides a community must not be told to those from whom it is hidden.
            if change.visibility == .private { _ = try accounts.change(did, .confine, in: scope) }
            try transaction.apply(writes, to: did, by: .act(CommunityAct.deed(caller)))
            try settle(did, in: scope)
            var meta: DataMap = [:]
            meta["visibility"] = change.visibility.map { .string($0.rawValue) }
            meta["joinPolicy"] = change.joinPolicy.map { .string($0.rawValue) }
            try audit.record("community.update", by: caller, target: did.string, meta: meta, in: scope)
        }
    }

    private func profile(
        _ change: CommunityChange, of did: DID, _ transaction: any RepositoryTransaction
    ) throws -> RecordWrite {
        let path = RepositoryPath(CommunityCollections.profile, CommunityCollections.selfKey)
        var record = try transaction.record(path, of: did)?.value.mapValue ?? [:]
        record["$type"] = .string(CommunityCollections.profile.string)
        for (name, text) in [("displayName", change.displayName), ("description", change.description)] {
            if let text { record[name] = text.isEmpty ? nil : .string(text) }
        }
        return RecordWrite(collection: path.collection, action: .put(key: path.key, record: .map(record)))
    }

    private func settings(
        _ change: CommunityChange, of did: DID, _ transaction: any RepositoryTransaction
    ) throws -> RecordWrite {
        let path = RepositoryPath(CommunityCollections.settings, CommunityCollections.selfKey)
        guard var record = try transaction.record(path, of: did)?.value.mapValue else {
            throw CommunityError.notFound
        }
        if let visibility = change.visibility { record["visibility"] = .string(visibility.rawValue) }
        if let joinPolicy = change.joinPolicy { record["joinPolicy"] = .string(joinPolicy.rawValue) }
        return RecordWrite(collection: path.collection, action: .put(key: path.key, record: .map(record)))
    }
}
