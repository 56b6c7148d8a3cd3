import App
import ArgumentParser

/// How a command ends.
enum Outcome {
    /// Runs `body`; what it throws is told on standard error, in one line where that is possible, and becomes the exit code.
    ///
    /// - Parameter body: with a progress bar, which is cleared before anything is told.
    static func run(_ body: (ProgressBar) async throws -> Void) async throws {
        let bar = ProgressBar()
        do {
            defer { bar.clear() }
            try await body(bar)
        } catch let code as ExitCode {
            throw code
        } catch let error as ValidationError {
            throw error
        } catch {
            StandardError.write("kith: \(error)")
            throw ExitCode(CommandExit.code(of: error))
        }
    }
}
