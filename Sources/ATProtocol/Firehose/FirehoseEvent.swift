/// What happened to a repository or an account, as `com.atproto.sync.subscribeRepos` tells it.
///
/// The sequence number is not part of it: it is given when the event is written to the log.
///
/// - Spec: https://atproto.com/specs/sync#firehose
package enum FirehoseEvent: Sendable, Hashable {
    case commit(FirehoseCommit)
    case sync(FirehoseSync)
    case identity(FirehoseIdentity)
    case account(FirehoseAccount)

    /// Whom the event is about.
    package var did: DID {
        switch self {
        case .commit(let commit): commit.repository
        case .sync(let sync): sync.did
        case .identity(let identity): identity.did
        case .account(let account): account.did
        }
    }

    /// When the server made the event.
    package var time: Datetime {
        switch self {
        case .commit(let commit): commit.time
        case .sync(let sync): sync.time
        case .identity(let identity): identity.time
        case .account(let account): account.time
        }
    }

    /// The frame's type as its header names it.
    package var type: String {
        switch self {
        case .commit: FirehoseType.commit
        case .sync: FirehoseType.sync
        case .identity: FirehoseType.identity
        case .account: FirehoseType.account
        }
    }
}

/// The values of `t` in frame headers.
enum FirehoseType {
    static let commit = "#commit"
    static let sync = "#sync"
    static let identity = "#identity"
    static let account = "#account"
    static let info = "#info"
}

/// The limits of the subscription's lexicon.
package enum FirehoseLimit {
    /// Longest frame, in bytes.
    package static let frameSizeBytesMax = 5_000_000
    /// Longest `blocks` of a `#commit`, in bytes.
    package static let commitBlocksSizeBytesMax = 2_000_000
    /// Longest `blocks` of a `#sync`, in bytes.
    package static let syncBlocksSizeBytesMax = 10_000
    /// Most operations in a `#commit`.
    package static let operationCountMax = 200
    /// The greatest sequence number: what a double holds exactly.
    package static let sequenceMax: Int64 = 9_007_199_254_740_991
}

/// A `#commit`: one write to a repository, with the blocks that prove it.
package struct FirehoseCommit: Sendable, Hashable {
    /// `repo`.
    package var repository: DID
    /// The new commit block.
    package var commit: CID
    /// The new revision.
    package var rev: TID
    /// The revision before, nil for the first commit.
    package var since: TID?
    /// The root of the tree before, nil for the first commit (and from servers older than sync 1.1).
    package var previousData: CID?
    /// A CAR: root is `commit`; new nodes and records, and the nodes that let a reader invert the operations.
    package var blocks: [UInt8]
    /// One for each path written, at most 200.
    package var operations: [FirehoseOperation]
    /// Deprecated, but still required by the lexicon: new blobs the records mention.
    package var blobs: [CID]
    /// When the server made the event.
    package var time: Datetime

    package init(
        repository: DID, commit: CID, rev: TID, since: TID?, previousData: CID?, blocks: [UInt8],
        operations: [FirehoseOperation], blobs: [CID] = [], time: Datetime
    ) {
        self.repository = repository
        self.commit = commit
        self.rev = rev
        self.since = since
        self.previousData = previousData
        self.blocks = blocks
        self.operations = operations
        self.blobs = blobs
        self.time = time
    }
}

/// What a commit did to one record.
package struct FirehoseOperation: Sendable, Hashable {
    /// What was done. `previous` is nil only from servers older than sync 1.1.
    package enum Action: Sendable, Hashable {
        case create(CID)
        case update(CID, previous: CID?)
        case delete(previous: CID?)
    }

    package var path: RepositoryPath
    package var action: Action

    package init(path: RepositoryPath, action: Action) {
        self.path = path
        self.action = action
    }

    /// The record's CID after the commit, nil when it was deleted.
    package var cid: CID? {
        switch action {
        case .create(let cid), .update(let cid, _): cid
        case .delete: nil
        }
    }

    /// The record's CID before the commit, nil when it was created (or the server is old).
    package var previous: CID? {
        switch action {
        case .create: nil
        case .update(_, let previous), .delete(let previous): previous
        }
    }

    /// `create`, `update` or `delete`.
    package var actionName: String {
        switch action {
        case .create: "create"
        case .update: "update"
        case .delete: "delete"
        }
    }
}

/// A `#sync`: declares the head of a repository without saying how it came about.
package struct FirehoseSync: Sendable, Hashable {
    package var did: DID
    /// The revision of the head.
    package var rev: TID
    /// A CAR with just the commit, at most 10,000 bytes.
    package var blocks: [UInt8]
    package var time: Datetime

    package init(did: DID, rev: TID, blocks: [UInt8], time: Datetime) {
        self.did = did
        self.rev = rev
        self.blocks = blocks
        self.time = time
    }
}

/// An `#identity`: the DID document or the handle may have changed, caches should be dropped.
package struct FirehoseIdentity: Sendable, Hashable {
    package var did: DID
    /// The handle as this server knows it.
    package var handle: Handle?
    package var time: Datetime

    package init(did: DID, handle: Handle?, time: Datetime) {
        self.did = did
        self.handle = handle
        self.time = time
    }
}

/// An `#account`: whether this server now serves the account's repository, and why not.
package struct FirehoseAccount: Sendable, Hashable {
    /// `active` and `status` together.
    package enum Standing: Sendable, Hashable {
        case active
        /// Active, but the server adds how it treats the account (`desynchronized`, `throttled`).
        case activeWith(Status)
        /// Not served; the reason may be withheld.
        case inactive(Status?)
    }

    /// The lexicon's known values of `status`, and room for later ones.
    package enum Status: Sendable, Hashable {
        case takendown
        case suspended
        case deleted
        case deactivated
        case desynchronized
        case throttled
        case unknown(String)

        package init(_ name: String) {
            switch name {
            case "takendown": self = .takendown
            case "suspended": self = .suspended
            case "deleted": self = .deleted
            case "deactivated": self = .deactivated
            case "desynchronized": self = .desynchronized
            case "throttled": self = .throttled
            default: self = .unknown(name)
            }
        }

        /// The lexicon's name.
        package var name: String {
            switch self {
            case .takendown: "takendown"
            case .suspended: "suspended"
            case .deleted: "deleted"
            case .deactivated: "deactivated"
            case .desynchronized: "desynchronized"
            case .throttled: "throttled"
            case .unknown(let name): name
            }
        }
    }

    package var did: DID
    package var standing: Standing
    package var time: Datetime

    package init(did: DID, standing: Standing, time: Datetime) {
        self.did = did
        self.standing = standing
        self.time = time
    }

    /// `active` on the wire.
    package var isActive: Bool {
        switch standing {
        case .active, .activeWith: true
        case .inactive: false
        }
    }

    /// `status` on the wire.
    package var status: Status? {
        switch standing {
        case .active: nil
        case .activeWith(let status): status
        case .inactive(let status): status
        }
    }
}
