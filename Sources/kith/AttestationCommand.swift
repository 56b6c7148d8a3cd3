import App
import ArgumentParser

struct AttestationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attestation",
        abstract: "Verify what communities state of their members.",
        discussion: """
              kith attestation verify seeds.json
              kith attestation verify seeds.json --offline
            """,
        subcommands: [Verify.self])

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verify a file in which somebody shows what a community states of them.",
            discussion: """
                The community's signed commit must prove the record, and every field that is disclosed must be one that the \
                community signed. Unless told otherwise the instance asks the community whether it still states it.

                Exit code 0 when the attestation holds, 65 when it does not, 69 when the file holds in itself but nothing tells \
                whether the attestation does: nobody could be asked, or offline only the file says whose key it is.

                  kith attestation verify seeds.json
                  kith attestation verify seeds.json --offline
                  kith attestation verify seeds.json --offline --key did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme
                """)

        @OptionGroup var common: AdministrationOptions
        @Argument(help: "The file.", completion: .file(extensions: ["json"]))
        var file: String
        @Flag(help: "Ask nobody: the attestation may have been taken back since.")
        var offline = false
        @Option(help: "The community's key, for --offline, where the file doesn't prove whose key it is.")
        var key: String?

        func run() async throws {
            try await Outcome.run(for: common.telling) { _ in
                let mode = try self.mode
                let configuration = try common.settings.sources().rememberedConfiguration()
                let output = try await AttestationFiles.verify(file, mode, configuration: configuration)
                StandardOutput.write(common.json ? output.json : output.text)
            }
        }

        private var mode: AttestationFiles.Mode {
            get throws {
                guard let key else { return offline ? .offline(key: nil) : .online }
                guard offline else { throw ValidationError("--key is for --offline") }
                guard let mode = try? AttestationFiles.Mode(offlineWith: key) else {
                    throw ValidationError("--key is a did:key of the kinds P-256 and K-256, not '\(key)'")
                }
                return mode
            }
        }
    }
}
