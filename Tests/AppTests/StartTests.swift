import Base
import Foundation
import Storage
import TestDatabases
import Testing

@testable import App

/// What keeps an instance from being opened; with the binary itself in Tests/Conformance/test_start.py.
struct StartTests {
    /// An instance that was served once.
    private func served() async throws -> TestInstance {
        let test = TestInstance()
        await (try await test.open()).close()
        return test
    }

    /// Runs a statement in its database.
    private func run(_ sql: String, in test: TestInstance) async throws {
        let database = try await opened(test)
        _ = try await database.write { try $0.execute(sql) }
        await database.close()
    }

    private func opened(_ test: TestInstance) async throws -> any Database {
        try test.configuration().database.open(try test.configuration(), SystemRandomness())
    }

    private func name(in test: TestInstance) async throws -> String? {
        let database = try await opened(test)
        let dialect = database.dialect
        let mark = try await database.read { try InstanceMark.find(in: $0, dialect) }
        await database.close()
        return mark.name
    }

    private func sentence(_ test: TestInstance) async -> String {
        do {
            await (try await test.open()).close()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func aNewerSchemaIsRefused() async throws {
        let test = try await served()
        try await run("INSERT INTO storage_migration VALUES ('storage', 99, \(test.empty), 0)", in: test)
        #expect(
            await sentence(test)
                == "this database was used by a newer version of Kith (it has step 99 of 'storage')")
    }

    @Test func aChangedSchemaIsRefused() async throws {
        let test = try await served()
        try await run("UPDATE storage_migration SET digest = \(test.empty) WHERE room = 'storage'", in: test)
        #expect(await sentence(test).hasPrefix("step 1 of the schema of 'storage' differs"))
    }

    @Test func onlyWhoServedADatabaseMayRenameIt() async throws {
        var test = try await served()
        #expect(try await name(in: test) == "localhost:8080")
        test.settings["hostname"] = "other.test"
        // The folder doesn't know under which name it was served: that is remembered by who serves.
        #expect(await sentence(test).contains("belongs to localhost:8080"))
        #expect(try await name(in: test) == "localhost:8080")
        let directory = DataDirectory(test.folder.path)
        directory.remember(try TestInstance().configuration().name, randomness: SystemRandomness())
        #expect(await sentence(test) == "")
        #expect(try await name(in: test) == "other.test")
        test.settings["hostname"] = "third.test"
        #expect(await sentence(test).contains("belongs to other.test"))
    }

    @Test func anotherKeyIsRefused() async throws {
        var test = try await served()
        test.settings["key-encryption-secret"] = "another secret, and a long one at that"
        #expect(await sentence(test).contains("belongs to another instance"))
    }

    @Test func mistakesAreToldTogether() async throws {
        var test = try await served()
        try await run("INSERT INTO storage_migration VALUES ('storage', 99, \(test.empty), 0)", in: test)
        test.settings["key-encryption-secret"] = "another secret, and a long one at that"
        test.settings["blobs.url"] = "file:/dev/null/blobs"
        await #expect {
            try await test.open()
        } throws: { error in
            let lines = "\(error)".split(separator: "\n")
            let (newer, other, blobs) = (lines[1], lines[2], lines[3])
            return error is StartMistakes && lines.count == 4 && newer.contains("newer version")
                && other.contains("another instance") && blobs.contains("/dev/null/blobs")
                && CommandExit.code(of: error) == 78
        }
    }

