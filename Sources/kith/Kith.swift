import App
import ArgumentParser

@main
struct Kith: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kith",
        abstract: "A home for people and communities on the open social web.",
        version: KithVersion.number,
        subcommands: [
            ServeCommand.self, AccountCommand.self, InviteCommand.self, PartnerCommand.self,
            AuditCommand.self, RepoCommand.self, DatabaseCommand.self,
            BackupCommand.self,
            AttestationCommand.self,
            RoutesCommand.self,
            ConfigurationCommand.self,
            VersionCommand.self,
        ])
}
