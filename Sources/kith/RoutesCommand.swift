import App
import ArgumentParser

struct RoutesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes",
        abstract: "List every route with who may call it.",
        discussion: """
            The rule is anyone, optional, session, privileged-session, full-session, refresh-token, session-or-service, \
            operator or role:NAME; +deactivated and +any tell which other states of the caller's account are let in.
            """)

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await Outcome.run(for: json ? .programs : .people) { _ in
            let output = try await RouteListing.make()
            StandardOutput.write(json ? output.json : output.text)
        }
    }
}

struct ConfigurationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "configuration",
        abstract: "Check the configuration, or print its reference.",
        discussion: """
            Says what holds, from flags, environment, file and defaults; secrets are not shown.

              kith configuration --config /etc/kith.yaml
              kith configuration --example > kith.yaml
            """)

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print an example file with every key.")
    var example = false
    @Flag(help: "Print the reference page.")
    var markdown = false
    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await Outcome.run(for: json ? .programs : .people) { _ in
            if example { return StandardOutput.write(ConfigurationReference.example, terminator: "") }
            if markdown { return StandardOutput.write(ConfigurationReference.markdown, terminator: "") }
            let output = try settings.sources().report()
            StandardOutput.write(json ? output.json : output.text)
        }
    }
}
