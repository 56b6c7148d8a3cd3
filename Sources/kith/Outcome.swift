import App
import ArgumentParser

/// How a command ends.
enum Outcome {
    /// How a failure is told on standard error.
    enum Telling {
        /// In a sentence, after what was found.
        case people
        /// As one line of JSON.
        case programs
    }

    /// Runs `body`; what it throws is told on standard error and becomes the exit code.
    ///
    /// - Parameter body: with a progress bar, which is cleared before anything is told.
    static func run(for telling: Telling = .people, _ body: (ProgressBar) async throws -> Void) async throws {
        let bar = ProgressBar()
        do {
            defer { bar.clear() }
            try await body(bar)
        } catch let code as ExitCode {
            throw code
        } catch let error as ValidationError {
            // For people the parser adds how the command is used.
            guard telling == .programs else { throw error }
            throw tell(CommandFailure(usage: error.message), for: telling)
        } catch {
            throw tell(CommandFailure(error), for: telling)
        }
    }

    private static func tell(_ failure: CommandFailure, for telling: Telling) -> ExitCode {
        switch telling {
        case .programs: StandardError.write(failure.json)
        case .people:
            if let report = failure.report { StandardError.write(report.text) }
            StandardError.write("kith: \(failure.message)")
        }
        return ExitCode(failure.code)
    }
}
