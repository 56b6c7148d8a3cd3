import Base
import Crypto

/// What a table holds, in a form that can be compared: equal on both engines for equal rows.
package struct TableSummary: Sendable, Hashable, CustomStringConvertible {
    package let table: String
    package let rowCount: Int64
    /// SHA-256 over the table's description and its rows in the order of the key (`RowCodec`); 32 bytes.
    package let digest: [UInt8]

    package var description: String { "\(table) \(rowCount) \(Hex.encode(digest))" }
}

/// Sums up a table while its rows go by.
struct TableDigest {
    private let table: TransferTable
    private var hash = SHA256()
    private(set) var rowCount: Int64 = 0

    init(_ table: TransferTable) {
        self.table = table
        var description: [UInt8] = []
        TransferFrame.append(table, to: &description)
        update(description[...])
    }

    /// Takes rows as `RowCodec` writes them, whole ones or pieces.
    mutating func update(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
    }

    mutating func count(_ rows: Int) {
        rowCount += Int64(rows)
    }

    var summary: TableSummary {
        TableSummary(table: table.name, rowCount: rowCount, digest: Array(hash.finalize()))
    }
}
