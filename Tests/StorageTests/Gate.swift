import Dispatch
import Storage

/// Holds the committer inside a body until the test lets it go, so that what is queued behind it forms one group.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }
    func wait() { semaphore.wait() }

    /// Runs `body` while the committer stands still until `queued` writes wait; returns what `body` returns.
    static func holding<T: Sendable>(
        _ database: any Database, queued: Int, _ body: @escaping @Sendable (any Database) async throws -> T
    ) async throws -> T {
        let gate = Gate()
        let isHeld = Ran()
        async let held: Void = database.write { _ in
            isHeld.add(1)
            gate.wait()
        }
        while isHeld.all.isEmpty { await Task.yield() }
        async let result = body(database)
        while database.statistics().queued < queued { await Task.yield() }
        gate.open()
        try await held
        return try await result
    }
}

/// Runs all bodies at once and collects what became of each, in order.
func outcomes<T: Sendable>(
    _ bodies: [@Sendable () async throws -> T]
) async -> [Result<T, any Error>] {
    await withTaskGroup(of: (Int, Result<T, any Error>).self) { group in
        for (index, body) in bodies.enumerated() {
            group.addTask {
                do { return (index, .success(try await body())) } catch { return (index, .failure(error)) }
            }
        }
        var results: [(Int, Result<T, any Error>)] = []
        for await result in group { results.append(result) }
        return results.sorted { $0.0 < $1.0 }.map(\.1)
    }
}

struct Refusal: Error, Equatable {
    let reason: Int
}
