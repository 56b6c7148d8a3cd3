import Base

/// Reads JSON (RFC 8259) straight into the data model, within limits and refusing duplicate keys.
struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0
    private var depthLeft: Int
    private var valuesLeft: Int

    init(_ bytes: [UInt8], limits: DataLimits) {
        self.bytes = bytes
        depthLeft = limits.depthMax
        valuesLeft = limits.valueCountMax
    }

    /// Reads one value and the white space around it.
    mutating func document() throws(DataModelError) -> DataValue {
        skipWhiteSpace()
        let result = try value()
        skipWhiteSpace()
        guard position == bytes.count else { throw .trailingBytes(offset: position) }
        return result
    }

    private var malformed: DataModelError {
        position >= bytes.count
            ? .truncated(offset: bytes.count) : .invalid(reason: .malformedJSON, offset: position)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipWhiteSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func value() throws(DataModelError) -> DataValue {
        valuesLeft -= 1
        guard valuesLeft >= 0 else { throw .limitExceeded(limit: .valueCount) }
        guard let byte = current else { throw malformed }
        switch byte {
        case UInt8(ascii: "{"): return try nested { (reader) throws(DataModelError) in try reader.object() }
        case UInt8(ascii: "["): return try nested { (reader) throws(DataModelError) in try reader.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .integer(try number())
        default: throw malformed
        }
    }

    /// Reads a value; what is wrong with it names the field or the place in an array that `step` says.
    private mutating func value(in step: () -> String) throws(DataModelError) -> DataValue {
        do { return try value() } catch { throw error.inside(step()) }
    }

    private mutating func nested(
        _ body: (inout JSONReader) throws(DataModelError) -> DataValue
    ) throws(DataModelError) -> DataValue {
        guard depthLeft > 0 else { throw .limitExceeded(limit: .depth) }
        depthLeft -= 1
        position += 1
        let result = try body(&self)
        depthLeft += 1
        return result
    }

    private mutating func word(_ word: StaticString, _ value: DataValue) throws(DataModelError) -> DataValue {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count else { throw malformed }
        for offset in 0..<count where bytes[position + offset] != word.utf8Start[offset] { throw malformed }
        position += count
        return value
    }

    private mutating func array() throws(DataModelError) -> DataValue {
        var elements: [DataValue] = []
        skipWhiteSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(elements)
        }
        while true {
            skipWhiteSpace()
            elements.append(try value(in: { "[\(elements.count)]" }))
            skipWhiteSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return .array(elements)
            default: throw malformed
            }
        }
    }

    private mutating func object() throws(DataModelError) -> DataValue {
        let start = position - 1
        var entries: [DataMap.Entry] = []
        skipWhiteSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return .map(DataMap())
        }
        while true {
            skipWhiteSpace()
            guard current == UInt8(ascii: "\"") else { throw malformed }
            let key = try string()
            skipWhiteSpace()
            guard current == UInt8(ascii: ":") else { throw malformed }
            position += 1
            skipWhiteSpace()
            entries.append(DataMap.Entry(key: key, value: try value(in: { key })))
            skipWhiteSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return try special(entries, start: start)
            default: throw malformed
            }
        }
    }

    /// Turns `$link` and `$bytes` objects into what they stand for.
    private func special(_ entries: [DataMap.Entry], start: Int) throws(DataModelError) -> DataValue {
        for entry in entries {
            if entry.key == "$link" {
                guard entries.count == 1, case .string(let text) = entry.value, let cid = try? CID(parsing: text) else {
                    throw .invalid(reason: .malformedLink, offset: start)
                }
                return .link(cid)
            }
            if entry.key == "$bytes" {
                guard entries.count == 1, case .string(let text) = entry.value,
                    // Clients write trailing bits that others ignore; the value is then written without them.
                    let content = Base64.decode(text, padding: .optional, trailingBits: .ignored)
                else { throw .invalid(reason: .malformedBytes, offset: start) }
                return .bytes(content)
            }
        }
        if let map = DataMap(unordered: entries) { return .map(map) }
        var keys: Set<[UInt8]> = []
        let twice = entries.first { !keys.insert(Array($0.key.utf8)).inserted }
        throw DataModelError.invalid(reason: .duplicateKey, offset: start).inside(twice?.key ?? "")
    }
}

