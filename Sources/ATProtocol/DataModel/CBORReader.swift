/// Reads canonical DAG-CBOR, item by item, refusing everything the strict form refuses.
///
/// Any bytes give items or an error; nothing is read past the end and no memory is reserved on the word of a length.
package struct CBORReader: Sendable {
    private let bytes: [UInt8]
    private let end: Int
    /// Offset of the next unread byte.
    package private(set) var position: Int

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    package init(_ slice: ArraySlice<UInt8>) {
        bytes = Array(slice)
        position = 0
        end = bytes.count
    }

    /// True when nothing is left.
    package var isAtEnd: Bool { position == end }

    /// - Throws: `.trailingBytes` unless everything was read.
    package func finish() throws(DataModelError) {
        guard isAtEnd else { throw .trailingBytes(offset: position) }
    }

    /// The major type of the next item without reading it.
    package func peekMajorType() throws(DataModelError) -> CBORWriter.MajorType {
        guard position < end else { throw .truncated(offset: position) }
        return CBORWriter.MajorType(rawValue: bytes[position] >> 5) ?? .simple
    }

    /// True when the next item is null; it is not read.
    package var isAtNull: Bool { position < end && bytes[position] == 0xF6 }

    /// Reads a head: major type and argument, shortest form only.
    package mutating func head() throws(DataModelError) -> (major: CBORWriter.MajorType, argument: UInt64) {
        let start = position
        guard position < end else { throw .truncated(offset: position) }
        let initial = bytes[position]
        position += 1
        let major = CBORWriter.MajorType(rawValue: initial >> 5) ?? .simple
        let information = initial & 31
        switch information {
        case 0..<24:
            return (major, UInt64(information))
        case 24...27:
            if major == .simple {
                throw .invalid(reason: information == 24 ? .unsupportedSimpleValue : .float, offset: start)
            }
            let byteCount = 1 << Int(information - 24)
            guard end - position >= byteCount else { throw .truncated(offset: end) }
            var argument: UInt64 = 0
            for offset in 0..<byteCount { argument = argument << 8 | UInt64(bytes[position + offset]) }
            position += byteCount
            let smallest: UInt64 = byteCount == 1 ? 24 : 1 << UInt64(byteCount * 4)
            guard argument >= smallest else { throw .invalid(reason: .nonMinimalInteger, offset: start) }
            return (major, argument)
        case 31:
            throw .invalid(reason: .indefiniteLength, offset: start)
        default:
            throw .invalid(reason: .reservedBreak, offset: start)
        }
    }

    private mutating func head(_ expected: CBORWriter.MajorType) throws(DataModelError) -> UInt64 {
        let start = position
        let (major, argument) = try head()
        guard major == expected else { throw .invalid(reason: .unexpectedType, offset: start) }
        return argument
    }

    private mutating func take(_ count: UInt64) throws(DataModelError) -> Range<Int> {
        guard count <= UInt64(end - position) else { throw .truncated(offset: end) }
        let range = position..<position + Int(count)
        position = range.upperBound
        return range
    }

    /// Reads a byte string.
    package mutating func byteString() throws(DataModelError) -> ArraySlice<UInt8> {
        bytes[try take(try head(.bytes))]
    }

    /// Reads a text string.
    package mutating func text() throws(DataModelError) -> String {
        let start = position
        let range = try take(try head(.text))
        guard let text = String(validating: bytes[range], as: UTF8.self) else {
            throw .invalid(reason: .invalidUTF8, offset: start)
        }
        return text
    }

    /// Reads an integer of either sign.
    package mutating func integer() throws(DataModelError) -> Int64 {
        let start = position
        let (major, argument) = try head()
        guard major == .unsigned || major == .negative else {
            throw .invalid(reason: .unexpectedType, offset: start)
        }
        guard argument <= UInt64(Int64.max) else { throw .invalid(reason: .integerOutOfRange, offset: start) }
        return major == .unsigned ? Int64(argument) : ~Int64(argument)
    }

    /// Reads true or false.
    package mutating func boolean() throws(DataModelError) -> Bool {
        let start = position
        let (major, argument) = try head()
        guard major == .simple, argument == 20 || argument == 21 else {
            throw .invalid(reason: .unexpectedType, offset: start)
        }
        return argument == 21
    }

    /// Reads null.
    package mutating func null() throws(DataModelError) {
        guard isAtNull else { throw .invalid(reason: .unexpectedType, offset: position) }
        position += 1
    }

    /// Reads the head of an array; returns the number of items that follow. Each takes at least one byte.
    package mutating func arrayCount() throws(DataModelError) -> Int {
        try containerCount(head(.array), bytesPerItem: 1)
    }

    /// Reads the head of a map; returns the number of pairs that follow. Each takes at least two bytes.
    package mutating func mapCount() throws(DataModelError) -> Int {
        try containerCount(head(.map), bytesPerItem: 2)
    }

    private func containerCount(_ count: UInt64, bytesPerItem: UInt64) throws(DataModelError) -> Int {
        guard count <= UInt64(end - position) / bytesPerItem else { throw .truncated(offset: end) }
        return Int(count)
    }

    /// Reads a link: tag 42 around a byte string of `00` and a blessed CID.
    package mutating func link() throws(DataModelError) -> CID {
        let start = position
        guard try head(.tag) == 42 else { throw .invalid(reason: .unsupportedTag, offset: start) }
        let content = try byteString()
        guard content.count == CID.byteCount + 1, content.first == 0, let cid = try? CID(bytes: content.dropFirst())
        else { throw .invalid(reason: .invalidLink, offset: start) }
        return cid
    }

    /// Reads a link or null.
    package mutating func optionalLink() throws(DataModelError) -> CID? {
        if isAtNull {
            position += 1
            return nil
        }
        return try link()
    }

    /// Reads a map key that must be exactly `key`: for structures with a fixed set of fields.
    package mutating func key(_ key: String) throws(DataModelError) {
        let start = position
        guard try text() == key else { throw .invalid(reason: .unexpectedType, offset: start) }
    }

    /// Reads any value.
    ///
    /// - Parameter limits: depth and number of values; the size was bounded by whoever read the bytes.
    package mutating func value(limits: DataLimits) throws(DataModelError) -> DataValue {
        var remaining = limits.valueCountMax
        return try value(depth: limits.depthMax, remaining: &remaining)
    }

    private mutating func value(depth: Int, remaining: inout Int) throws(DataModelError) -> DataValue {
        remaining -= 1
        guard remaining >= 0 else { throw .limitExceeded(limit: .valueCount) }
        let start = position
        switch try peekMajorType() {
        case .unsigned, .negative: return .integer(try integer())
        case .bytes: return .bytes(Array(try byteString()))
        case .text: return .string(try text())
        case .tag: return .link(try link())
        case .array:
            guard depth > 0 else { throw .limitExceeded(limit: .depth) }
            let count = try arrayCount()
            guard count <= remaining else { throw .limitExceeded(limit: .valueCount) }
            var array: [DataValue] = []
            array.reserveCapacity(count)
            for _ in 0..<count { array.append(try value(depth: depth - 1, remaining: &remaining)) }
            return .array(array)
        case .map:
            guard depth > 0 else { throw .limitExceeded(limit: .depth) }
            return .map(try map(depth: depth, remaining: &remaining))
        case .simple:
            let (_, argument) = try head()
            switch argument {
            case 20: return .boolean(false)
            case 21: return .boolean(true)
            case 22: return .null
            default: throw .invalid(reason: .unsupportedSimpleValue, offset: start)
            }
        }
    }

    private mutating func map(depth: Int, remaining: inout Int) throws(DataModelError) -> DataMap {
        let count = try mapCount()
        guard count <= remaining else { throw .limitExceeded(limit: .valueCount) }
        var entries: [DataMap.Entry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let start = position
            guard try peekMajorType() == .text else { throw .invalid(reason: .mapKeyNotText, offset: start) }
            let key = try text()
            if let previous = entries.last?.key, !DataMap.precedes(previous, key) {
                let reason: DataModelError.Reason = DataMap.sameKey(previous, key) ? .duplicateKey : .mapKeyOrder
                throw .invalid(reason: reason, offset: start)
            }
            entries.append(DataMap.Entry(key: key, value: try value(depth: depth - 1, remaining: &remaining)))
        }
        return DataMap(canonicalEntries: entries)
    }
}
