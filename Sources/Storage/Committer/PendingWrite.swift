/// One body waiting for its group, of any result type.
///
/// Touched by one thread at a time: by the submitter until it is queued, from then on by the committer's thread.
class PendingWrite: @unchecked Sendable {
    /// How the group is protected from this body.
    enum Isolation {
        /// Its changes are undone by a savepoint when it throws.
        case savepoint
        /// It promises to throw only before its first change.
        case promise
    }

    let isolation: Isolation
    /// What the body threw, told once its group is settled.
    var failure: (any Error)?

    init(isolation: Isolation) {
        self.isolation = isolation
    }

    /// Runs the body and keeps its result.
    func run(_ scope: any WriteScope) throws {}

    /// Tells the waiting task: `error`, or the body's own failure, or its result.
    func settle(_ error: (any Error)?) {}
}

final class TypedWrite<T: Sendable>: PendingWrite, @unchecked Sendable {
    private let body: @Sendable (any WriteScope) throws -> T
    private let continuation: CheckedContinuation<T, any Error>
    private var value: T?

    init(
        isolation: Isolation, body: @escaping @Sendable (any WriteScope) throws -> T,
        continuation: CheckedContinuation<T, any Error>
    ) {
        self.body = body
        self.continuation = continuation
        super.init(isolation: isolation)
    }

    override func run(_ scope: any WriteScope) throws {
        value = try body(scope)
    }

    override func settle(_ error: (any Error)?) {
        if let error = error ?? failure {
            continuation.resume(throwing: error)
        } else if let value {
            continuation.resume(returning: value)
        } else {
            continuation.resume(throwing: StorageError.closed)
        }
    }
}
