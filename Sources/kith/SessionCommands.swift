import App
import ArgumentParser

extension AccountCommand {
    struct Sessions: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the sessions of an account, or end some.",
            discussion: """
                  kith account sessions ada
                  kith account sessions ada --end 9f3kPq2z
                  kith account sessions ada --end-all
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Option(help: "End this one.")
        var end: String?
        @Flag(help: "End all of them.")
        var endAll = false

        func check() throws {
            guard end == nil || !endAll else { throw ValidationError("--end or --end-all, not both") }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            guard end != nil || endAll else { return try await administration.listSessions(account.name) }
            return try await administration.revokeSessions(account.name, session: end)
        }
    }
}
