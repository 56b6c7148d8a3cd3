import ATProtocol
import Base
import Storage
import Synchronization
import TestDatabases
import Testing

/// Tables go from any engine to any other and stay what they were.
@Suite struct TransferTests {
    static let samples = Migration(
        room: "samples", number: 1,
        statements: [
            """
            CREATE TABLE sample (
                blob BYTEA NOT NULL,
                number BIGINT,
                word TEXT NOT NULL,
                share DOUBLE PRECISION,
                remark TEXT,
                extra BYTEA,
                PRIMARY KEY (word, blob)
            ) CLUSTERED
            """,
            "CREATE TABLE sample_empty (id BIGINT PRIMARY KEY NOT NULL)",
            "ALTER TABLE sample ADD COLUMN added TEXT NOT NULL DEFAULT 'x'",
        ])

    @Test(arguments: Engine.pairs.flatMap { pair in (1...6).map { (pair.0, pair.1, UInt64($0)) } })
    func tablesStayWhatTheyWere(_ from: Engine, _ to: Engine, seed: UInt64) async throws {
        let random = SeededRandomness(seed: seed)
        let source = try await TestStore(from, [Self.samples])
        let rows = SampleRow.some(random.below(400), random)
        try await Self.insert(rows, source.database)
        try await source.database.write { _ = try $0.advance(SequenceName("a.sequence"), by: 41) }
        let bytes = try await Self.dump(source.database)

        let target = try await TestStore(to, [Self.samples])
        let loader = TransferLoader(target.database)
        try await loader.prepare()
        let came = try await loader.load(Self.pieces(bytes, random))
        #expect(try await Self.dump(target.database) == bytes, "seed \(seed)")
        #expect(try await Self.summaries(target.database) == came, "seed \(seed)")
        #expect(try await Self.summaries(source.database) == came, "seed \(seed)")
        #expect(came.first { $0.table == "sample" }?.rowCount == Int64(rows.count), "seed \(seed)")
        #expect(try await target.database.write { try $0.advance(SequenceName("a.sequence"), by: 1) } == 42)
        await #expect(throws: TransferError.self) { try await loader.prepare() }
        try await loader.empty()
        try await loader.prepare()
        await source.database.close()
        await target.database.close()
    }

    @Test(arguments: Engine.all) func aChangedRowChangesTheDigest(_ engine: Engine) async throws {
        let store = try await TestStore(engine, [Self.samples])
        try await Self.insert(SampleRow.some(20, SeededRandomness(seed: 7)), store.database)
        var seen: Set<[TableSummary]> = [try await Self.summaries(store.database)]
        let changes = [
            "UPDATE sample SET number = 12345 WHERE word = (SELECT MIN(word) FROM sample)",
            "UPDATE sample SET added = 'y' WHERE word = (SELECT MAX(word) FROM sample)",
            "DELETE FROM sample WHERE word = (SELECT MAX(word) FROM sample)",
            "INSERT INTO sample_empty (id) VALUES (1)",
        ]
        for change in changes {
            try await store.database.write { try $0.execute(change) }
            #expect(seen.insert(try await Self.summaries(store.database)).inserted, "\(change)")
        }
        await store.database.close()
    }

