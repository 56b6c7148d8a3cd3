import CPostgreSQL

/// The object identifiers of the types that we send and read (PostgreSQL's catalogue `pg_type`; they never change).
enum PostgreSQLType {
    static let boolean: Oid = 16
    static let bytes: Oid = 17
    static let name: Oid = 19
    static let int8: Oid = 20
    static let int2: Oid = 21
    static let int4: Oid = 23
    static let text: Oid = 25
    static let oid: Oid = 26
    static let float4: Oid = 700
    static let float8: Oid = 701
    static let unknown: Oid = 705
    static let character: Oid = 1042
    static let varchar: Oid = 1043
    static let numeric: Oid = 1700
    static let void: Oid = 2278
}

extension SQLValue {
    /// The type under which the value is sent; nil for `NULL`, which fits every type.
    var postgreSQLType: Oid? {
        switch self {
        case .null: nil
        case .integer: PostgreSQLType.int8
        case .real: PostgreSQLType.float8
        case .text: PostgreSQLType.text
        case .blob: PostgreSQLType.bytes
        }
    }

    /// Reads a value in the wire's binary form.
    init(postgreSQL bytes: UnsafeRawBufferPointer, type: Oid, column: Int) throws(StorageError) {
        switch (type, bytes.count) {
        case (PostgreSQLType.int8, 8), (PostgreSQLType.int4, 4), (PostgreSQLType.int2, 2):
            self = .integer(Self.bigEndian(bytes))
        case (PostgreSQLType.boolean, 1): self = .integer(bytes[0] == 0 ? 0 : 1)
        case (PostgreSQLType.oid, 4): self = .integer(Self.bigEndian(bytes) & 0xffff_ffff)
        case (PostgreSQLType.float8, 8): self = .real(Double(bitPattern: UInt64(bitPattern: Self.bigEndian(bytes))))
        case (PostgreSQLType.float4, 4):
            self = .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: Self.bigEndian(bytes)))))
        case (PostgreSQLType.bytes, _): self = .blob(Array(bytes))
        case (PostgreSQLType.text, _), (PostgreSQLType.varchar, _), (PostgreSQLType.character, _),
            (PostgreSQLType.name, _), (PostgreSQLType.unknown, _):
            self = .text(String(decoding: bytes, as: UTF8.self))
        case (PostgreSQLType.numeric, _): self = try Self.numeric(bytes, column)
        case (PostgreSQLType.void, _): self = .null
        default: throw .decoding(column: column, expected: "a type of the common subset", found: "type \(type)")
        }
    }

    /// The signed number in 2, 4 or 8 bytes.
    private static func bigEndian(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        var value: Int64 = bytes.first.map { $0 & 0x80 != 0 } == true ? -1 : 0
        for byte in bytes { value = value << 8 | Int64(byte) }
        return value
    }

    /// What `SUM` of a `BIGINT` column gives: an integer of any size. As on SQLite it has to fit 64 bits.
    private static func numeric(_ bytes: UnsafeRawBufferPointer, _ column: Int) throws(StorageError) -> SQLValue {
        func word(_ index: Int) -> Int { Int(bytes[2 * index]) << 8 | Int(bytes[2 * index + 1]) }
        let refusal = StorageError.decoding(column: column, expected: "an integer of 64 bits", found: "numeric")
        guard bytes.count >= 8, bytes.count == 8 + 2 * word(0) else { throw refusal }
        let (count, weight) = (word(0), Int(Int16(truncatingIfNeeded: word(1))))
        let sign = word(2)
        guard sign == 0 || sign == 0x4000, weight < 5, count <= weight + 1 else { throw refusal }
        var value: Int64 = 0
        for index in 0..<max(weight + 1, 0) {
            let digit = Int64(index < count ? word(4 + index) : 0)
            let (shifted, overflowed) = value.multipliedReportingOverflow(by: 10_000)
            // Towards the sign, for the least number has no positive twin.
            let (sum, exceeded) = shifted.addingReportingOverflow(sign == 0 ? digit : -digit)
            guard !overflowed, !exceeded else { throw refusal }
            value = sum
        }
        return .integer(value)
    }
}

/// The parameters of one statement in the wire's binary form, laid one after the other.
struct PostgreSQLParameters {
    private var bytes: [UInt8] = []
    private var starts: [Int?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    /// - Throws: `.invalidParameter` for a text with U+0000.
    mutating func encode(_ values: [SQLValue]) throws(StorageError) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
        starts.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        formats.removeAll(keepingCapacity: true)
        for index in values.indices {
            let start = bytes.count
            switch values[index] {
            case .null: break
            case .integer(let value): append(UInt64(bitPattern: value))
            case .real(let value): append(value.bitPattern)
            case .blob(let value): bytes += value
            case .text(let value):
                bytes += value.utf8
                if bytes[start...].contains(0) {
                    throw .invalidParameter(index: index + 1, reason: "a text with U+0000")
                }
            }
            starts.append(values[index] == .null ? nil : start)
            lengths.append(Int32(clamping: bytes.count - start))
            formats.append(1)
        }
        // An empty value at the end needs an address too.
        bytes.append(0)
    }

    /// Hands what libpq wants to `body`.
    mutating func withPointers<T>(
        _ body: (
            _ count: Int32, _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ lengths: UnsafePointer<Int32>?,
            _ formats: UnsafePointer<Int32>?
        ) -> T
    ) -> T {
        let (starts, lengths, formats) = (starts, lengths, formats)
        return bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values = starts.map { start in start.flatMap { offset in base.map { UnsafePointer($0 + offset) } } }
            return values.withUnsafeBufferPointer { values in
                body(Int32(starts.count), values.baseAddress, lengths, formats)
            }
        }
    }

    private mutating func append(_ word: UInt64) {
        withUnsafeBytes(of: word.bigEndian) { bytes += $0 }
    }
}
