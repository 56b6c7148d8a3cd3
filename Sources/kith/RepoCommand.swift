import App
import ArgumentParser
import Foundation

struct RepoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repo",
        abstract: "Export, import, verify and mend repositories.",
        discussion: """
              kith repo export ada
              kith repo verify ada.car
              kith repo verify did:plc:ewvi7nxzyoun6zhxrhs64oiz
              kith repo import ada ada.car
              kith repo rebuild ada
            """,
        subcommands: [Export.self, Import.self, Verify.self, Rebuild.self])

    struct Export: RepositoryCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the archive (CAR) of a hosted repository to a file.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Option(name: .shortAndLong, help: "The file; by default the handle with .car behind it.")
        var output: String?

        func perform(_ repositories: RepositoryAdministration) async throws -> CommandOutput {
            try await repositories.export(account.name, to: output)
        }
    }

    struct Import: RepositoryCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace a hosted repository by an archive (CAR).",
            discussion: "The archive is checked whole before anything changes, and its tree is signed anew.")

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Argument(help: "The archive.", completion: .file(extensions: ["car"]))
        var file: String

        func perform(_ repositories: RepositoryAdministration) async throws -> CommandOutput {
            try await repositories.importArchive(account.name, file: file)
        }
    }

    struct Rebuild: RepositoryCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare a hosted repository's tree with its records, and mend it.",
            discussion: """
                The tree is computed from the records alone and compared with the one that is stored. Where they differ, a new \
                tree is laid, signed and announced. Records that are damaged themselves are left out and named.
                """)

        @OptionGroup var common: AdministrationOptions
        @OptionGroup var account: NameArgument
        @Flag(help: "Only look; exit code 65 when something is damaged.")
        var check = false
        @Flag(help: "Make it anew although nothing is damaged.")
        var force = false

        func perform(_ repositories: RepositoryAdministration) async throws -> CommandOutput {
            try await repositories.rebuild(account.name, scope: check ? .never : force ? .always : .damaged)
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verify an archive (CAR) or a hosted repository, and say what was verified.",
            discussion: """
                Every block is hashed, the tree must have its one canonical shape, every record must be a canonical map, and the \
                commit must be signed by the key of the DID's document. Exit code 65 when the archive is not sound.

                  kith repo verify ada.car
                  kith repo verify ada.car --key did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme
                  kith repo verify ada
                """)

        @OptionGroup var common: AdministrationOptions
        @Argument(help: "A file, or the handle, name or DID of an account hosted here.")
        var target: String
        @Option(help: "The key that must have signed it, instead of looking the document up.")
        var key: String?
        @Flag(help: "Leave the signature open.")
        var withoutKey = false

        func run() async throws {
            guard FileManager.default.fileExists(atPath: target) else { return try await Hosted.run(target, common) }
            try await Outcome.run(for: common.telling) { bar in
                let configuration = try common.settings.sources().rememberedConfiguration()
                let output = try await ArchiveFiles.verify(
                    target, keys: try keySource, configuration: configuration, report: bar.show)
                bar.clear()
                StandardOutput.write(common.json ? output.json : output.text)
            }
        }

        private var keySource: ArchiveFiles.KeySource {
            get throws {
                if withoutKey { return .none }
                guard let key else { return .document }
                guard let source = try? ArchiveFiles.KeySource(didKey: key) else {
                    throw ValidationError("--key is a did:key of the kinds P-256 and K-256, not '\(key)'")
                }
                return source
            }
        }

        private enum Hosted {
            static func run(_ name: String, _ common: AdministrationOptions) async throws {
                try await RepositoryRun.run(common) { repositories in
                    do {
                        return try await repositories.verify(name)
                    } catch AdministrationError.refused(_, "NotFound", _) {
                        throw AdministrationError.file(path: name, reason: "there is no such file, and no such account")
                    }
                }
            }
        }
    }
}

/// A command over a hosted repository.
protocol RepositoryCommand: AsyncParsableCommand {
    var common: AdministrationOptions { get }
    func perform(_ repositories: RepositoryAdministration) async throws -> CommandOutput
}

extension RepositoryCommand {
    func run() async throws {
        try await RepositoryRun.run(common) { try await perform($0) }
    }
}

enum RepositoryRun {
    static func run(
        _ common: AdministrationOptions, _ body: (RepositoryAdministration) async throws -> CommandOutput
    ) async throws {
        try await Outcome.run(for: common.telling) { bar in
            let configuration = try common.settings.sources().rememberedConfiguration()
            let output = try await AdministrationSession.run(configuration) { client in
                try await body(RepositoryAdministration(Administration(client), report: bar.show))
            }
            bar.clear()
            StandardOutput.write(common.json ? output.json : output.text)
        }
    }
}
