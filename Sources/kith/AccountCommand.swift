import App
import ArgumentParser

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Look after accounts.",
        discussion: """
            NAME is a handle, a bare name (ada), a DID or an e-mail address. The commands work beside a running server and \
            without one: they find the one that holds the data folder.

              kith account create --handle ada --email ada@example.org
              kith account list --status pending
              kith account approve ada
              kith account suspend did:plc:ewvi7nxzyoun6zhxrhs64oiz
            """,
        subcommands: [
            Create.self, List.self, Show.self, Approve.self, Reject.self, Suspend.self, Unsuspend.self, TakeDown.self,
            Restore.self, Disable.self, Enable.self, Deactivate.self, Activate.self, Roles.self, Password.self,
            Sessions.self, Delete.self,
        ])

    struct Create: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an account: no invite, no approval.",
            discussion: """
                Without a password one is made up and shown once. To keep a password off the command line:

                  kith account create --handle ada --password-stdin < password.txt
                  kith account create --handle mod --role moderator
                """)

        @OptionGroup var common: AdministrationOptions
        @Option(help: "A bare name, or a whole handle under a domain served here.")
        var handle: String
        @Option(help: "The e-mail address.")
        var email: String?
        @OptionGroup var secret: PasswordOptions
        @Option(name: .customLong("role"), help: "admin, moderator, partner-manager or auditor; may be repeated.")
        var roles: [String] = []

        func check() throws { try OptionCheck.roles(roles, "--role") }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.createAccount(
                handle: handle, email: email, password: try secret.read(), roles: roles)
        }
    }

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List accounts, the newest first.")

        @OptionGroup var common: AdministrationOptions
        @Option(
            help: "pending, approved, rejected, disabled, suspended, takendown or deactivated.")
        var status: String?
        @Flag(help: "The same as --status pending.")
        var pending = false
        @Option(help: "admin, moderator, partner-manager, auditor or user.")
        var role: String?
        @Option(help: "A part of the handle or of the address.")
        var search: String?

        func check() throws {
            try OptionCheck.word(status, "--status", of: CommandWords.accountStatuses)
            try OptionCheck.word(role, "--role", of: CommandWords.roles)
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listAccounts(status: pending ? "pending" : status, role: role, search: search)
        }
    }

    struct Show: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "Show an account.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.showAccount(account.name)
        }
    }

    struct Roles: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give and take roles.",
            discussion: "  kith account roles ada --add moderator --remove auditor")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Option(help: "A role to give; may be repeated.")
        var add: [String] = []
        @Option(help: "A role to take; may be repeated.")
        var remove: [String] = []

        func check() throws {
            try OptionCheck.roles(add, "--add")
            try OptionCheck.roles(remove, "--remove")
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.changeRoles(account.name, add: add, remove: remove)
        }
    }

    struct Password: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set a new password; all sessions of the account end.",
            discussion: "  kith account password ada --password-stdin < password.txt")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @OptionGroup var secret: PasswordOptions

        func perform(_ administration: Administration) async throws -> CommandOutput {
            guard let password = try secret.read() else {
                throw ValidationError("a password is needed: --password-stdin, or --password")
            }
            return try await administration.updateAccount(account.name, password: password)
        }
    }

    struct Delete: AdministrationCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete an account for good.",
            discussion: """
                Its repository, sessions and keys go, and the network is told. Export the repository first:

                  kith repo export ada --output ada.car
                  kith account delete ada --yes
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Flag(help: "Yes, delete it.")
        var yes = false

        func check() throws {
            guard yes else { throw ValidationError("this can't be undone: say --yes") }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.deleteAccount(account.name)
        }
    }
}

/// Which account is meant.
struct NameArgument: ParsableArguments {
    @Argument(help: "A handle, a bare name, a DID or an e-mail address.")
    var name: String
}

/// A command that changes an account's state.
protocol StateCommand: AdministrationCommand {
    /// As `social.kith.admin.updateAccount` calls it.
    static var change: String { get }
    var account: NameArgument { get }
}

extension StateCommand {
    func perform(_ administration: Administration) async throws -> CommandOutput {
        try await administration.updateAccount(account.name, change: Self.change)
    }
}

extension AccountCommand {
    struct Approve: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Let a waiting account in.")
        static let change = "approve"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Reject: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Turn a waiting account away.")
        static let change = "reject"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Suspend: StateCommand {
        static let configuration = CommandConfiguration(
            abstract: "Suspend an account: its sessions end and it can't be read.")
        static let change = "suspend"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Unsuspend: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Lift a suspension; the account is as it was before.")
        static let change = "unsuspend"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct TakeDown: StateCommand {
        static let configuration = CommandConfiguration(
            commandName: "takedown", abstract: "Take an account down; its owner may still leave with their data.")
        static let change = "takedown"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Restore: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Undo a takedown; the account is as it was before.")
        static let change = "restore"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Disable: StateCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shut an account: its sessions end and nobody can sign in to it.")
        static let change = "disable"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Enable: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Open an account again that was disabled.")
        static let change = "enable"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Deactivate: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Hide an account, as its owner could.")
        static let change = "deactivate"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }

    struct Activate: StateCommand {
        static let configuration = CommandConfiguration(abstract: "Make a hidden account active again.")
        static let change = "activate"
        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
    }
}
