import ATProtocol
import Base
import Foundation
import Testing

@testable import App

/// The operator's commands, beside a running server and without one.
struct AdministrationTests {
    private static let password = "Seven-Quiet-Rivers-7"

    /// How a command finds its instance.
    enum Way {
        case beside, alone
    }

    private func administer(
        _ way: Way, _ test: TestInstance, _ body: (Administration) async throws -> Void
    ) async throws {
        let configuration = try test.configuration()
        switch way {
        case .alone:
            try await AdministrationSession.run(configuration, emptyFolder: .filled) {
                try await body(Administration($0))
            }
        case .beside:
            try await test.serve { _, _ in
                try await AdministrationSession.run(configuration) { try await body(Administration($0)) }
            }
        }
    }

    private func value(_ output: CommandOutput) throws -> DataValue { try DataValue(json: Array(output.json.utf8)) }

    @Test(arguments: [Way.beside, .alone]) func accountsAreMadeListedAndChanged(_ way: Way) async throws {
        try await administer(way, TestInstance()) { administration async throws in
            let made = try value(
                try await administration.createAccount(
                    handle: "ada", email: "ada@mail.test", password: Self.password, roles: ["moderator"]))
            #expect(made["handle"] == "ada.test" && made["status"] == "approved")
            #expect(made["roles"] == ["moderator", "user"] && made["password"] == nil)
            let other = try await administration.createAccount(handle: "ben", email: nil, password: nil, roles: [])
            let word = try #require(try value(other)["password"]?.stringValue)
            #expect(other.text.contains(word))

            let all = try value(try await administration.listAccounts(status: nil, role: nil, search: nil))
            #expect(Set((all.arrayValue ?? []).compactMap { $0["handle"]?.stringValue }) == ["ada.test", "ben.test"])
            let moderators = try value(
                try await administration.listAccounts(status: nil, role: "moderator", search: nil))
            #expect(moderators.arrayValue?.count == 1)

            let did = try #require(made["did"]?.stringValue)
            #expect(
                try value(try await administration.updateAccount(did, change: "suspend"))["status"] == "suspended")
            #expect(
                try value(try await administration.updateAccount("ada", change: "unsuspend"))["status"] == "approved")
            let roles = try await administration.changeRoles("ada@mail.test", add: ["auditor"], remove: ["moderator"])
            #expect(try value(roles)["roles"] == ["auditor", "user"])
            _ = try await administration.deleteAccount("ben")
            let shown = try await administration.listAccounts(status: nil, role: nil, search: nil)
            #expect(shown.text.split(separator: "\n").count == 2 && shown.text.contains("ada.test"))
        }
    }

    @Test(arguments: [Way.beside, .alone]) func invitesAreMadeAndListed(_ way: Way) async throws {
        try await administer(way, TestInstance()) { administration async throws in
            let code = try await administration.createInvite(uses: 3, expires: nil, boundTo: nil, note: "fair")
            let listed = try value(try await administration.listInvites(status: "active"))
            #expect(listed.arrayValue?.first?["code"]?.stringValue == code.text)
            #expect(listed.arrayValue?.first?["maxUses"] == 3 && listed.arrayValue?.first?["note"] == "fair")
        }
    }

    @Test func refusalsBecomeExitCodes() async throws {
        try await administer(.alone, TestInstance()) { administration async throws in
            await #expect { _ = try await administration.showAccount("nobody") } throws: { error in
                guard case AdministrationError.refused(_, let name, _) = error else { return false }
                return name == "NotFound" && CommandExit.code(of: error) == 65
            }
            await #expect {
                _ = try await administration.createAccount(handle: "x", email: nil, password: "weak", roles: [])
            } throws: { CommandExit.code(of: $0) == 65 }
        }
    }

    /// A command over the wrong folder makes no server there.
    @Test func aFolderWithoutAnInstanceIsRefusedAndLeftAlone() async throws {
        let test = TestInstance()
        let configuration = try test.configuration()
        for exists in [false, true] {
            if exists {
                try FileManager.default.createDirectory(atPath: test.folder.path, withIntermediateDirectories: true)
            }
            await #expect {
                try await AdministrationSession.run(configuration) { _ in }
            } throws: { error in
                guard case InstanceError.dataDirectory(.noInstance) = error else { return false }
                return CommandExit.code(of: error) == 66
            }
            let left = try? FileManager.default.contentsOfDirectory(atPath: test.folder.path)
            #expect(left == (exists ? [] : nil))
        }
        try await test.open().close()
        try await AdministrationSession.run(configuration) { _ in }
    }

    @Test func filesThatCannotBeReadAreToldOf() async throws {
        let configuration = try TestInstance().configuration()
        for path in ["/tmp", "/nowhere/at.all"] {
            await #expect {
                _ = try await ArchiveFiles.verify(path, keys: .none, configuration: configuration) { _ in }
            } throws: { error in
                guard case AdministrationError.file(path, _) = error else { return false }
                return CommandExit.code(of: error) == 66
            }
        }
    }

    @Test func failuresAreToldToPrograms() throws {
        func json(_ error: any Error) throws -> DataValue {
            try DataValue(json: Array(CommandFailure(error).json.utf8))
        }
        let refused = AdministrationError.refused(status: 400, error: "NotFound", message: "Account not found")
        #expect(try json(refused) == ["error": "NotFound", "message": "Account not found (NotFound)"])
        let unsound = AdministrationError.unsound(CommandOutput(["did": "did:web:x.test"], text: "table"))
        #expect(try json(unsound)["report"]?["did"] == "did:web:x.test")
        #expect(CommandExit.code(of: unsound) == 65)
        let raw = NSError(domain: NSPOSIXErrorDomain, code: 13)
        #expect(try json(raw)["message"]?.stringValue?.contains("Domain") == false)
        #expect(CommandFailure(usage: "so not").code == 64)
    }

    /// A server that died left its ticket, and nobody holds the lock: the command opens the folder itself.
    @Test func aTicketThatWasLeftBehindIsOfNoUse() async throws {
        let test = TestInstance()
        let directory = DataDirectory(test.folder.path)
        try directory.prepare()
        try OperatorTicket(address: "http://127.0.0.1:9", password: Secret("x"))
            .write(to: directory, randomness: SystemRandomness())
        try await administer(.alone, test) { administration async throws in
            #expect(try await administration.listAccounts(status: nil, role: nil, search: nil).json == "[]")
        }
    }

    @Test func repositoriesAreExportedVerifiedImportedAndMended() async throws {
        let test = TestInstance()
        let folder = TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let (file, damaged) = (folder.path + "/ada.car", folder.path + "/damaged.car")
        let configuration = try test.configuration()
        try await administer(.beside, test) { administration async throws in
            _ = try await administration.createAccount(handle: "ada", email: nil, password: Self.password, roles: [])
            let repositories = RepositoryAdministration(administration) { _ in }
            let exported = try value(try await repositories.export("ada", to: file))
            #expect(exported["file"]?.stringValue == file)
            #expect(try value(try await repositories.verify("ada"))["signature"] == "valid")

            let checked = try await ArchiveFiles.verify(
                file, keys: .document, configuration: configuration, report: { _ in })
            #expect(try value(checked)["signature"] == "valid" && value(checked)["records"] == 0)
            let other = try ArchiveFiles.KeySource(
                didKey: "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme")
            await #expect(throws: RepositoryError.invalidSignature) {
                _ = try await ArchiveFiles.verify(file, keys: other, configuration: configuration, report: { _ in })
            }

            var bytes = try #require(FileManager.default.contents(atPath: file))
            bytes[bytes.count - 1] ^= 1
            try bytes.write(to: URL(filePath: damaged))
            await #expect(throws: RepositoryError.self) {
                _ = try await ArchiveFiles.verify(damaged, keys: .none, configuration: configuration, report: { _ in })
            }
            await #expect(throws: AdministrationError.self) {
                _ = try await repositories.importArchive("ada", file: damaged)
            }
            #expect(try value(try await repositories.importArchive("ada", file: file))["records"] == 0)
            #expect(try await repositories.rebuild("ada", scope: .damaged).text.contains("nothing to mend"))
            #expect(try value(try await repositories.rebuild("ada", scope: .always))["leftOut"] == [])
            #expect(try value(try await repositories.verify("ada"))["signature"] == "valid")
        }
    }
}
