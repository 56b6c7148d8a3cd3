package import ATProtocol
package import Base
package import Storage

/// The one door to the repositories, for rooms whose acts read, judge and write as one.
package protocol RepositoryDoor: Sendable {
    /// Runs `body` in one transaction, in which it may write to the repositories of `dids`; when it throws, nothing of
    /// it stays.
    ///
    /// Nobody else's write lands between what the body reads and what it writes. It may run a second time, and must not
    /// wait for anything but its transaction.
    /// - Parameters:
    ///   - dids: repositories that live here; at most `RepositoryDoorLimits.repositoryCountMax`.
    ///   - newcomers: signers of repositories that the body itself creates.
    /// - Throws: what `body` throws; `SigningKeyError`; `StorageError`.
    @discardableResult
    func transact<T: Sendable>(
        on dids: [DID], newcomers: [DID: any RepositorySigner],
        _ body: @escaping @Sendable (any RepositoryTransaction) throws -> T
    ) async throws -> T
}

extension RepositoryDoor {
    /// As `transact(on:newcomers:_:)`, where every repository is there already.
    @discardableResult
    package func transact<T: Sendable>(
        on dids: [DID], _ body: @escaping @Sendable (any RepositoryTransaction) throws -> T
    ) async throws -> T {
        try await transact(on: dids, newcomers: [:], body)
    }
}

/// Limits of one transaction through the door.
package enum RepositoryDoorLimits {
    /// Repositories that one transaction may write to.
    package static let repositoryCountMax = 8
}

/// A transaction through the door. Not sendable: it lives as long as the body that was given it.
package protocol RepositoryTransaction: AnyObject {
    /// What else is read and written with it.
    var scope: any WriteScope { get }
    /// The moment of all that happens in it.
    var now: Timestamp { get }
    /// A record key that was not given before.
    func newKey() -> RecordKey
    /// The record at `path` of a repository that lives here as it now is, changes of this transaction included.
    func record(_ path: RepositoryPath, of did: DID) throws -> (cid: CID, value: DataValue)?
    /// Writes to a repository as one commit; observers have seen it when this returns.
    ///
    /// - Parameter origin: by which right; a repository that is not one person's asks its guard.
    /// - Throws: what the guard or an observer refuses with; write errors. The body must not go on then.
    @discardableResult
    func apply(_ writes: [RecordWrite], to did: DID, by origin: WriteOrigin) throws -> RepositoryWriteOutcome
}

/// By which right a write is made.
package enum WriteOrigin: Sendable {
    /// Somebody's own write, as `com.atproto.repo` takes it.
    case direct(Caller)
    /// What a room's act brings about; the guard of the repository knows the act.
    case act(any WriteAct)
}

/// An act of a room: a value that says what is done, and in whose name.
package protocol WriteAct: Sendable {}

/// One operation as the guard of a repository judges it.
package struct JudgedWrite: Sendable {
    package var path: RepositoryPath
    /// The record as it is to be; nil for a deletion.
    package var value: DataValue?
    /// Whether there is a record at the path.
    package var exists: Bool

    package init(path: RepositoryPath, value: DataValue?, exists: Bool) {
        self.path = path
        self.value = value
        self.exists = exists
    }
}

/// Judges every write to the repositories of one kind of account, whichever way it comes in.
package protocol RepositoryGuard: Sendable {
    /// Lets the writes of one commit through, or refuses them.
    ///
    /// Asked in the transaction of the commit, before anything is changed.
    /// - Throws: the refusal; storage errors.
    func judge(_ writes: [JudgedWrite], to did: DID, by origin: WriteOrigin, in scope: any WriteScope) throws
    /// Lets the state that a commit brought about stand, or refuses it: asked after the observers were told, and for a
    /// whole repository that was imported.
    /// - Throws: the refusal; storage errors. The commit does not land then.
    func check(_ did: DID, in scope: any WriteScope) throws
}

/// What the guard of a repository says to those for whom it does not exist.
package enum GuardRefusal: Error, Sendable, Hashable {
    case hidden
}

/// A record as a commit left it.
package struct ObservedRecord: Sendable {
    package var path: RepositoryPath
    /// Nil for a deletion.
    package var cid: CID?
    /// Nil for a deletion.
    package var value: DataValue?

    package init(path: RepositoryPath, cid: CID?, value: DataValue?) {
        self.path = path
        self.cid = cid
        self.value = value
    }
}

/// Keeps tables that are derived from the records of some collections.
///
/// Told in the transaction of every change, so that the tables are never behind; from the records alone, so that they can
/// be made anew at any time.
package protocol RecordObserver: Sendable {
    /// The collections it is told of.
    var collections: Set<NSID> { get }
    /// The tables it fills and that nobody else writes to: cleared and filled anew to prove that they are derived.
    var tables: [String] { get }
    /// Takes up what one commit did to its collections. When all is told anew, collections come in any order.
    ///
    /// - Throws: storage errors; the commit does not land then. Whether a record may be is for the guard to say: one
    ///   that makes no sense is passed over.
    func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws
    /// Forgets all that is derived from the repository of `did`: before it is taken up anew, and when it is gone.
    func forget(_ did: DID, in scope: any WriteScope) throws
}
