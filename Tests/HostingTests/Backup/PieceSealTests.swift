import Base
import Crypto
import Testing

@testable import Hosting

/// Keys, seals and names.
struct PieceSealTests {
    private static let key = try? RecoveryKey(randomness: SeededRandomness(seed: 1))

    @Test func aKeyIsReadAsItWasShown() throws {
        let key = try #require(Self.key)
        let text = key.text
        #expect(text.hasPrefix("kith-recovery-"))
        for form in [text, text.uppercased(), " \(text)\n", text.replacing("-", with: "-\n")] {
            #expect(try RecoveryKey(parsing: form).sealing == key.sealing)
        }
        #expect(try SealingKey(parsing: key.sealing.line + "\n") == key.sealing)
        #expect("\(key)".contains(key.sealing.fingerprint) && !"\(key)".contains(text.suffix(20)))
    }

    /// Somebody copies it from paper: no letter may be wrong unnoticed.
    @Test func aWrongLetterIsFound() throws {
        let letters = Array(try #require(Self.key).text)
        for index in letters.indices where letters[index] != "-" {
            var other = letters
            other[index] = other[index] == "q" ? "r" : "q"
            #expect(throws: BackupError.malformedKey) { _ = try RecoveryKey(parsing: String(other)) }
        }
        for text in ["", "kith-recovery-", "kith-recovery-a", "something else"] {
            #expect(throws: BackupError.malformedKey) { _ = try RecoveryKey(parsing: text) }
            #expect(throws: BackupError.malformedKey) { _ = try SealingKey(parsing: text) }
        }
    }

    @Test(arguments: [0, 1, 7, 255, 256, 257, 4095, 70_000]) func whatIsSealedOpens(_ count: Int) throws {
        let key = try #require(Self.key)
        let content = SeededRandomness(seed: UInt64(count)).bytes(count)
        let sealed = try PieceSeal.seal(content, for: [1, 2], to: key.sealing)
        #expect(try PieceSeal.open(sealed, for: [1, 2], with: key, path: "") == content)
        #expect(sealed.count <= 4 + 32 + 16 + max(256, (count + 8) * 113 / 100))
        #expect(throws: BackupError.self) { _ = try PieceSeal.open(sealed, for: [1, 3], with: key, path: "") }
        let other = try RecoveryKey(randomness: SeededRandomness(seed: 2))
        #expect(throws: BackupError.self) { _ = try PieceSeal.open(sealed, for: [1, 2], with: other, path: "") }
        #expect(try PieceSeal.seal(content, for: [1, 2], to: key.sealing) != sealed)
    }

    @Test func noFlippedByteOpens() throws {
        let key = try #require(Self.key)
        let sealed = try PieceSeal.seal(Array("what was said".utf8), for: [], to: key.sealing)
        for index in sealed.indices {
            var other = sealed
            other[index] ^= 0x10
            #expect(throws: BackupError.self) { _ = try PieceSeal.open(other, for: [], with: key, path: "") }
        }
        for count in 0..<sealed.count {
            let part = Array(sealed.prefix(count))
            #expect(throws: BackupError.self) { _ = try PieceSeal.open(part, for: [], with: key, path: "") }
        }
    }

    /// Whoever steals what the server keeps can write and not read.
    @Test func theServersKeyDoesNotOpen() throws {
        let key = try #require(Self.key)
        let line = key.sealing.line
        #expect(!line.contains(Hex.encode(Array(key.privateKey.rawRepresentation))))
        #expect(throws: (any Error).self) { _ = try RecoveryKey(parsing: line) }
    }

    @Test func namesTellNothingWithoutTheKey() throws {
        let (one, two) = (
            try RecoveryKey(randomness: SeededRandomness(seed: 1)).sealing,
            try RecoveryKey(randomness: SeededRandomness(seed: 2)).sealing
        )
        #expect(PieceName.table("a", content: [1], one) == .table("a", content: [1], one))
        #expect(PieceName.table("a", content: [1], one) != .table("a", content: [1], two))
        #expect(PieceName.table("a", content: [1], one) != .table("b", content: [1], one))
        #expect(PieceName.blob([1], part: 0, one) != .blob([1], part: 1, one))
        #expect(PieceName.blob([1], part: 0, one) != .blob([1], part: 0, two))
    }

    @Test(arguments: 1...20) func rowsFallIntoTheSamePiecesAgain(_ seed: Int) throws {
        let key = try #require(Self.key).sealing
        let random = SeededRandomness(seed: UInt64(seed))
        var rows = (0..<6000).map { _ in random.bytes(Int(random.uint64() % 900) + 1) }
        let before = Self.pieces(rows, key)
        #expect(before.flatMap { $0 } == rows.flatMap { $0 }, "seed \(seed)")
        #expect(before.dropLast().allSatisfy { $0.count >= RowChunker.sizeBytesMin }, "seed \(seed)")
        #expect(before.allSatisfy { $0.count <= RowChunker.sizeBytesMax }, "seed \(seed)")
        rows.insert(random.bytes(100), at: rows.count / 2)
        let changed = Set(Self.pieces(rows, key)).subtracting(before)
        #expect(changed.count <= 3, "seed \(seed)")
    }

    private static func pieces(_ rows: [[UInt8]], _ key: SealingKey) -> [[UInt8]] {
        var chunker = RowChunker(key)
        var pieces = rows.compactMap { chunker.append($0) }
        let rest = chunker.finish()
        if !rest.isEmpty { pieces.append(rest) }
        return pieces
    }
}
