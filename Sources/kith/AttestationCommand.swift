import App
import ArgumentParser

struct AttestationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attestation",
        abstract: "Issue, list, take back and verify what communities state of their members.",
        discussion: """
              kith attestation issue --did did:plc:… --subject did:plc:… --subject-handle ada.example --type role \
            --claim '{"role": "Keeper of seeds"}'
              kith attestation list --did did:plc:…
              kith attestation delete 3lf4c2ab5dk2f --did did:plc:… --reason "the term is over"
              kith attestation verify seeds.json
              kith attestation verify seeds.json --offline
            """,
        subcommands: [Issue.self, List.self, Delete.self, Verify.self])

    struct Issue: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "Have a community state something of a member.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "The community.")
        var did: String
        @Option(help: "The member's DID.")
        var subject: String
        @Option(help: "The member's handle, as the statement is to show it.")
        var subjectHandle: String
        @Option(help: "membership, role or credential.")
        var type: String
        @Option(help: "What is claimed: an object as JSON.")
        var claim: String
        @Option(help: "When it ends, such as 2027-01-31T00:00:00Z.")
        var expires: String?
        @Flag(name: .customLong("private"), help: "Hide the claim; its subject opens it field by field.")
        var isPrivate = false

        func check() throws {
            try OptionCheck.word(type, "--type", of: ["membership", "role", "credential"])
            if let expires, !CommandWords.isMoment(expires) {
                throw ValidationError("--expires is a moment such as 2027-01-31T00:00:00Z, not '\(expires)'")
            }
            do { _ = try request } catch { throw ValidationError("--claim: \(error)") }
        }

        private var request: Administration.AttestationRequest {
            get throws {
                try Administration.AttestationRequest(
                    community: did, subject: subject, subjectHandle: subjectHandle, type: type, claim: claim,
                    expires: expires, isPrivate: isPrivate)
            }
        }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.issueAttestation(request)
        }
    }

    struct List: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "List what a community states, the newest first.")

        @OptionGroup var common: AdministrationOptions
        @Option(help: "The community.")
        var did: String
        @Option(help: "Only of this member: a DID.")
        var subject: String?
        @Option(help: "membership, role or credential.")
        var type: String?

        func check() throws { try OptionCheck.word(type, "--type", of: ["membership", "role", "credential"]) }

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.listAttestations(did, subject: subject, type: type)
        }
    }

    struct Delete: AdministrationCommand {
        static let configuration = CommandConfiguration(abstract: "Take an attestation back by deleting it.")

        @OptionGroup var common: AdministrationOptions
        @Argument(help: "The key of its record.")
        var key: String
        @Option(help: "The community.")
        var did: String
        @Option(help: "Why, for the audit.")
        var reason: String?

        func perform(_ administration: Administration) async throws -> CommandOutput {
            try await administration.deleteAttestation(key, in: did, reason: reason)
        }
    }

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
