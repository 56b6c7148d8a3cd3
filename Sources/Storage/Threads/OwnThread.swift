import Foundation

/// Long work that computes or blocks: on a thread of its own, so that the cooperative pool goes on serving.
package enum OwnThread {
    /// Room for the recursion of parsers and tree walks.
    private static let stackSizeBytes = 2 << 20

    /// Runs `body` on a new thread that ends with it. How many run at once is the caller's to bound.
    ///
    /// - Parameter name: the thread's name in debuggers and profiles, ≤ 15 bytes.
    package static func run<T: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
            let thread = Thread { continuation.resume(with: Result { try body() }) }
            thread.name = name
            thread.stackSize = stackSizeBytes
            thread.start()
        }
    }
}
