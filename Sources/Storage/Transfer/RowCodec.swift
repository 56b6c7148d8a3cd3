/// The one way to write a row as bytes, the same whichever engine it comes from.
///
/// A row is its length (4 bytes, big-endian, not counting themselves) and its values in the order of the columns; a
/// value is a byte that names its kind, then: nothing for `NULL`, 8 bytes big-endian for an integer or the bits of a
/// real (never those of −0), or 4 bytes of length and the bytes themselves. A byte less than a row holds is no row.
enum RowCodec {
    /// Bytes of one row: far more than any row of Kith has.
    static let rowSizeBytesMax = 256 << 20

    private static let null: UInt8 = 0

    /// Appends `values` to `bytes`.
    static func append(
        _ values: [SQLValue], of table: TransferTable, to bytes: inout [UInt8]
    ) throws(TransferError) {
        guard values.count == table.columns.count else {
            throw .value(table: table.name, reason: "it has \(values.count) columns")
        }
        try appendRow(values, table: table.name, to: &bytes)
    }

    /// Appends the values of a key, or of any other choice of columns.
    static func appendRow(_ values: [SQLValue], table: String, to bytes: inout [UInt8]) throws(TransferError) {
        let start = bytes.count
        append32(0, to: &bytes)
        for value in values { try append(value, table: table, to: &bytes) }
        let count = bytes.count - start - 4
        guard count <= rowSizeBytesMax else { throw .value(table: table, reason: "it has \(count) bytes") }
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: count >> (24 - 8 * index)) }
    }

    private static func append(_ value: SQLValue, table: String, to bytes: inout [UInt8]) throws(TransferError) {
        switch value {
        case .null: bytes.append(null)
        case .integer(let integer):
            bytes.append(TransferTable.Kind.integer.rawValue)
            append64(UInt64(bitPattern: integer), to: &bytes)
        case .real(let real):
            // SQLite keeps NULL in its place.
            guard !real.isNaN else { throw .value(table: table, reason: "a number is NaN") }
            bytes.append(TransferTable.Kind.real.rawValue)
            // SQLite keeps −0 as 0.
            append64(real == 0 ? 0 : real.bitPattern, to: &bytes)
        case .text(let text):
            bytes.append(TransferTable.Kind.text.rawValue)
            append32(text.utf8.count, to: &bytes)
            bytes += text.utf8
        case .blob(let blob):
            bytes.append(TransferTable.Kind.blob.rawValue)
            append32(blob.count, to: &bytes)
            bytes += blob
        }
    }

    /// Reads the row at `position`, of values of these kinds, and moves behind it.
    static func row(
        _ kinds: [TransferTable.Kind], in bytes: ArraySlice<UInt8>, at position: inout Int
    ) throws(TransferError) -> [SQLValue] {
        var reader = TransferReader(bytes: bytes, position: position)
        let count = try reader.count32(max: rowSizeBytesMax)
        let end = reader.position + count
        guard end <= bytes.endIndex else { throw .truncated }
        var values: [SQLValue] = []
        values.reserveCapacity(kinds.count)
        for kind in kinds { values.append(try value(kind, &reader)) }
        guard reader.position == end else { throw .malformed("a row of another length") }
        position = end
        return values
    }

    private static func value(
        _ kind: TransferTable.Kind, _ reader: inout TransferReader
    ) throws(TransferError) -> SQLValue {
        let tag = try reader.byte()
        guard tag != null else { return .null }
        guard tag == kind.rawValue else { throw .malformed("a value of another kind") }
        switch kind {
        case .integer: return .integer(Int64(bitPattern: try reader.word64()))
        case .real:
            let real = Double(bitPattern: try reader.word64())
            guard !real.isNaN, real != 0 || real.sign == .plus else { throw .malformed("a number that is none") }
            return .real(real)
        case .text:
            let bytes = try reader.bytes(try reader.count32(max: rowSizeBytesMax))
            guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
                throw .malformed("a text that is none")
            }
            return .text(text)
        case .blob: return .blob(Array(try reader.bytes(try reader.count32(max: rowSizeBytesMax))))
        }
    }

    static func append32(_ value: Int, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: value).bigEndian) { bytes += $0 }
    }

    static func append64(_ value: UInt64, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }
}

/// Reads numbers and runs of bytes; any bytes give a value or an error.
struct TransferReader {
    let bytes: ArraySlice<UInt8>
    var position: Int

    mutating func byte() throws(TransferError) -> UInt8 {
        guard position < bytes.endIndex else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func bytes(_ count: Int) throws(TransferError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytes.endIndex - position else { throw .truncated }
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    mutating func word64() throws(TransferError) -> UInt64 {
        try bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func count32(max limit: Int) throws(TransferError) -> Int {
        let count = try bytes(4).reduce(0) { $0 << 8 | Int($1) }
        guard count <= limit else { throw .malformed("\(count) bytes where \(limit) are the most") }
        return count
    }
}
