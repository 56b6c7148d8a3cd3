import App
import ArgumentParser

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "See who did what.",
        discussion: """
              kith audit list --action account.suspend
              kith audit list --action session. --target did:plc:ewvi7nxzyoun6zhxrhs64oiz
            """,
        subcommands: [List.self])

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List entries of the audit, the newest first.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "An action, or the beginning of several, ending in a full stop.")
        var action: String?
        @Option(help: "Who did it: a DID, operator or server.")
        var actor: String?
        @Option(help: "On whom or what.")
        var target: String?
        @Option(help: "From this moment on, such as 2027-01-31T00:00:00Z.")
        var since: String?
        @Option(help: "Before this moment.")
        var until: String?
        @Option(help: "How many, 1 to 100.")
        var limit = 50

        func check() throws {
            for (option, moment) in [("--since", since), ("--until", until)] {
                guard let moment, !CommandWords.isMoment(moment) else { continue }
                throw ValidationError("\(option) is a moment such as 2027-01-31T00:00:00Z, not '\(moment)'")
            }
            guard (1...100).contains(limit) else { throw ValidationError("--limit is a number from 1 to 100") }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listAudit(
                .init(action: action, actor: actor, target: target, since: since, until: until, limit: limit))
        }
    }
}