    @Test func aFolderThatCannotBeMadeHidesNothing() async throws {
        let settings = [
            "data": "/dev/null/data", "hostname": "localhost:8080",
            "database.url": "postgresql://kith@127.0.0.1:9/kith",
        ]
        let configuration = try Configuration(layers: [ConfigurationLayer(flags: settings)])
        await #expect {
            try await Instance.open(configuration, .quiet)
        } throws: { error in
            let sentences = (error as? StartMistakes)?.mistakes.map { "\($0)" } ?? []
            return sentences.count == 2 && sentences[0].hasPrefix("/dev/null/data")
                && sentences[1].hasPrefix("the database can't be opened") && CommandExit.code(of: error) == 1
        }
    }

    @Test func aWrongKeyOfTheConfigurationHidesNothing() async throws {
        let settings = ["port": "many", "database.url": "postgresql://kith@127.0.0.1:9/kith", "data": "/dev/null/data"]
        let sources = try ConfigurationSources(flags: settings, file: nil, environment: [:])
        await #expect {
            try await Serve.run(sources)
        } throws: { error in
            let text = "\(error)"
            return text.hasPrefix("the server can't start, for 3 reasons:\n  - --port: “many” is not")
                && text.contains("\n  - /dev/null/data: can't be made: Not a directory")
                && text.contains("\n  - the database can't be opened:") && CommandExit.code(of: error) == 78
        }
        // A database whose address can't be read isn't looked for elsewhere.
        let unreadable = ["database.url": "mysql:x", "data": "/tmp/kith-that-nobody-makes"]
        await #expect(throws: ConfigurationMistakes.self) {
            try await Serve.run(try ConfigurationSources(flags: unreadable, file: nil, environment: [:]))
        }
    }
    @Test func aWrongKeyOfTheConfigurationHidesNoFile() async throws {
        let folder = TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/secrets", withIntermediateDirectories: true)
        try Data("junk".utf8).write(to: URL(filePath: folder.path + "/secrets/vault.key"))
        try Data(repeating: 7, count: 9000).write(to: URL(filePath: folder.path + "/kith.sqlite"))
        let before = try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
        let settings = ["port": "many", "data": folder.path, "blobs.url": "file:/dev/null/blobs"]
        await #expect {
            try await Serve.run(try ConfigurationSources(flags: settings, file: nil, environment: [:]))
        } throws: { error in
            let sentences = (error as? StartMistakes)?.mistakes.map { "\($0)" } ?? []
            return sentences.count == 4 && sentences[1].contains("vault.key")
                && sentences[2].contains("no database") && sentences[3].contains("/dev/null/blobs")
                && CommandExit.code(of: error) == 78
        }
        #expect(try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted() == before)
        // A folder that isn't there is made at a start without mistakes only.
        let absent = ["port": "many", "data": folder.path + "/not/there"]
        await #expect(throws: ConfigurationMistakes.self) {
            try await Serve.run(try ConfigurationSources(flags: absent, file: nil, environment: [:]))
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/not"))
    }

    @Test func whatIsInUseIsToldBesideMistakes() async throws {
        let test = TestInstance()
        let instance = try await test.open()
        let settings = ["port": "many", "data": test.folder.path]
        await #expect {
            try await Serve.run(try ConfigurationSources(flags: settings, file: nil, environment: [:]))
        } throws: { error in
            let mistakes = (error as? StartMistakes)?.mistakes ?? []
            guard mistakes.count == 2, case InstanceError.dataDirectory(.inUse) = mistakes[1] else { return false }
            return CommandExit.code(of: error) == 78
        }
        await instance.close()
    }

    private static let codes: [(InstanceError, Int32)] = [
        (.schema(.newer(room: "a", number: 9)), 78), (.schema(.changed(room: "a", number: 1)), 78),
        (.schema(.unreadable(.unavailable(detail: "away"))), 1), (.keys(.otherKey), 78),
        (.keys(.exposed(path: "/k")), 78), (.keys(.unavailable(path: "/k", reason: "?")), 1),
        (.dataDirectory(.unfinished(path: "/d")), 78), (.replica(.unavailable(detail: "no (28000)")), 78),
        (.database(.corrupt(detail: "?")), 78), (.database(.busy), 1),
        (.database(.unavailable(detail: "x: FATAL: role \"nobody\" does not exist (28000)")), 78),
        (.database(.unavailable(detail: "x: FATAL: the database system is starting up (57P03)")), 1),
        (.database(.unavailable(detail: "x: Connection refused")), 1),
        (.database(.unavailable(detail: "/f/kith.sqlite: Permission denied")), 78),
        (.blobs(.refused(reason: "no such bucket")), 78), (.blobs(.unavailable(reason: "away")), 1),
    ]

    /// Who starts again whatever has ended with another code would do so for ever.
    @Test(arguments: codes) func whatOnlyAnOperatorCanChangeIs78(_ error: InstanceError, code: Int32) {
        #expect(CommandExit.code(of: error) == code, "\(error)")
    }
}

extension TestInstance {
    /// No bytes, as its engine writes them.
    fileprivate var empty: String { folder.server == nil ? "x''" : "'\\x'::BYTEA" }
}
