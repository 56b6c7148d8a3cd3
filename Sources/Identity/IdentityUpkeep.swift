import Base
package import Logging
import Storage

/// The background work of the wing: finishes what a crash interrupted and removes what has expired.
///
/// Everything it does is a row that stays until it is done, so that a round may fail, or run twice, without harm.
package struct IdentityUpkeep: Sendable {
    private let module: IdentityModule
    private let logger: Logger
    private let sleeper: any Clock<Duration>

    /// The pause between two rounds.
    static let pause = Duration.seconds(600)
    /// Accounts deleted in one round.
    static let deletionsMax = 100

    /// - Parameter sleeper: what measures the pauses.
    package init(_ module: IdentityModule, logger: Logger, sleeper: any Clock<Duration> = ContinuousClock()) {
        self.module = module
        self.logger = logger
        self.sleeper = sleeper
    }

    /// Works until the task is cancelled.
    package func run() async throws {
        while !Task.isCancelled {
            do {
                try await round()
            } catch is CancellationError {
                return
            } catch {
                logger.error("upkeep of accounts failed", metadata: ["error": "\(error)"])
            }
            do { try await sleeper.sleep(for: Self.pause) } catch { return }
        }
    }

    /// One round.
    ///
    /// - Throws: storage errors; what was done before stays done.
    package func round() async throws {
        let open = try await module.accounts.settleIntents()
        if open > 0 { logger.warning("accounts wait for the directory of identities", metadata: ["count": "\(open)"]) }
        while try await module.foundation.sessions.removeExpired() > 0 {}
        let (database, now) = (module.accounts.database, module.accounts.clock.now())
        try await database.write {
            _ = try KeyStore.removeExpired(now: now, in: $0)
            try PasswordResetStore.removeExpired(now: now, in: $0)
        }
        try await module.mail?.removeFailed()
        while try await database.write({ try AuditStore.removeExpired(now: now, in: $0) }) > 0 {}
        let due = try await database.read { try AccountStore.expired(now: now, limit: Self.deletionsMax, in: $0) }
        for did in due {
            // An administrator's account stays, deactivated as it is.
            do { try await module.accounts.delete(did, by: .server) } catch AccountError.administratorProtected {}
        }
    }
}
