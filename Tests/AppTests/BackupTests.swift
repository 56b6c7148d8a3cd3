import ATProtocol
import Base
import Foundation
import Hosting
import Logging
import Storage
import Testing

@testable import App

/// The commands over backups, from the key to the restored instance.
struct BackupTests {
    private static let password = "Seven-Quiet-Rivers-7"

    /// Where the commands of one test keep their things.
    private struct Place {
        let test = TestInstance()
        let folder = TemporaryFolder()
        var backups: String { folder.path + "/backups" }
        var restored: String { folder.path + "/restored" }

        func key() throws -> RecoveryKey {
            let made = try BackupAdministration.makeKey(try test.configuration(), replaces: false)
            let text = try #require(try DataValue(json: Array(made.json.utf8))["recoveryKey"]?.stringValue)
            return try RecoveryKey(parsing: text)
        }

        @discardableResult
        func create() async throws -> DataValue {
            let made = try await BackupAdministration.create(try test.configuration(), in: backups, report: { _ in })
            #expect(made.isWhole)
            return try DataValue(json: Array(made.output.json.utf8))
        }

        func addAccounts(_ names: [String]) async throws {
            try await AdministrationSession.run(try test.configuration(), emptyFolder: .filled) { client in
                for name in names {
                    _ = try await Administration(client).createAccount(
                        handle: name, email: nil, password: BackupTests.password, roles: [])
                }
            }
        }

        func restoredConfiguration(_ name: String) throws -> Configuration {
            let flags = ["data": restored, "development": "true", "hostname": name, "port": "0"]
            return try Configuration(layers: [ConfigurationLayer(flags: flags)])
        }

        func restore(_ key: RecoveryKey) async throws -> DataValue {
            let restoring = BackupRestoring(BackupChoice(BackupSource(backups)), key: key, report: { _ in })
            let output = try await restoring.run(skipping: nil) { try restoredConfiguration($0) }
            return try DataValue(json: Array(output.json.utf8))
        }
    }

    @Test func anInstanceComesBack() async throws {
        let place = Place()
        #expect { _ = try place.key() } throws: { CommandExit.code(of: $0) == 66 }
        try await place.addAccounts(["ada", "ben"])
        let key = try place.key()
        #expect(throws: BackupError.keyExists) { _ = try place.key() }
        let made = try await place.create()
        #expect(made["number"] == 1 && made["missingBlobs"] == [])
        let verdict = try await BackupVerification(
            BackupChoice(BackupSource(place.backups), key: key), report: { _ in }
        )
        .run()
        #expect(verdict.isSound, "\(verdict.output.text)")
        let value = try DataValue(json: Array(verdict.output.json.utf8))
        #expect(value["repositories"] == 2 && value["restored"] == true && value["withoutKey"] == [])

        let head = try #require(made["eventHead"]?.integerValue)
        let restored = try await place.restore(key)
        #expect(restored["renewed"] == 2 && restored["name"] == "localhost:8080")
        let next = try #require(restored["continuesAfter"]?.integerValue)
        #expect(next >= head + EventLog.skipCountMin)
        let instance = try await Instance.open(try place.restoredConfiguration("localhost:8080"), .quiet)
        let events = try await instance.store.log.read(after: head, limitEvents: 100)
        #expect(events.allSatisfy { $0.seq > next } && instance.store.log.head == next + 6)
        #expect(events.map(\.kind) == [.account, .identity, .sync, .account, .identity, .sync])
        await instance.close()
        await #expect { _ = try await place.restore(key) } throws: {
            if case BackupError.notEmpty = $0 { CommandExit.code(of: $0) == 65 } else { false }
        }
    }

    @Test func aRepositoryThatWasDamagedBeforeIsFound() async throws {
        let place = Place()
        try await place.addAccounts(["ada"])
        let key = try place.key()
        try await place.test.serve { instance, _ in
            _ = try await instance.store.database.write {
                try $0.execute("UPDATE repository SET commit_bytes = commit_cid")
            }
        }
        try await place.create()
        let outside = try await BackupVerification(BackupChoice(BackupSource(place.backups)), report: { _ in }).run()
        #expect(outside.isSound)
        let verdict = try await BackupVerification(
            BackupChoice(BackupSource(place.backups), key: key), report: { _ in }
        )
        .run()
        #expect(verdict.faults.count == 1 && "\(verdict.faults[0])".contains("did:plc:"))
    }

    @Test func theFirstBackupMakesAKey() async throws {
        let place = Place()
        try await place.addAccounts([])
        let made = try await place.create()
        let key = try RecoveryKey(parsing: try #require(made["recoveryKey"]?.stringValue))
        #expect(try await place.create()["recoveryKey"] == nil)
        let listed = try await BackupAdministration.list(BackupSource(place.backups), key: key)
        let value = try DataValue(json: Array(listed.json.utf8))
        #expect(value.arrayValue?.count == 2 && value.arrayValue?.first?["key"] == .string(key.sealing.fingerprint))
        #expect(value.arrayValue?.last?["instance"] == "localhost:8080")
    }

    @Test func aRestoreThatWasBrokenOffIsNotServed() async throws {
        let test = TestInstance()
        let directory = DataDirectory(test.folder.path)
        try directory.prepare()
        try DataDirectory.replace(directory.restoreMark, by: "backup 1\n", randomness: SystemRandomness())
        await #expect {
            _ = try await test.open()
        } throws: { error in
            guard case InstanceError.dataDirectory(.unfinished) = error else { return false }
            return true
        }
    }

    @Test func refusalsOfTheServerReachTheCommand() async throws {
        let place = Place()
        try await place.addAccounts([])
        _ = try place.key()
        try FileManager.default.createDirectory(atPath: place.backups, withIntermediateDirectories: true)
        try Data([1]).write(to: URL(fileURLWithPath: place.backups + "/something"))
        await #expect {
            try await place.create()
        } throws: { error in
            "\(error)".contains("holds something that is no backup") && CommandExit.code(of: error) == 65
        }
    }

    @Test func whatWasTakenBackByOtherToolsAgreesAgain() async throws {
        let test = TestInstance()
        let configuration = try test.configuration()
        try await AdministrationSession.run(configuration, emptyFolder: .filled) { client in
            _ = try await Administration(client).createAccount(
                handle: "ada", email: nil, password: Self.password, roles: [])
        }
        let output = try await InstanceRenewal.run(configuration, skipping: 100, report: { _ in })
        let value = try DataValue(json: Array(output.json.utf8))
        #expect(value["continuesAfter"] == 104 && value["renewed"] == 1)
        try await AdministrationSession.run(configuration) { client in
            _ = try await RepositoryAdministration(Administration(client)) { _ in }.verify("ada")
        }
    }
}

extension Surroundings {
    /// A machine whose log nobody reads.
    static var quiet: Surroundings {
        var surroundings = Surroundings(logger: .init(label: "test"))
        surroundings.logger.logLevel = .critical
        return surroundings
    }
}
