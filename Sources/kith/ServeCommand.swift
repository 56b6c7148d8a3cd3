import App
import ArgumentParser

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the server.",
        discussion: """
            Everything has a default: the data goes to ./kith-data and the server listens on http://localhost:8080. At the \
            first start it prints a one-time link behind which you make yourself the administrator.

              kith serve
              kith serve --config /etc/kith.yaml
              KITH_HOSTNAME=kith.example.org kith serve --data /var/lib/kith

            Each key of docs/configuration.md can also be set in the environment or in the file. SIGTERM or Ctrl-C stops the \
            server once accepted requests are answered. All that keeps it from starting is told at once. Exit codes: \
            0 stopped, 73 the data folder can't be made, 75 it is in use, 78 what only you can change (the configuration, \
            rights, a database or bucket that isn't fit), 1 any other failure: starting again may help.
            """)

    @OptionGroup var settings: SettingsOptions

    @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
    var host: String?

    @Option(help: "The port to listen on; 0 takes a free one.")
    var port: String?

    @Option(help: ArgumentHelp("The name under which the world reaches this server.", valueName: "name"))
    var hostname: String?

    @Option(help: "Which parts of the instance to run, with commas between them.")
    var roles: String?

    @Flag(help: "Try things out on one machine: no invites, no approval, no rate limits.")
    var development = false

    @Option(help: "The least severe lines to log: trace, debug, info, notice, warning or error.")
    var logLevel: String?

    @Option(help: "How lines of the log look: text or json.")
    var logFormat: String?

    func run() async throws {
        var flags = settings.flags
        flags["host"] = host
        flags["port"] = port
        flags["hostname"] = hostname
        flags["roles"] = roles
        flags["log.level"] = logLevel
        flags["log.format"] = logFormat
        if development { flags["development"] = "true" }
        try await Outcome.run { _ in
            try await Serve.run(try settings.sources(flags: flags))
        }
    }
}

/// Where the configuration comes from, for every command that needs one.
struct SettingsOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The folder that holds the server's data.", valueName: "folder"))
    var data: String?

    /// The flags given, by the path of their key.
    var flags: [String: String] { data.map { ["data": $0] } ?? [:] }

    func sources(flags: [String: String]? = nil) throws -> ConfigurationSources {
        try ConfigurationSources(flags: flags ?? self.flags, file: config)
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @Flag(help: "Print JSON.")
    var json = false

    func run() {
        print(json ? "{\"name\":\"kith\",\"version\":\"\(KithVersion.number)\"}" : KithVersion.text)
    }
}
