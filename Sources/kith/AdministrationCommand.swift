import App
import ArgumentParser

/// A command that asks the instance in a data folder for something and prints the answer.
protocol AdministrationCommand: AsyncParsableCommand {
    var common: AdministrationOptions { get }
    func perform(_ administration: Administration) async throws -> CommandOutput
}

extension AdministrationCommand {
    func run() async throws {
        try await Outcome.run { _ in
            let configuration = try common.settings.sources().rememberedConfiguration()
            let output = try await AdministrationSession.run(configuration) { client in
                try await perform(Administration(client))
            }
            StandardOutput.write(common.json ? output.json : output.text)
        }
    }
}

/// What all commands over a data folder take.
struct AdministrationOptions: ParsableArguments {
    @OptionGroup var settings: SettingsOptions

    @Flag(help: "Print JSON.")
    var json = false
}

/// A password, on the command line for scripts that may, or better on standard input.
struct PasswordOptions: ParsableArguments {
    @Option(help: "The password; others on this machine may see it in the list of processes.")
    var password: String?

    @Flag(help: "Read the password from standard input, its first line.")
    var passwordStdin = false

    func read() throws -> String? {
        guard passwordStdin else { return password }
        guard let line = readLine(strippingNewline: true), !line.isEmpty else {
            throw ValidationError("standard input holds no password")
        }
        return line
    }
}
