import App
import ArgumentParser

/// How a command ends.
enum Outcome {
    /// Runs `body`; what it throws is told on standard error, in one line where that is possible, and becomes the exit code.
    static func run(_ body: () async throws -> Void) async throws {
        do {
            try await body()
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
