import App
import ArgumentParser

struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite",
        abstract: "Make and list invite codes.",
        discussion: """
              kith invite create
              kith invite create --uses 20 --expires 2027-01-31T00:00:00Z --note "spring fair"
              kith invite list --status active
            """,
        subcommands: [Create.self, List.self])

    struct Create: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "Make an invite code.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "How many accounts it admits, 1 to 100000.")
        var uses = 1
        @Option(help: "When it ends, such as 2027-01-31T00:00:00Z.")
        var expires: String?
        @Option(help: "The only e-mail address that may use it.")
        var boundTo: String?
        @Option(help: "A note to yourself.")
        var note: String?

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.createInvite(uses: uses, expires: expires, boundTo: boundTo, note: note)
        }
    }

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List invite codes, the newest first.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "active, expired or exhausted.")
        var status: String?

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listInvites(status: status)
        }
    }
}
