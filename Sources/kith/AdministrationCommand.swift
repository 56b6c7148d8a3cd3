import App
import ArgumentParser

/// A command that asks the instance in a data folder for something and prints the answer.
protocol AdministrationCommand: AsyncParsableCommand {
    var common: AdministrationOptions { get }
    /// Looks closer at what was given, before anything is opened.
    ///
    /// - Throws: `ValidationError`.
    func check() throws
    func perform(_ administration: Administration) async throws -> CommandOutput
}

extension AdministrationCommand {
    func check() throws {}

    func run() async throws {
        try await Outcome.run(for: common.telling) { _ in
            try check()
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

    var telling: Outcome.Telling { json ? .programs : .people }
}

/// Looks at the values of options.
enum OptionCheck {
    /// - Throws: `ValidationError` for a value that is none of `words`.
    static func word(_ value: String?, _ option: String, of words: [String]) throws {
        guard let value, !words.contains(value) else { return }
        throw ValidationError("\(option) is one of \(words.joined(separator: ", ")), not '\(value)'")
    }

    /// - Throws: `ValidationError` for the first that is no role.
    static func roles(_ values: [String], _ option: String) throws {
        for value in values { try word(value, option, of: CommandWords.roles) }
    }
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
