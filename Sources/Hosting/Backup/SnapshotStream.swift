import ATProtocol
import Base
import Contracts
import Storage

/// The stream that a backup is made from: one consistent state, read once.
///
/// Lines of text tell what belongs to the state and isn't in its tables' own words: `step ROOM NUMBER DIGEST`, `head NUMBER`,
/// `blob LOCATION SIZE`; an empty line ends them, and the tables follow as `TransferWriter` writes them.
enum SnapshotStream {
    /// Blobs asked for at once.
    private static let pageCount = 1000

    static func open(_ database: any Database, _ holdings: any BlobHoldings) async throws -> ByteStream {
        let dialect = database.dialect
        return try await database.stream { scope, sink in
            for step in try Migrator.steps(in: scope) {
                try sink.write(line("step \(step.room) \(step.number) \(Hex.encode(step.digest))"))
            }
            try sink.write(line("head \(EventLog.newest(in: scope))"))
            var last: HeldBlob?
            while true {
                let blobs = try holdings.blobs(after: last, limit: pageCount, in: scope)
                for blob in blobs { try sink.write(line("blob \(blob.location.string) \(blob.sizeBytes)")) }
                guard blobs.count == pageCount else { break }
                last = blobs.last
            }
            try sink.write(line(""))
            try TransferWriter.write(scope, dialect, to: sink)
        }
    }

    private static func line(_ text: String) -> [UInt8] { Array((text + "\n").utf8) }
}

/// Takes the stream apart and has its tables kept.
struct SnapshotReader {
    private(set) var snapshot = SavedSnapshot()
    private var lines: [UInt8]? = []
    private var rows = TransferRows()
    private var chunker: RowChunker
    private var table: (name: String, description: [UInt8], pieces: [PieceName])?
    private(set) var isOver = false

    init(_ key: SealingKey) {
        chunker = RowChunker(key)
    }

    /// Takes the next bytes.
    /// - Parameter keep: keeps a piece of the table; gives its name.
    mutating func append(
        _ bytes: [UInt8], keep: (_ table: String, _ content: [UInt8]) async throws -> PieceName
    ) async throws {
        guard let rest = try readLines(bytes) else { return }
        rows.append(rest)
        while let element = try rows.next() {
            switch element {
            case .table(let name, let description):
                table = (name, description, [])
            case .rows(let group):
                guard let name = table?.name else { throw TransferError.malformed("rows outside a table") }
                for row in group {
                    guard let full = chunker.append(Array(row)) else { continue }
                    table?.pieces.append(try await keep(name, full))
                }
            case .tableEnd(let summary):
                let rest = chunker.finish()
                if !rest.isEmpty { table?.pieces.append(try await keep(summary.table, rest)) }
                guard let table else { throw TransferError.malformed("an end without a table") }
                snapshot.tables.append(
                    .init(summary: summary, description: table.description, pieces: table.pieces))
            case .end: isOver = true
            }
        }
    }

    /// The bytes behind the lines, or nil while there are none.
    private mutating func readLines(_ bytes: [UInt8]) throws -> [UInt8]? {
        guard var pending = lines else { return bytes }
        pending += bytes
        var start = pending.startIndex
        while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: pending[start..<end], as: UTF8.self)
            start = end + 1
            if line.isEmpty {
                lines = nil
                return Array(pending[start...])
            }
            try take(line.split(separator: " ").map(String.init))
        }
        lines = Array(pending[start...])
        return nil
    }

    private mutating func take(_ words: [String]) throws {
        switch words.first {
        case "step" where words.count == 4:
            guard let number = Int(words[2]), let digest = Hex.decode(words[3]) else { break }
            return snapshot.steps.append(SchemaStep(room: words[1], number: number, digest: digest))
        case "head" where words.count == 2:
            guard let head = Int64(words[1]) else { break }
            return snapshot.eventHead = head
        case "blob" where words.count == 3:
            guard let size = Int64(words[2]) else { break }
            return snapshot.blobs.append(
                ListedHolding(location: try BlobLocation(parsing: words[1]), sizeBytes: size))
        default: break
        }
        throw TransferError.malformed("a line of the snapshot")
    }
}
