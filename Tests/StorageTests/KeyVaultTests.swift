import Base
import Foundation
import Storage
import TestDatabases
import Testing

@Suite struct KeyVaultTests {
    private let random = SeededRandomness(seed: 11)
    private let purpose = KeyPurpose("test.signing")

    private func vault() throws -> KeyVault {
        try KeyVault(secret: String(repeating: "s", count: 32), randomness: random)
    }

    @Test func whatIsSealedOpens() throws {
        let vault = try vault()
        for length in [0, 1, 32, 1000] {
            let secret = random.bytes(length)
            let envelope = try vault.seal(secret, purpose: purpose, owner: "did:plc:a")
            #expect(envelope.count == length + 33 && envelope.first == 1)
            #expect(try vault.open(envelope, purpose: purpose, owner: "did:plc:a") == secret)
        }
        let (one, two) = (
            try vault.seal([1], purpose: purpose, owner: "a"), try vault.seal([1], purpose: purpose, owner: "a")
        )
        #expect(one != two)
    }

    @Test func nothingElseOpens() throws {
        let vault = try vault()
        let envelope = try vault.seal(random.bytes(32), purpose: purpose, owner: "ab")
        #expect(throws: KeyVaultError.cannotOpen) { try vault.open(envelope, purpose: purpose, owner: "a") }
        #expect(throws: KeyVaultError.cannotOpen) {
            try vault.open(envelope, purpose: KeyPurpose("test.signin"), owner: "gab")
        }
        #expect(throws: KeyVaultError.unknownVersion(2)) {
            try vault.open([2] + envelope.dropFirst(), purpose: purpose, owner: "ab")
        }
        for index in envelope.indices {
            for bit in 0..<8 {
                var flipped = envelope
                flipped[index] ^= 1 << UInt8(bit)
                #expect(throws: KeyVaultError.self) { try vault.open(flipped, purpose: purpose, owner: "ab") }
            }
        }
        for length in 0..<envelope.count {
            #expect(throws: KeyVaultError.self) {
                try vault.open(Array(envelope.prefix(length)), purpose: purpose, owner: "ab")
            }
        }
        let other = try KeyVault(secret: String(repeating: "t", count: 32), randomness: random)
        #expect(throws: KeyVaultError.cannotOpen) { try other.open(envelope, purpose: purpose, owner: "ab") }
    }

    @Test func aShortSecretIsRefused() {
        #expect(throws: KeyVaultError.weakSecret(lengthMin: 32)) {
            try KeyVault(secret: String(repeating: "s", count: 31), randomness: random)
        }
    }

    @Test func theKeyFileIsMadeOnceAndKept() throws {
        let directory = try ScratchDirectory()
        let path = directory.file("key")
        let envelope = try KeyVault.opening(file: path, randomness: random).seal([9], purpose: purpose, owner: "a")
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let again = try KeyVault.opening(file: path, randomness: random)
        #expect(try again.open(envelope, purpose: purpose, owner: "a") == [9])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["key"])
        let key = try String(contentsOfFile: path, encoding: .utf8)
        #expect(!"\(again)".contains(key.prefix(16)))
    }

    @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o610, 0o601]) func anExposedKeyFileIsRefused(mode: Int) throws {
        let directory = try ScratchDirectory()
        let path = directory.file("key")
        _ = try KeyVault.opening(file: path, randomness: random)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        #expect(throws: KeyVaultError.exposed(path: path)) { try KeyVault.opening(file: path, randomness: random) }
    }

    @Test func aMalformedKeyFileIsRefused() throws {
        let directory = try ScratchDirectory()
        let path = directory.file("key")
        let good = String(repeating: "ab", count: 32)
        for text in ["", "short", good + "a", good + "\n\n", good.dropLast() + "x", good + "\n" + good] {
            _ = FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
            #expect(throws: KeyVaultError.malformed(path: path), "\(text)") {
                try KeyVault.opening(file: path, randomness: random)
            }
        }
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: directory.file("elsewhere"))
        #expect(throws: KeyVaultError.malformed(path: path)) { try KeyVault.opening(file: path, randomness: random) }
        let nowhere = directory.file("missing/key")
        #expect(throws: KeyVaultError.self) { try KeyVault.opening(file: nowhere, randomness: random) }
    }

    @Test(arguments: Engine.all) func theDatabaseKnowsItsKey(_ engine: Engine) async throws {
        let store = try await TestStore(engine)
        try await vault().confirm(in: store.database)
        try await vault().confirm(in: store.database)
        let other = try KeyVault(secret: String(repeating: "t", count: 32), randomness: random)
        await #expect(throws: KeyVaultError.otherKey) { try await other.confirm(in: store.database) }
        await store.database.close()
    }
}