// MARK: - Strings and numbers

extension JSONReader {
    private mutating func string() throws(DataModelError) -> String {
        position += 1
        let start = position
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if current == UInt8(ascii: "\"") {
            let range = start..<position
            position += 1
            return try text(bytes[range], offset: start)
        }
        var content = Array(bytes[start..<position])
        while let byte = current {
            if byte == UInt8(ascii: "\"") {
                position += 1
                return try text(content[...], offset: start)
            }
            guard byte >= 0x20 else { throw malformed }
            position += 1
            if byte == UInt8(ascii: "\\") { try escape(into: &content) } else { content.append(byte) }
        }
        throw malformed
    }

    private func text(_ utf8: ArraySlice<UInt8>, offset: Int) throws(DataModelError) -> String {
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw .invalid(reason: .invalidUTF8, offset: offset)
        }
        return text
    }

    private mutating func escape(into content: inout [UInt8]) throws(DataModelError) {
        guard let byte = current else { throw malformed }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            content.append(contentsOf: UTF8.encode(try unicodeScalar()).map(Array.init) ?? [])
            return
        default: throw malformed
        }
        position += 1
    }

    /// Reads the digits after `\u`, with the second half of a surrogate pair.
    private mutating func unicodeScalar() throws(DataModelError) -> Unicode.Scalar {
        let first = try codeUnit()
        if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
        // A lone surrogate has no UTF-8 form and therefore no place in a record.
        guard UTF16.isLeadSurrogate(first), current == UInt8(ascii: "\\") else { throw malformed }
        position += 1
        guard current == UInt8(ascii: "u") else { throw malformed }
        position += 1
        let second = try codeUnit()
        guard UTF16.isTrailSurrogate(second) else { throw malformed }
        let value = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
        guard let scalar = Unicode.Scalar(value) else { throw malformed }
        return scalar
    }

    private mutating func codeUnit() throws(DataModelError) -> UInt16 {
        guard bytes.count - position >= 4 else { throw .truncated(offset: bytes.count) }
        guard let digits = Hex.decode(String(decoding: bytes[position..<position + 4], as: UTF8.self)) else {
            throw malformed
        }
        position += 4
        return UInt16(digits[0]) << 8 | UInt16(digits[1])
    }

    /// Reads a number; one with a fraction or exponent must still be a whole number.
    private mutating func number() throws(DataModelError) -> Int64 {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        let digits = position
        var magnitude: UInt64 = 0
        var overflows = false
        while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            let (product, first) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, second) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            magnitude = sum
            overflows = overflows || first || second
            position += 1
        }
        let digitCount = position - digits
        guard digitCount > 0, digitCount == 1 || bytes[digits] != UInt8(ascii: "0") else { throw malformed }
        if let byte = current, byte == UInt8(ascii: ".") || byte | 0x20 == UInt8(ascii: "e") {
            return try wholeNumber(from: start)
        }
        let isNegative = digits != start
        guard !overflows, magnitude <= UInt64(Int64.max) + (isNegative ? 1 : 0) else {
            throw .invalid(reason: .integerOutOfRange, offset: start)
        }
        return isNegative ? Int64(truncatingIfNeeded: 0 &- magnitude) : Int64(magnitude)
    }

    /// Reads the rest of a number that has a fraction or an exponent.
    private mutating func wholeNumber(from start: Int) throws(DataModelError) -> Int64 {
        if current == UInt8(ascii: ".") {
            position += 1
            try digitRun()
        }
        if let byte = current, byte | 0x20 == UInt8(ascii: "e") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digitRun()
        }
        guard let number = Double(String(decoding: bytes[start..<position], as: UTF8.self)),
            let whole = Int64(exactly: number), abs(number) <= 9_007_199_254_740_991
        else { throw .invalid(reason: .float, offset: start) }
        return whole
    }

    private mutating func digitRun() throws(DataModelError) {
        let start = position
        while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
        guard position > start else { throw malformed }
    }
}
