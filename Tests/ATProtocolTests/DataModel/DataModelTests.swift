import ATProtocol
import Base
import Testing

@Suite struct DataModelTests {
    private func refused(_ bytes: [UInt8]) -> Bool { (try? DataValue(cbor: bytes)) == nil }

    @Test func whatTheStrictFormRefuses() {
        let cases: [(String, [UInt8])] = [
            ("empty", []), ("trailing byte", [0x01, 0x01]), ("non-minimal 1-byte", [0x18, 0x17]),
            ("non-minimal 2-byte", [0x19, 0x00, 0xFF]), ("non-minimal 4-byte", [0x1A, 0, 0, 0xFF, 0xFF]),
            ("non-minimal 8-byte", [0x1B, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("beyond signed 64 bits", [0x1B, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            ("indefinite text", [0x7F, 0x61, 0x61, 0xFF]), ("indefinite array", [0x9F, 0xFF]),
            ("indefinite map", [0xBF, 0xFF]), ("half float", [0xF9, 0x3C, 0x00]),
            ("double", [0xFB, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0]), ("undefined", [0xF7]), ("simple value", [0xF8, 0x20]),
            ("tag 0", [0xC0, 0x61, 0x61]), ("tag 42 on text", [0xD8, 0x2A, 0x61, 0x61]),
            ("duplicate key", [0xA2, 0x61, 0x61, 1, 0x61, 0x61, 2]),
            ("keys out of order", [0xA2, 0x61, 0x62, 1, 0x61, 0x61, 2]),
            ("longer key first", [0xA2, 0x62, 0x61, 0x61, 1, 0x61, 0x62, 2]), ("key not text", [0xA1, 0x01, 0x01]),
            ("invalid UTF-8", [0x61, 0xFF]), ("truncated text", [0x62, 0x61]), ("truncated array", [0x82, 0x01]),
            ("length beyond input", [0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), ("reserved", [0x1C]),
        ]
        for (name, bytes) in cases { #expect(refused(bytes), "\(name)") }
    }

    @Test func nestingIsBounded() {
        #expect(throws: DataModelError.limitExceeded(limit: .depth)) {
            try DataValue(cbor: [UInt8](repeating: 0x81, count: 10_000) + [0x01])
        }
        let path = String(String(repeating: "[0]", count: 100).prefix(192))
        #expect(throws: DataModelError.invalidShape(path: path, message: "nesting is too deep")) {
            try DataValue(json: [UInt8](repeating: UInt8(ascii: "["), count: 10_000))
        }
    }

    @Test(arguments: [
        (#"{"a":{"b":[1,{"c":1.5}]}}"#, "a.b[1].c: floating-point numbers are not allowed"),
        (#"{"a":9223372036854775808}"#, "a: an integer is outside the signed 64-bit range"),
        (#"[0,{"$link":"x"}]"#, "[1]: $link must be the only key and hold a CID"),
        (#"{"a":{"$bytes":1}}"#, "a: $bytes must be the only key and hold base64"),
        (#"{"a":{"b":1,"c":2,"b":3}}"#, "a.b: a map key appears twice"),
        (#"{"a":1,"a":2}"#, "a: a map key appears twice"),
        (#"{"a":{"b":}}"#, "not valid JSON, at byte 10"),
    ])
    func jsonErrorsNameTheField(_ text: String, _ description: String) {
        #expect {
            try DataValue(json: Array(text.utf8))
        } throws: {
            "\($0)" == description
        }
    }

    @Test func namesOfFieldsAreToldInPartWhereTheyAreLong() {
        let text = #"{"\#(String(repeating: "a", count: 100_000))":1.5}"#
        #expect(
            throws: DataModelError.invalidShape(
                path: String(repeating: "a", count: 200), message: "floating-point numbers are not allowed")
        ) { try DataValue(json: Array(text.utf8)) }
    }

    @Test func jsonIsReadStrictly() throws {
        func parse(_ text: String) throws -> DataValue { try DataValue(json: Array(text.utf8)) }
        #expect(
            try parse(#" {"a": [1, -2.0, 1e2, true, null, "\u00e9\ud83d\ude00\n"]} "#)
                == ["a": [1, -2, 100, true, nil, "é😀\n"]])
        #expect(try parse("-9223372036854775808") == .integer(.min))
        #expect(try parse(#"{"$bytes":"Zm9v"}"#) == .bytes(Array("foo".utf8)))
        #expect(try parse(#"{"$bytes":"Zm8="}"#) == .bytes(Array("fo".utf8)))
        let bad = [
            "", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "01", "1.5", "1e-1", "9223372036854775808", "nul", "\"\\x\"",
            "\"\\ud800\"", "\"\u{1}\"", "{\"a\":1,\"a\":2}", "1 2", "{\"$link\":\"x\"}", "{\"$link\":1}",
            "{\"$bytes\":\"Zm9v\",\"x\":1}", "{\"$bytes\":5}", "{\"$link\":\"bafyreie\",\"b\":1}", "'a'", "NaN", "+1",
            "-", "1.", "1e", "[1 2]", "\u{FEFF}1",
        ]
        for text in bad { #expect(throws: DataModelError.self, "\(text)") { try parse(text) } }
        #expect(throws: DataModelError.self) { try DataValue(json: [0x22, 0xFF, 0x22]) }
    }

    @Test func keysAreComparedByBytes() throws {
        // Composed and decomposed é are one string to Swift and two keys to the protocol.
        let composed = "\u{E9}"
        let decomposed = "e\u{301}"
        var map = DataMap()
        map[composed] = 1
        map[decomposed] = 2
        #expect(map.count == 2)
        let bytes = DataValue.map(map).cbor()
        #expect(try DataValue(cbor: bytes).cbor() == bytes)
    }

    /// A random value of bounded size.
    static func value(_ random: SeededRandomness, depth: Int = 4) -> DataValue {
        switch random.below(depth > 0 ? 8 : 6) {
        case 0: return .null
        case 1: return .boolean(random.oneIn(2))
        case 2: return .integer(Int64(bitPattern: random.uint64()) >> Int64(random.below(64)))
        case 3: return .string(String(decoding: random.bytes(random.below(20)), as: UTF8.self))
        case 4: return .bytes(random.bytes(random.below(40)))
        case 5: return .link(Sample.record(random.below(1000)))
        case 6: return .array((0..<random.below(5)).map { _ in value(random, depth: depth - 1) })
        default:
            var map = DataMap()
            for _ in 0..<random.below(5) { map["k\(random.below(1000))"] = value(random, depth: depth - 1) }
            return .map(map)
        }
    }

    @Test func encodingsRoundTrip() throws {
        for seed in 0..<3000 as Range<UInt64> {
            let value = DataModelTests.value(SeededRandomness(seed: seed))
            let bytes = value.cbor()
            #expect(try DataValue(cbor: bytes).cbor() == bytes, "seed \(seed)")
            #expect(try DataValue(json: value.json()).cbor() == bytes, "seed \(seed)")
        }
    }

    @Test func recordShapes() throws {
        func check(_ text: String) throws { try RecordShape.check(DataValue(json: Array(text.utf8))) }
        try check(#"{"$type":"a.b.c","x":{"$type":"blob","ref":{"$link":"\#(raw)"},"mimeType":"a/b","size":1}}"#)
        let bad = [
            "[]", "1", #"{"$type":null}"#, #"{"$type":1}"#, #"{"$type":""}"#, #"{"x":{"$type":"blob"}}"#,
            #"{"x":{"$type":"blob","ref":{"$link":"\#(raw)"},"mimeType":"a/b","size":"1"}}"#,
            #"{"x":{"$type":"blob","ref":{"$link":"\#(raw)"},"mimeType":"a/b"}}"#,
            #"{"x":[{"$type":"blob","ref":{"$link":"\#(raw)"},"mimeType":"a/b","size":-1}]}"#,
        ]
        for text in bad { #expect(throws: DataModelError.self, "\(text)") { try check(text) } }
    }

    private let raw = CID.of(raw: [1, 2, 3]).string

    @Test func cidsOfOtherKindsAreRefused() {
        let good = Sample.record(1)
        #expect((try? CID(parsing: good.string)) == good)
        #expect((try? CID(bytes: good.bytes)) == good)
        for text in [
            "", "bafy", "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", good.string.uppercased(), good.string + "a",
            "z" + good.string.dropFirst(),
        ] {
            #expect((try? CID(parsing: text)) == nil, "\(text)")
        }
        for index in 0..<4 {
            var bytes = good.bytes
            bytes[index] ^= 0x40
            #expect((try? CID(bytes: bytes)) == nil)
        }
    }
}
