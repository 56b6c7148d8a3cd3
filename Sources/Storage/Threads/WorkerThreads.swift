import Dispatch
import Foundation
import Synchronization

/// A bounded pool of threads for work that blocks (files, databases), so that the cooperative pool never does.
///
/// Each thread makes its own `Resource` (say, a connection) and keeps it. Threads start when they are first needed and
/// wait for work from then on.
final class WorkerThreads<Resource>: Sendable {
    /// Makes a thread's resource, hands it to the loop, and cleans up when the loop returns.
    typealias Around = @Sendable (_ loop: (Resource) -> Void) throws -> Void

    private struct State {
        var jobs = FIFO<AnyJob>()
        var idle = 0
        var live = 0
        var isClosed = false
        var closeWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private enum Submission {
        case refuse(StorageError)
        case signal
        case start
        case nothing
    }

    private let name: String
    private let threadsMax: Int
    private let queueMax: Int
    private let around: Around
    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)

    /// - Parameters:
    ///   - name: the threads' name in debuggers and profiles, ≤ 15 bytes.
    ///   - threadsMax: at most so many threads.
    ///   - queueMax: at most so many jobs wait; a further one is refused with `.overloaded`.
    init(name: String, threadsMax: Int, queueMax: Int, around: @escaping Around) {
        self.name = name
        self.threadsMax = threadsMax
        self.queueMax = queueMax
        self.around = around
    }

    /// Runs `body` on one of the threads.
    /// - Throws: what `body` throws, what making the resource throws; `StorageError.overloaded`, `.closed`.
    func run<T: Sendable>(_ body: @escaping @Sendable (Resource) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
            let job = Job(body: body, continuation: continuation)
            do {
                try submit(job)
            } catch {
                job.fail(error)
            }
        }
    }

    /// Starts `body` on one of the threads without waiting for it. `failed` is called instead when there is no
    /// resource for it.
    /// - Throws: `.overloaded` or `.closed`; neither closure is called then.
    func launch(
        _ body: @escaping @Sendable (Resource) -> Void, failed: @escaping @Sendable (any Error) -> Void
    ) throws(StorageError) {
        try submit(Launch(body: body, failed: failed))
    }

    /// Refuses new jobs, finishes the waiting ones and ends the threads.
    func close() async {
        await withCheckedContinuation { continuation in
            let idle: Int? = state.withLock { state in
                state.isClosed = true
                if state.live == 0 { return nil }
                state.closeWaiters.append(continuation)
                let idle = state.idle
                state.idle = 0
                return idle
            }
            guard let idle else { return continuation.resume() }
            for _ in 0..<idle { wake.signal() }
        }
    }

    private func submit(_ job: AnyJob) throws(StorageError) {
        let next: Submission = state.withLock { state in
            if state.isClosed { return .refuse(.closed) }
            if state.jobs.count >= queueMax { return .refuse(.overloaded) }
            state.jobs.append(job)
            if state.idle > 0 {
                state.idle -= 1
                return .signal
            }
            guard state.live < threadsMax else { return .nothing }
            state.live += 1
            return .start
        }
        switch next {
        case .refuse(let error): throw error
        case .signal: wake.signal()
        case .start: startThread()
        case .nothing: break
        }
    }

    private func startThread() {
        let thread = Thread { [self] in
            do {
                try around { resource in
                    while let job = nextJob() { job.run(resource) }
                }
                retire(failing: nil)
            } catch {
                retire(failing: error)
            }
        }
        thread.name = name
        thread.stackSize = 1 << 20
        thread.start()
    }

    private func nextJob() -> AnyJob? {
        while true {
            let (job, ended): (AnyJob?, Bool) = state.withLock { state in
                if let job = state.jobs.popFirst() { return (job, false) }
                if state.isClosed { return (nil, true) }
                state.idle += 1
                return (nil, false)
            }
            if let job { return job }
            if ended { return nil }
            wake.wait()
        }
    }

    /// A thread ends. When its resource could not be made, the oldest job is told why, lest it wait for ever.
    private func retire(failing error: (any Error)?) {
        let (job, waiters, restart): (AnyJob?, [CheckedContinuation<Void, Never>], Bool) = state.withLock { state in
            let job = error == nil ? nil : state.jobs.popFirst()
            let restart = !state.jobs.isEmpty
            if !restart { state.live -= 1 }
            guard state.isClosed, state.live == 0 else { return (job, [], restart) }
            let waiters = state.closeWaiters
            state.closeWaiters = []
            return (job, waiters, restart)
        }
        if let error { job?.fail(error) }
        if restart { startThread() }
        for waiter in waiters { waiter.resume() }
    }

    /// A job of any result type. Touched by one thread at a time: first by the submitter, then by the worker.
    private class AnyJob: @unchecked Sendable {
        func run(_ resource: Resource) {}
        func fail(_ error: any Error) {}
    }

    private final class Launch: AnyJob, @unchecked Sendable {
        private let body: @Sendable (Resource) -> Void
        private let failed: @Sendable (any Error) -> Void

        init(body: @escaping @Sendable (Resource) -> Void, failed: @escaping @Sendable (any Error) -> Void) {
            self.body = body
            self.failed = failed
        }

        override func run(_ resource: Resource) { body(resource) }
        override func fail(_ error: any Error) { failed(error) }
    }

    private final class Job<T: Sendable>: AnyJob, @unchecked Sendable {
        private let body: @Sendable (Resource) throws -> T
        private let continuation: CheckedContinuation<T, any Error>

        init(body: @escaping @Sendable (Resource) throws -> T, continuation: CheckedContinuation<T, any Error>) {
            self.body = body
            self.continuation = continuation
        }

        override func run(_ resource: Resource) {
            continuation.resume(with: Result { try body(resource) })
        }

        override func fail(_ error: any Error) {
            continuation.resume(throwing: error)
        }
    }
}

extension WorkerThreads where Resource == Void {
    /// Threads without a resource of their own.
    convenience init(name: String, threadsMax: Int, queueMax: Int) {
        self.init(name: name, threadsMax: threadsMax, queueMax: queueMax) { loop in loop(()) }
    }
}
