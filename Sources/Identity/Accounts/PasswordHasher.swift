import Base
import Dispatch
import Synchronization

/// Makes and checks password hashes on threads of their own, a few at a time.
///
/// A hash takes a core and tens of megabytes for a tenth of a second: on the cooperative pool a handful of sign-ins
/// would stop every other request.
final class PasswordHasher: Sendable {
    private struct State {
        var running = 0
        var finished = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let cost: PasswordCost
    private let runningMax: Int
    private let waitingMax: Int
    private let randomness: any Randomness
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "kith.password", qos: .utility, attributes: .concurrent)
    /// Hashed in place of the hash an unknown account doesn't have, so that the answer takes as long.
    private let standIn: PasswordHash

    /// - Throws: only when memory runs out.
    init(cost: PasswordCost, limits: IdentityLimits, randomness: any Randomness) throws {
        self.cost = cost
        runningMax = max(1, limits.hashesRunningMax)
        waitingMax = limits.hashesWaitingMax
        self.randomness = randomness
        standIn = try PasswordHash(
            of: Base64URL.encode(randomness.bytes(16)), cost: cost, salt: randomness.bytes(PasswordHash.saltBytes))
    }

    /// How many hashes were computed.
    var hashCount: Int { state.withLock { $0.finished } }

    /// The hash of a new password, as it is stored.
    /// - Throws: `.overloaded`.
    func hash(_ password: String) async throws -> String {
        let (cost, salt) = (cost, randomness.bytes(PasswordHash.saltBytes))
        return try await run { try PasswordHash(of: password, cost: cost, salt: salt).stored }
    }

    /// Whether `stored` is the hash of `password`; without a stored hash false, after the same work.
    /// - Throws: `.overloaded`.
    func verify(_ password: String, stored: String?) async throws -> Bool {
        let isComparable = password.utf8.count <= PasswordRules.presentedLengthMax
        let presented = isComparable ? password : ""
        let known = stored.flatMap { PasswordHash(stored: $0) }
        let hash = known ?? standIn
        let matches = try await run { try hash.matches(presented) }
        return matches && known != nil && isComparable
    }

    private func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await enter()
        defer { leave() }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    private func enter() async throws(SessionError) {
        let waits: Bool? = state.withLock { state in
            if state.running < runningMax {
                state.running += 1
                return false
            }
            return state.waiting.count < waitingMax ? true : nil
        }
        guard let waits else { throw .overloaded }
        guard waits else { return }
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.running >= runningMax else {
                    state.running += 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Hands the place on to whoever waits longest.
    private func leave() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.finished += 1
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
