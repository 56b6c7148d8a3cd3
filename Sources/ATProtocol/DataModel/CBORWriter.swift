/// Appends canonical DAG-CBOR, item by item. The caller keeps the order of map keys and the counts right.
///
/// Spec: https://ipld.io/specs/codecs/dag-cbor/spec/ (strict form), https://atproto.com/specs/data-model
package struct CBORWriter: Sendable {
    /// What was written so far.
    package var bytes: [UInt8]

    package init(reservingCapacity capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Major types of RFC 8949 section 3.1.
    package enum MajorType: UInt8, Sendable {
        case unsigned = 0
        case negative = 1
        case bytes = 2
        case text = 3
        case array = 4
        case map = 5
        case tag = 6
        case simple = 7
    }

    /// Appends an item's head in its shortest form.
    package mutating func head(_ major: MajorType, _ argument: UInt64) {
        let type = major.rawValue << 5
        switch argument {
        case 0..<24:
            bytes.append(type | UInt8(argument))
        case 24..<0x100:
            bytes.append(type | 24)
            bytes.append(UInt8(argument))
        case 0x100..<0x1_0000:
            bytes.append(type | 25)
            bigEndian(argument, byteCount: 2)
        case 0x1_0000..<0x1_0000_0000:
            bytes.append(type | 26)
            bigEndian(argument, byteCount: 4)
        default:
            bytes.append(type | 27)
            bigEndian(argument, byteCount: 8)
        }
    }

    private mutating func bigEndian(_ value: UInt64, byteCount: Int) {
        for index in (0..<byteCount).reversed() {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
        }
    }

    /// Appends the simple value null, one byte.
    package mutating func null() { bytes.append(0xF6) }

    /// Appends the simple value false or true, one byte.
    package mutating func boolean(_ value: Bool) { bytes.append(value ? 0xF5 : 0xF4) }

    /// Appends an integer in the shortest of its forms, 1 to 9 bytes.
    package mutating func integer(_ value: Int64) {
        if value >= 0 { head(.unsigned, UInt64(value)) } else { head(.negative, UInt64(~value)) }
    }

    /// Appends a text string: its head, then its UTF-8.
    package mutating func text(_ value: String) {
        head(.text, UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    /// Appends a byte string: its head, then the bytes.
    package mutating func byteString(_ value: some Collection<UInt8>) {
        head(.bytes, UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    /// Appends tag 42 around the CID's binary form with its leading zero byte.
    package mutating func link(_ cid: CID) {
        bytes.append(0xD8)
        bytes.append(0x2A)
        bytes.append(0x58)
        bytes.append(0x25)
        bytes.append(0x00)
        cid.append(to: &bytes)
    }

    /// Appends a link, or null.
    package mutating func link(_ cid: CID?) {
        if let cid { link(cid) } else { null() }
    }

    /// Appends the head of an array; `count` items must follow.
    package mutating func array(count: Int) { head(.array, UInt64(count)) }

    /// Appends the head of a map; `count` pairs must follow, keys by length and then by bytes.
    package mutating func map(count: Int) { head(.map, UInt64(count)) }

    /// Appends a value in canonical form.
    package mutating func value(_ value: DataValue) {
        switch value {
        case .null: null()
        case .boolean(let boolean): self.boolean(boolean)
        case .integer(let integer): self.integer(integer)
        case .string(let string): text(string)
        case .bytes(let bytes): byteString(bytes)
        case .link(let cid): link(cid)
        case .array(let array):
            self.array(count: array.count)
            for element in array { self.value(element) }
        case .map(let map):
            self.map(count: map.count)
            for (key, element) in map {
                text(key)
                self.value(element)
            }
        }
    }
}
