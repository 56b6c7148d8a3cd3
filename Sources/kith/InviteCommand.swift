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

        func check() throws {
            guard CommandWords.inviteUses.contains(uses) else {
                throw ValidationError("--uses is a number from 1 to \(CommandWords.inviteUses.upperBound)")
            }
            guard let expires, !CommandWords.isMoment(expires) else { return }
            throw ValidationError("--expires is a moment such as 2027-01-31T00:00:00Z, not '\(expires)'")
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.createInvite(uses: uses, expires: expires, boundTo: boundTo, note: note)
        }
    }

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List invite codes, the newest first.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "active, expired or exhausted.")
        var status: String?

        func check() throws { try OptionCheck.word(status, "--status", of: CommandWords.inviteStatuses) }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listInvites(status: status)
        }
    }
}
