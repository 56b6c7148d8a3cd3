import App
import ArgumentParser
import Foundation
import Hosting

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Make, list, verify, restore and prune backups.",
        discussion: """
            Backups are sealed: what the server keeps is enough to make them and not to read them. The recovery key, shown once, \
            opens them all. See docs/backup.md.

              kith backup key
              kith backup create /mnt/backup/kith
              kith backup list /mnt/backup/kith
              kith backup verify /mnt/backup/kith --key-file recovery.key
              kith backup restore /mnt/backup/kith --key-file recovery.key --data /var/lib/kith
              kith backup prune /mnt/backup/kith --keep 30

            In place of a folder stands a bucket: 's3://bucket/prefix?endpoint=https://…&region=…', with its keys in \
            KITH_BACKUP_ACCESS_KEY and KITH_BACKUP_SECRET_KEY (or those for blobs).
            """,
        subcommands: [Key.self, Create.self, List.self, Verify.self, Restore.self, Prune.self, Renew.self])

    struct Key: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the recovery key; it is shown this once.",
            discussion: "The server keeps what seals, in secrets/backup.key.")

        @OptionGroup var common: AdministrationOptions
        @Flag(help: "Make another in place of the one there is; take another folder for backups then.")
        var replace = false

        func run() async throws {
            try await Outcome.run(for: common.telling) { _ in
                let configuration = try common.settings.sources().rememberedConfiguration()
                common.print(try BackupAdministration.makeKey(configuration, replaces: replace))
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a backup of the running server.",
            discussion: """
                A folder is on the server's machine, and the server's keys open a bucket: an empty one, or one of earlier backups, to which only what is new is added. \
                Exit codes: 0 made, 1 made but bytes of blobs were missing, others not made; earlier backups are whole in any case.
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var folder: FolderArgument

        func run() async throws {
            try await Outcome.run(for: common.telling) { bar in
                let configuration = try common.settings.sources().rememberedConfiguration()
                let made = try await BackupAdministration.create(configuration, in: folder.path, report: bar.show)
                bar.clear()
                common.print(made.output)
                if !made.isWhole { throw ExitCode(1) }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the backups in a place; with the recovery key also what they hold.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var folder: FolderArgument
        @OptionGroup var key: RecoveryKeyOptions

        func run() async throws {
            try await Outcome.run(for: common.telling) { _ in
                let source = folder.source(try common.settings.sources().configuration())
                common.print(try await BackupAdministration.list(source, key: try key.read()))
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether a folder of backups is whole.",
            discussion: """
                Every file is compared with its hash. With the recovery key every seal is opened, the backup is restored into a \
                scratch folder, every table is compared, every repository verified from tree to signature, every blob hashed. \
                Exit codes: 0 sound, 65 damaged.
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var folder: FolderArgument
        @OptionGroup var key: RecoveryKeyOptions
        @Option(help: "The backup to restore for a trial; the newest unless told otherwise.")
        var number: Int?
        @Option(help: "The number the newest backup must have: finds out that newer ones were taken away.")
        var newest: Int?

        func run() async throws {
            try await Outcome.run(for: common.telling) { bar in
                let configuration = try common.settings.sources().configuration()
                let verification = BackupVerification(
                    BackupChoice(folder.source(configuration), number: number, key: try key.read()),
                    keyEncryptionSecret: configuration.keyEncryptionSecret, report: bar.show)
                let verdict = try await verification.run(newest: newest)
                bar.clear()
                common.print(verdict.output)
                if !verdict.isSound { throw ExitCode(65) }
            }
        }
    }

    struct Restore: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an instance of a backup, in an empty place.",
            discussion: """
                The folder of data must be empty, and so must the database. A backup of either engine restores into either.

                  kith backup restore /mnt/backup/kith --key-file recovery.key --data /var/lib/kith
                  kith backup restore /mnt/backup/kith --key-file recovery.key --data /var/lib/kith --to postgresql://…

                The server that the backup was made of must not run any more.
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var folder: FolderArgument
        @OptionGroup var key: RecoveryKeyOptions
        @Option(help: "The backup; the newest unless told otherwise.")
        var number: Int?
        @Option(help: ArgumentHelp("The database: sqlite:FILE or postgresql:…", valueName: "url"))
        var to: String?
        @Option(help: "How many event numbers to leave out, instead of a number that is surely enough.")
        var skipEvents: Int64?

        func run() async throws {
            try await Outcome.run(for: common.telling) { bar in
                guard let key = try key.read() else {
                    throw ValidationError("the recovery key is needed: --key-file, or KITH_RECOVERY_KEY")
                }
                let source = folder.source(try common.settings.sources().configuration())
                let restoring = BackupRestoring(BackupChoice(source, number: number), key: key, report: bar.show)
                let output = try await restoring.run(skipping: skipEvents) { name in
                    var flags = common.settings.flags
                    flags["database.url"] = to
                    return try common.settings.sources(flags: flags).configuration(named: name)
                }
                bar.clear()
                common.print(output)
            }
        }
    }
}

extension BackupCommand {
    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove all backups but the newest ones, and what no other needs.",
            discussion: """
                What stays is looked at first; if anything is wrong with it, nothing is removed. With the recovery key its \
                manifests are opened too. Broken off, it harms nothing: run it again.
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var folder: FolderArgument
        @OptionGroup var key: RecoveryKeyOptions
        @Option(help: "How many backups stay, the newest ones.")
        var keep: Int

        func validate() throws {
            guard keep >= 1 else { throw ValidationError("--keep: one backup at least stays") }
        }

        func run() async throws {
            try await Outcome.run(for: common.telling) { bar in
                let recoveryKey = try key.read()
                let sources = try common.settings.sources()
                let configuration =
                    recoveryKey == nil ? try sources.rememberedConfiguration() : try sources.configuration()
                let output = try await BackupAdministration.prune(
                    folder.source(configuration), configuration, keeping: keep, recoveryKey: recoveryKey,
                    report: bar.show)
                bar.clear()
                common.print(output)
            }
        }
    }

    struct Renew: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an instance that was brought back by other tools agree with the network again.",
            discussion: """
                For a database that PostgreSQL's own tools, or a copy of the disk, took back to an earlier moment; `restore` does it \
                by itself. Leaves out the event numbers that may have been given since, signs every repository's head anew, ends \
                all sessions. The server must not run.
                """)

        @OptionGroup var common: AdministrationOptions
        @Option(help: "How many event numbers to leave out, instead of a number that is surely enough.")
        var skipEvents: Int64?

        func run() async throws {
            try await Outcome.run(for: common.telling) { bar in
                let configuration = try common.settings.sources().rememberedConfiguration()
                let output = try await InstanceRenewal.run(configuration, skipping: skipEvents, report: bar.show)
                bar.clear()
                common.print(output)
            }
        }
    }
}

/// Where backups are.
struct FolderArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The folder of backups, or s3://bucket/prefix?endpoint=…&region=…", valueName: "place"),
        completion: .directory)
    var path: String

    func source(_ configuration: Configuration) -> BackupSource {
        BackupSource(path, credentials: configuration.backupCredentials)
    }
}

/// Where the recovery key is read from: never the command line, which others on the machine may see.
struct RecoveryKeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A file that holds the recovery key; - is standard input.", valueName: "file"))
    var keyFile: String?

    func read() throws -> RecoveryKey? {
        let text: String?
        switch keyFile {
        case nil: text = ProcessInfo.processInfo.environment["KITH_RECOVERY_KEY"].flatMap { $0.isEmpty ? nil : $0 }
        case "-": text = readLine(strippingNewline: true) ?? ""
        case let path?:
            guard let data = FileManager.default.contents(atPath: path) else {
                throw BackupError.file(path: path, reason: "can't be read")
            }
            text = String(decoding: data, as: UTF8.self)
        }
        return try text.map { try RecoveryKey(parsing: $0) }
    }
}

extension AdministrationOptions {
    /// Prints what came of a command.
    func print(_ output: CommandOutput) {
        StandardOutput.write(json ? output.json : output.text)
    }
}
