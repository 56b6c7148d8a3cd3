import Base

/// Appends the JSON form of values (https://atproto.com/specs/data-model#json-representation).
package struct JSONWriter: Sendable {
    /// What was written so far, UTF-8.
    package var bytes: [UInt8] = []

    private static let hexDigits = Array("0123456789abcdef".utf8)

    package init() { bytes.reserveCapacity(512) }

    /// Appends any value.
    package mutating func value(_ value: DataValue) {
        switch value {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .boolean(let boolean): bytes.append(contentsOf: (boolean ? "true" : "false").utf8)
        case .integer(let integer): self.integer(integer)
        case .string(let string): self.string(string)
        case .bytes(let content):
            bytes.append(contentsOf: #"{"$bytes":""#.utf8)
            bytes.append(contentsOf: Base64.encode(content, padding: .none).utf8)
            bytes.append(contentsOf: #""}"#.utf8)
        case .link(let cid):
            bytes.append(contentsOf: #"{"$link":""#.utf8)
            bytes.append(contentsOf: cid.string.utf8)
            bytes.append(contentsOf: #""}"#.utf8)
        case .array(let array):
            bytes.append(UInt8(ascii: "["))
            for (index, element) in array.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                self.value(element)
            }
            bytes.append(UInt8(ascii: "]"))
        case .map(let map):
            self.map(map)
        }
    }

    private mutating func map(_ map: DataMap) {
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for (key, element) in map {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            string(key)
            bytes.append(UInt8(ascii: ":"))
            value(element)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func integer(_ value: Int64) {
        bytes.append(contentsOf: String(value).utf8)
    }

    /// Appends a string literal; only what JSON requires is escaped.
    package mutating func string(_ value: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = value
        text.withUTF8 { utf8 in
            var copied = 0
            for index in utf8.indices {
                let byte = utf8[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: utf8[copied..<index])
                copied = index + 1
                escape(byte)
            }
            bytes.append(contentsOf: utf8[copied...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        default:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(JSONWriter.hexDigits[Int(byte >> 4)])
            bytes.append(JSONWriter.hexDigits[Int(byte & 15)])
        }
    }
}
