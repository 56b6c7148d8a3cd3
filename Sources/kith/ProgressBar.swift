import App
import Foundation
import Synchronization

/// One line on the terminal that tells how far long work is; nothing where standard error is no terminal.
final class ProgressBar: Sendable {
    private struct State {
        var shownAt: ContinuousClock.Instant?
        var isShown = false
    }

    private static let interval = Duration.milliseconds(100)
    private static let width = 28

    private let isTerminal = isatty(2) == 1
    private let start = ContinuousClock.now
    private let state = Mutex(State())

    /// Takes word of the work, shows it ten times a second at most.
    func show(_ progress: WorkProgress) {
        guard isTerminal else { return }
        state.withLock { state in
            let now = ContinuousClock.now
            let mustShow = progress.total == progress.done || progress.unit == .nothing
            if let shownAt = state.shownAt, now - shownAt < Self.interval, !mustShow { return }
            state.shownAt = now
            state.isShown = true
            write("\r\u{1b}[2K" + line(progress, after: now - start))
        }
    }

    /// Takes the line away.
    func clear() {
        state.withLock { state in
            guard state.isShown else { return }
            state.isShown = false
            write("\r\u{1b}[2K")
        }
    }

    private func line(_ progress: WorkProgress, after elapsed: Duration) -> String {
        if progress.unit == .nothing { return progress.action + " …" }
        let seconds = max(Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18, 0.001)
        let rate = Double(progress.done) / seconds
        guard let total = progress.total, total > 0 else {
            return "\(progress.action)  \(amount(progress.done, progress.unit))  \(amount(Int(rate), progress.unit))/s"
        }
        let share = min(1, Double(progress.done) / Double(total))
        let filled = Int(share * Double(Self.width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
        let left = rate > 0 ? Int(Double(total - progress.done) / rate) : 0
        let clock = "\(left / 60):" + (left % 60 < 10 ? "0" : "") + "\(left % 60)"
        let amounts = "\(amount(progress.done, progress.unit)) of \(amount(total, progress.unit))"
        return "\(progress.action)  \(bar) \(Int(share * 100)) %  \(amounts)  \(clock) left"
    }

    private func amount(_ count: Int, _ unit: WorkProgress.Unit) -> String {
        switch unit {
        case .items(let name): "\(count) \(name)"
        case .nothing: ""
        case .bytes where count >= 1_000_000_000: "\(count / 100_000_000 / 10).\(count / 100_000_000 % 10) GB"
        case .bytes where count >= 1_000_000: "\(count / 100_000 / 10).\(count / 100_000 % 10) MB"
        case .bytes: "\(count / 1000) kB"
        }
    }

    private func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
