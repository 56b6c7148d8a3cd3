import App
import ArgumentParser

struct PartnerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partner",
        abstract: "Look after the keys with which partners register people.",
        discussion: """
              kith partner create --name web --partner "Example Ltd" --origin https://app.example
              kith partner list
              kith partner verify ID
              kith partner revoke ID --yes
            """,
        subcommands: [Create.self, List.self, Verify.self, Revoke.self])

    struct Create: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key: accounts made with it need neither invite nor approval.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "What you call the key.")
        var name: String
        @Option(help: "Whose it is.")
        var partner: String
        @Option(name: .customLong("origin"), help: "From where it may be used, https://app.example; may be repeated.")
        var origins: [String]
        @Option(help: "Accounts it may make within an hour, 1 to 10000.")
        var hourly = 100

        func check() throws {
            guard CommandWords.partnerHourlyLimits.contains(hourly) else {
                throw ValidationError("--hourly is a number from 1 to \(CommandWords.partnerHourlyLimits.upperBound)")
            }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.createPartnerKey(
                name: name, partner: partner, origins: origins, hourlyMax: hourly)
        }
    }

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys, the newest first.")

        @OptionGroup var common: AdministrationOptions

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listPartnerKeys()
        }
    }

    struct Verify: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look whether all origins of a key show the partner's proof.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var key: KeyArgument

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.verifyPartnerKey(key.id)
        }
    }

    struct Revoke: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "End a key for good, at once.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var key: KeyArgument
        @Flag(help: "Yes, end it.")
        var yes = false

        func check() throws {
            guard yes else { throw ValidationError("this can't be undone: say --yes") }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.revokePartnerKey(key.id)
        }
    }

    /// Which key is meant.
    struct KeyArgument: ParsableArguments {
        @Argument(help: "The id of a key, as the list shows it.")
        var id: String
    }
}
