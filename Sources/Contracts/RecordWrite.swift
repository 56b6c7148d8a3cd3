package import ATProtocol

/// One operation that a caller asks for.
package struct RecordWrite: Sendable, Hashable {
    /// What is to happen. `put` creates or updates, and does nothing when the record is the same already.
    package enum Action: Sendable, Hashable {
        /// With a new TID as key when none is given.
        case create(key: RecordKey?, record: DataValue)
        case put(key: RecordKey, record: DataValue)
        case update(key: RecordKey, record: DataValue)
        /// `mustExist`: an absent record is an error, not a success without effect.
        case delete(key: RecordKey, mustExist: Bool)
    }

    /// What the present record must be.
    package enum Swap: Sendable, Hashable {
        case anything
        /// There must be none.
        case absent
        case record(CID)
    }

    package var collection: NSID
    package var action: Action
    package var swap: Swap

    package init(collection: NSID, action: Action, swap: Swap = .anything) {
        self.collection = collection
        self.action = action
        self.swap = swap
    }
}

/// What came of one operation.
package struct RecordWriteResult: Sendable, Hashable {
    package var path: RepositoryPath
    /// Nil for a deletion.
    package var cid: CID?
    /// `valid`, `unknown`, or nil when nothing was validated.
    package var validationStatus: String?

    package init(path: RepositoryPath, cid: CID?, validationStatus: String?) {
        self.path = path
        self.cid = cid
        self.validationStatus = validationStatus
    }
}

/// What came of a write.
package struct RepositoryWriteOutcome: Sendable, Hashable {
    /// The new commit, or nil when nothing had to change.
    package var commit: CID?
    package var rev: TID?
    /// In the order of the operations.
    package var results: [RecordWriteResult]

    package init(commit: CID?, rev: TID?, results: [RecordWriteResult]) {
        self.commit = commit
        self.rev = rev
        self.results = results
    }
}
