import Dispatch
import Foundation
import Synchronization

/// Tells a server that is busy with a long statement from one that stands still.
///
/// A host whose database stands still goes on to take connections and bytes for it, so nothing at the sockets tells. Once
/// nothing has been heard over any connection for a while, somebody knocks with a connection of its own; a server that
/// doesn't answer that either is silent, and whoever waits for it is told.
final class PostgreSQLPulse: Sendable {
    typealias Instant = ContinuousClock.Instant

    private struct State {
        var lastSign: Instant
        var isKnocking = false
        /// The last knock that was not answered.
        var unanswered: (began: Instant, ended: Instant)?
    }

    /// So often somebody who waits looks whether the server is silent.
    static let lookInterval = Duration.milliseconds(200)

    private let silenceMax: Duration
    /// Whether the server answers. Blocks for as long as a knock may take.
    private let knock: @Sendable () -> Bool
    private let clock = ContinuousClock()
    private let state: Mutex<State>

    /// - Parameter silenceMax: how long nothing may be heard before somebody knocks.
    init(silenceMax: Duration, knock: @escaping @Sendable () -> Bool) {
        self.silenceMax = silenceMax
        self.knock = knock
        state = Mutex(State(lastSign: clock.now))
    }

    /// Something was heard.
    func beat() {
        let now = clock.now
        state.withLock { $0.lastSign = now }
    }

    /// Whether the last knock was not answered, and nothing was heard since it began.
    var isSilent: Bool { state.withLock { Self.isSilent($0) } }

    /// As `isSilent`; has somebody knock if so, for nobody else will find out that the server is back.
    func isStillSilent() -> Bool {
        let (isSilent, mustKnock) = state.withLock { state in
            guard Self.isSilent(state) else { return (false, false) }
            defer { state.isKnocking = true }
            return (true, !state.isKnocking)
        }
        if mustKnock { startKnocking() }
        return isSilent
    }

    /// An attempt to connect that began then was not answered in its time, which is as good as a knock.
    func miss(began: Instant) {
        let now = clock.now
        state.withLock { $0.unanswered = (began, now) }
    }

    /// Whether the server is silent, for somebody who has waited for it since `began`. Has somebody knock where that
    /// isn't known.
    func isSilent(forOneWaitingSince began: Instant) -> Bool {
        let now = clock.now
        let (isSilent, mustKnock) = state.withLock { state in
            if Self.isSilent(state), let ended = state.unanswered?.ended, ended > began { return (true, false) }
            guard !state.isKnocking, now - max(began, state.lastSign) > silenceMax else { return (false, false) }
            state.isKnocking = true
            return (false, true)
        }
        if mustKnock { startKnocking() }
        return isSilent
    }

    private static func isSilent(_ state: borrowing State) -> Bool {
        guard let knock = state.unanswered else { return false }
        return state.lastSign < knock.began
    }

    private func startKnocking() {
        let thread = Thread { [self] in
            let began = clock.now
            let isAnswered = knock()
            let now = clock.now
            state.withLock { state in
                state.isKnocking = false
                if isAnswered { state.lastSign = now } else { state.unanswered = (began, now) }
            }
        }
        thread.name = "kith-knock"
        thread.stackSize = 1 << 20
        thread.start()
    }
}
