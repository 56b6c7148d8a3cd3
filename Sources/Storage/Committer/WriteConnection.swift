/// What the committer needs of an engine: one connection that writes, used by the committer's thread alone.
protocol WriteConnection: AnyObject {
    /// What bodies are given.
    var scope: any WriteScope { get }
    /// Whether anything was changed since `beginItem`; false only when that is certain.
    var itemChanged: Bool { get }
    /// Whether a statement failed that was sent without waiting, of a body that is over: the group can't be committed
    /// and has to be run again, each body's statements checked before the next body starts.
    var hasFailedBehind: Bool { get }
    /// Whether the group should be committed now though more bodies wait.
    var wantsCommit: Bool { get }

    /// Opens a group's transaction. Waits for the groups of other processes.
    func begin() throws(StorageError)
    /// Makes the group durable. When it throws anything but `.outcomeUnknown`, nothing of the group is in the database.
    func commit() throws(StorageError)
    /// Undoes the group. Must succeed: a connection that can't is replaced by the engine.
    func rollback()

    /// Asks what bodies that are about to run will ask first, if that saves time.
    ///
    /// Answers hold until a body runs that made no promise: what has questions changes nothing that others ask, but for
    /// the same question asked again.
    func ask(_ questions: [BodyQuestion])

    /// Marks the start of one body, with a savepoint if `isolation` asks for it.
    func beginItem(_ isolation: PendingWrite.Isolation) throws(StorageError)
    /// Marks the end of a body that succeeded.
    func endItem(_ isolation: PendingWrite.Isolation) throws(StorageError)
    /// Undoes what the body changed and forgets its actions.
    /// - Throws: when the engine has lost the whole transaction.
    func undoItem(_ isolation: PendingWrite.Isolation) throws(StorageError)

    /// Takes the actions registered by the bodies of the group, in order; those of `afterGroup` last.
    func takeActions() -> [@Sendable () -> Void]

    /// Housekeeping between groups.
    func maintain()
}

extension WriteConnection {
    var hasFailedBehind: Bool { false }
    var wantsCommit: Bool { false }

    func ask(_ questions: [BodyQuestion]) {}
}
