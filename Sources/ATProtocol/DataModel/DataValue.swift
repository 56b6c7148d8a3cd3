/// A value of the AT Protocol data model: what records, method inputs and outputs are made of.
///
/// Spec: https://atproto.com/specs/data-model
package enum DataValue: Sendable, Hashable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case string(String)
    case bytes([UInt8])
    case link(CID)
    case array([DataValue])
    case map(DataMap)

    /// Decodes canonical DAG-CBOR.
    ///
    /// - Throws: everything the strict form refuses, and `.limitExceeded`.
    package init(cbor bytes: [UInt8], limits: DataLimits = .record) throws(DataModelError) {
        guard bytes.count <= limits.sizeBytesMax else { throw .limitExceeded(limit: .size) }
        var reader = CBORReader(bytes)
        self = try reader.value(limits: limits)
        try reader.finish()
    }

    /// The canonical DAG-CBOR of the value.
    package func cbor() -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: 256)
        writer.value(self)
        return writer.bytes
    }

    /// Decodes the JSON form: `$link` and `$bytes` objects become links and bytes.
    ///
    /// - Throws: `.invalid` with the byte offset; numbers with a fraction, duplicate keys, and `.limitExceeded`.
    package init(json bytes: [UInt8], limits: DataLimits = .record) throws(DataModelError) {
        guard bytes.count <= limits.sizeBytesMax else { throw .limitExceeded(limit: .size) }
        var reader = JSONReader(bytes, limits: limits)
        self = try reader.document()
    }

    /// The JSON form: UTF-8, no white space, keys in canonical order.
    package func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }
}

extension DataValue {
    /// The value of `key` when this is a map that has it.
    package subscript(key: String) -> DataValue? {
        if case .map(let map) = self { map[key] } else { nil }
    }

    package var stringValue: String? { if case .string(let value) = self { value } else { nil } }
    package var integerValue: Int64? { if case .integer(let value) = self { value } else { nil } }
    package var booleanValue: Bool? { if case .boolean(let value) = self { value } else { nil } }
    package var arrayValue: [DataValue]? { if case .array(let value) = self { value } else { nil } }
    package var mapValue: DataMap? { if case .map(let value) = self { value } else { nil } }
    package var bytesValue: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
    package var linkValue: CID? { if case .link(let value) = self { value } else { nil } }
    package var isNull: Bool { self == .null }
}

extension DataValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }
    package init(booleanLiteral value: Bool) { self = .boolean(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: DataValue...) { self = .array(elements) }

    /// A literal map; of a key that appears twice the last value stays.
    package init(dictionaryLiteral elements: (String, DataValue)...) {
        var map = DataMap()
        for (key, value) in elements { map[key] = value }
        self = .map(map)
    }
}