    @Test func anyBytesGiveTablesOrAnError() async throws {
        let store = try await TestStore(.sqlite, [Self.samples])
        try await Self.insert(SampleRow.some(12, SeededRandomness(seed: 3)), store.database)
        let bytes = try await Self.dump(store.database)
        await store.database.close()
        try Self.decode(bytes)
        for count in 0..<bytes.count {
            #expect(throws: TransferError.self) { try Self.decode(Array(bytes[..<count])) }
        }
        #expect(throws: TransferError.self) { try Self.decode(bytes + [0]) }
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1 << UInt8(index % 8)
            #expect(throws: TransferError.self, "byte \(index)") { try Self.decode(damaged) }
        }
        let random = SeededRandomness(seed: 11)
        for _ in 0..<2000 {
            let noise = random.bytes(random.below(60))
            #expect(throws: TransferError.self) { try Self.decode([1, 0, 0, 0, UInt8(random.below(60))] + noise) }
        }
    }

    @Test(arguments: Engine.all) func otherTablesAreRefused(_ engine: Engine) async throws {
        let source = try await TestStore(.sqlite, [Self.samples])
        let bytes = try await Self.dump(source.database)
        let target = try await TestStore(engine, [TestStore.notes])
        let loader = TransferLoader(target.database)
        try await loader.prepare()
        await #expect(throws: TransferError.otherTables("there is no 'sample'")) {
            try await loader.load(Self.pieces(bytes, SeededRandomness(seed: 1)))
        }
        await source.database.close()
        await target.database.close()
    }

    // MARK: Support

    static func insert(_ rows: [SampleRow], _ database: any Database) async throws {
        try await database.write { scope in
            for row in rows {
                try scope.execute(
                    """
                    INSERT INTO sample (blob, number, word, share, remark, extra, added)
                    VALUES ($1, $2, $3, $4, $5, $6, $7)
                    """, row.values)
            }
        }
    }

    static func dump(_ database: any Database) async throws -> [UInt8] {
        let dialect = database.dialect
        let stream = try await database.stream { scope, sink in
            try TransferWriter.write(scope, dialect, to: sink)
        }
        var bytes: [UInt8] = []
        for try await chunk in stream { bytes += chunk }
        return bytes
    }

    static func summaries(_ database: any Database) async throws -> [TableSummary] {
        let dialect = database.dialect
        return try await database.read { scope in
            try TableCatalog.tables(in: scope, dialect).map { try TransferWriter.summary(of: $0, in: scope) }
        }
    }

    private static func decode(_ bytes: [UInt8]) throws {
        var decoder = TransferDecoder()
        decoder.append(bytes)
        while try decoder.next() != nil {}
        try decoder.finish()
    }

    private static func pieces(_ bytes: [UInt8], _ random: SeededRandomness) -> AsyncStream<[UInt8]> {
        AsyncStream { continuation in
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(1 + random.below(9000))
                continuation.yield(Array(piece))
                rest = rest.dropFirst(piece.count)
            }
            continuation.finish()
        }
    }
}

/// A row with values that are hard to carry.
struct SampleRow: Sendable {
    let values: [SQLValue]

    static func some(_ count: Int, _ random: SeededRandomness) -> [SampleRow] {
        (0..<count).map { index in
            // The number makes the key unique.
            let word = text(random) + "\(index)"
            return SampleRow(values: [
                .blob(random.bytes(random.below(40))), number(random), .text(word), share(random),
                random.oneIn(4) ? .null : .text(text(random)),
                random.oneIn(4) ? .null : .blob(random.bytes(random.below(9) == 0 ? 30_000 : random.below(5))),
                .text(text(random)),
            ])
        }
    }

    private static func number(_ random: SeededRandomness) -> SQLValue {
        let choices: [SQLValue] = [
            .null, 0, -1, 1, .integer(Int64.max), .integer(Int64.min), .integer(Int64(bitPattern: random.uint64())),
            .integer(Int64(random.below(300)) - 150),
        ]
        return choices[random.below(choices.count)]
    }

    private static func share(_ random: SeededRandomness) -> SQLValue {
        let bits = Double(bitPattern: random.uint64())
        let choices: [SQLValue] = [
            .null, .real(0), .real(-0.0), .real(.infinity), .real(-.infinity), .real(.leastNonzeroMagnitude),
            .real(.greatestFiniteMagnitude), .real(3), .real(bits.isNaN ? 1.5 : bits),
        ]
        return choices[random.below(choices.count)]
    }

    private static func text(_ random: SeededRandomness) -> String {
        let pieces = [
            "", "a", "Z", "z", "ä", "é", "e\u{301}", "🜁", "\u{7f}", "\u{1}", "'", "\"", "$1", "\n", "日本", "%",
        ]
        return (0..<random.below(6)).map { _ in pieces[random.below(pieces.count)] }.joined()
    }
}
