import Base
import Foundation
import Testing

@testable import App

struct DataDirectoryTests {
    private func mode(_ path: String) throws -> Int {
        try #require(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test func secretsAreTheOwnersAlone() async throws {
        let test = TestInstance()
        try await test.serve { instance, _ async throws in
            let folder = test.folder.path
            for path in ["/secrets", "/tmp", "/blobs"] { #expect(try mode(folder + path) & 0o077 == 0, "\(path)") }
            let isEmbedded = test.folder.server == nil
            let database = isEmbedded ? ["/kith.sqlite"] : []
            for path in ["/secrets/vault.key", "/secrets/operator", "/kith.lock"] + database {
                #expect(try mode(folder + path) == 0o600, "\(path)")
            }
            instance.directory.remember(instance.configuration.name, randomness: SystemRandomness())
            let paths = try FileManager.default.subpathsOfDirectory(atPath: folder)
            #expect(paths.contains("served-as") && paths.contains("kith.sqlite-wal") == isEmbedded)
            for path in paths { #expect(try mode(folder + "/" + path) & 0o077 == 0, "\(path)") }
        }
        #expect(!FileManager.default.fileExists(atPath: test.folder.path + "/secrets/operator"))
    }

    @Test func anOpenFileIsReplacedByAClosedOne() throws {
        let folder = TemporaryFolder()
        let directory = DataDirectory(folder.path)
        try directory.prepare()
        let path = folder.path + "/served-as"
        #expect(
            FileManager.default.createFile(
                atPath: path, contents: Data("old.test\n".utf8), attributes: [.posixPermissions: 0o644]))
        let name = try #require(PublicName("new.test"))
        for _ in 0..<2 { directory.remember(name, randomness: SystemRandomness()) }
        #expect(directory.servedName == "new.test")
        #expect(try mode(path) == 0o600)
    }

    @Test func oneProcessAtATime() async throws {
        let test = TestInstance()
        let first = try await test.open()
        await #expect { _ = try await test.open() } throws: { error in
            guard case InstanceError.dataDirectory(.inUse(_, let processID)) = error else { return false }
            return processID == Int(getpid()) && CommandExit.code(of: error) == 75
        }
        await first.close()
    }

    @Test func theLockGoesWithItsHolder() async throws {
        let folder = TemporaryFolder()
        let directory = DataDirectory(folder.path)
        try directory.prepare()
        do {
            let lock = try InstanceLock(directory)
            #expect(throws: DataDirectoryError.inUse(path: folder.path, processID: Int(getpid()))) {
                _ = try InstanceLock(directory)
            }
            withExtendedLifetime(lock) {}
        }
        _ = try InstanceLock(directory)
    }

    @Test func whatAnEarlierProcessLeftIsRemoved() async throws {
        let test = TestInstance()
        let directory = DataDirectory(test.folder.path)
        try directory.prepare()
        #expect(FileManager.default.createFile(atPath: directory.temporary + "/import-left", contents: Data([1])))
        let instance = try await test.open()
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.temporary).isEmpty)
        await instance.close()
    }

    @Test func aFolderThatCannotBeMadeIsToldOf() async throws {
        let folder = TemporaryFolder()
        try Data().write(to: URL(filePath: folder.path))
        let test = TestInstance(folder)
        await #expect { _ = try await test.open() } throws: { error in
            guard case InstanceError.dataDirectory(.unavailable) = error else { return false }
            return CommandExit.code(of: error) == 73 && !"\(error)".contains("Domain")
        }
    }

    @Test func ticketsAreReadBack() throws {
        let folder = TemporaryFolder()
        let directory = DataDirectory(folder.path)
        try directory.prepare()
        #expect(OperatorTicket(of: directory) == nil)
        let ticket = OperatorTicket(address: "http://127.0.0.1:1234", password: Secret("word"))
        try ticket.write(to: directory, randomness: SystemRandomness())
        try ticket.write(to: directory, randomness: SystemRandomness())
        #expect(OperatorTicket(of: directory) == ticket)
        #expect(!"\(ticket)".contains("word"))
    }
}
