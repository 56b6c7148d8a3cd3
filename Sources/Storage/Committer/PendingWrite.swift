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
        /// As `savepoint`; besides, all its statements have been answered before the next body starts.
        case checked
    }

    let isolation: Isolation
    /// What the body is going to ask first.
    let questions: [BodyQuestion]
    /// What the body threw, told once its group is settled.
    var failure: (any Error)?

    init(isolation: Isolation, questions: [BodyQuestion]) {
        self.isolation = isolation
        self.questions = questions
    }

    /// Runs the body and keeps its result.
    func run(_ scope: any WriteScope) throws {}

    /// Tells whoever waits: `error`, or the body's own failure, or its result.
    func settle(_ error: (any Error)?) {}
}

final class TypedWrite<T: Sendable>: PendingWrite, @unchecked Sendable {
    private let body: @Sendable (any WriteScope) throws -> T
    private let settled: @Sendable (Result<T, any Error>) -> Void
    private var value: T?

    init(
        isolation: Isolation, questions: [BodyQuestion], body: @escaping @Sendable (any WriteScope) throws -> T,
        settled: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        self.body = body
        self.settled = settled
        super.init(isolation: isolation, questions: questions)
    }

    override func run(_ scope: any WriteScope) throws {
        value = try body(scope)
    }

    override func settle(_ error: (any Error)?) {
        if let error = error ?? failure {
            settled(.failure(error))
        } else if let value {
            settled(.success(value))
        } else {
            settled(.failure(StorageError.closed))
        }
    }
}
