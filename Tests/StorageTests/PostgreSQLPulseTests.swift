import Base
import Synchronization
import TestDatabases
import Testing

@testable import Storage

/// A server that stands still is told from one that is busy; with a server itself in Tests/Conformance/test_processes.py.
@Suite struct PostgreSQLPulseTests {
    /// Waits until `pulse` says what is wanted.
    private func wait(until question: () -> Bool) async {
        while !question() { await Task.yield() }
    }

    @Test func whoWaitsForASilentServerIsTold() async {
        let knocks = Mutex(0)
        let pulse = PostgreSQLPulse(silenceMax: .zero) {
            knocks.withLock { $0 += 1 }
            return false
        }
        #expect(!pulse.isSilent)
        let began = ContinuousClock().now
        await wait { pulse.isSilent(forOneWaitingSince: began) }
        #expect(pulse.isSilent && knocks.withLock { $0 } == 1)
        // Somebody who begins to wait only now has the server asked once more.
        let later = ContinuousClock().now
        #expect(!pulse.isSilent(forOneWaitingSince: later))
        await wait { knocks.withLock { $0 } == 2 }
        pulse.beat()
        #expect(!pulse.isSilent)
    }

    @Test func whoWaitsForABusyServerGoesOnWaiting() async {
        let knocks = Mutex(0)
        let pulse = PostgreSQLPulse(silenceMax: .zero) {
            knocks.withLock { $0 += 1 }
            return true
        }
        let began = ContinuousClock().now
        await wait {
            #expect(!pulse.isSilent(forOneWaitingSince: began))
            return knocks.withLock { $0 } > 3
        }
        #expect(!pulse.isSilent)
    }

    /// Without this nobody would hear that it is back: whoever wants to connect is refused until then.
    @Test func aSilentServerIsAskedUntilItAnswers() async {
        let knocks = Mutex(0)
        let pulse = PostgreSQLPulse(silenceMax: .seconds(3600)) {
            knocks.withLock { count in
                count += 1
                return count > 3
            }
        }
        #expect(!pulse.isStillSilent() && knocks.withLock { $0 } == 0)
        pulse.miss(began: ContinuousClock().now)
        #expect(pulse.isSilent)
        await wait { !pulse.isStillSilent() }
        #expect(knocks.withLock { $0 } == 4)
    }

    @Test func nobodyKnocksWhileThereAreSigns() {
        let pulse = PostgreSQLPulse(silenceMax: .seconds(3600)) {
            Issue.record("nobody had a reason to")
            return false
        }
        let began = ContinuousClock().now
        for _ in 0..<100 { #expect(!pulse.isSilent(forOneWaitingSince: began)) }
    }
}
