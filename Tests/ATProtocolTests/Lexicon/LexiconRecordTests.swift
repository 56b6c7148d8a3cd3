import ATProtocol
import Base
import Testing

/// Records against a schema that uses every field type and every constraint.
struct LexiconRecordTests {
    private static let link = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
    private static let raw = "bafkreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
    private static let collection = NSID(literal: "com.example.thing")
    private static let key = RecordKey(literal: "demo")

    private static func blob(_ type: String, _ size: Int) -> String {
        #"{"$type": "blob", "mimeType": "\#(type)", "size": \#(size), "ref": {"$link": "\#(raw)"}}"#
    }

    /// A field's value as JSON that is allowed.
    private static let valid: [(String, String)] = [
        ("boolean", "false"), ("constBoolean", "true"), ("integer", "-9007199254740991"), ("integer", "3.0"),
        ("constInteger", "42"), ("enumInteger", "16"), ("rangeInteger", "-10"), ("rangeInteger", "20"),
        ("string", #""""#), ("constString", #""fixed""#), ("enumString", #""tree""#), ("knownString", #""mauve""#),
        ("lengthString", #""abc""#), ("lengthString", #""üüüü""#), ("graphemeString", #""🇩🇪🏳️‍🌈""#),
        ("graphemeString", #""👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦""#),
        ("nullable", "null"), ("nullableBlob", "null"), ("nullable", #""x""#), ("bytes", #"{"$bytes": ""}"#),
        ("lengthBytes", #"{"$bytes": "AAAA"}"#), ("link", #"{"$link": "\#(link)"}"#), ("blob", blob("a/b", 0)),
        ("sizeBlob", blob("a/b", 20)), ("acceptBlob", blob("image/png", 1)), ("acceptBlob", blob("Text/Plain", 1)),
        ("unknown", "{}"), ("unknown", #"{"$type": "com.example.thing#point", "x": "free"}"#), ("array", "[1]"),
        ("array", "[1, 2, 3]"), ("objects", "[]"), ("objects", #"[{"x": 1}, {"x": 2, "y": null}]"#),
        ("object", #"{"a": 1, "more": [null]}"#), ("ref", #"{"x": 1}"#), ("ref", #"{"$type": "other", "x": 1}"#),
        ("name", #""abcde""#), ("tree", #"{"children": [{"children": []}, {}]}"#),
        ("union", #"{"$type": "com.example.thing#point", "x": 1}"#), ("union", #"{"$type": "com.example.thing#tree"}"#),
        ("union", #"{"$type": "com.example.later", "x": "free"}"#),
        ("closed", #"{"$type": "com.example.thing#point", "x": 1}"#),
        ("self", #"{"$type": "com.example.thing", "integer": 1}"#),
        ("embedded", #"{"$type": "com.example.thing", "integer": 1}"#), ("did", #""did:web:example.com""#),
        ("handle", #""a.example.com""#), ("identifier", #""a.example.com""#), ("identifier", #""did:web:example.com""#),
        ("nsid", #""com.example.nsid""#), ("atURI", #""at://a.example.com/com.example.nsid/k""#),
        ("cid", "\"\(link)\""),
        ("datetime", #""2023-10-30T22:25:23Z""#), ("uri", #""https://example.com""#), ("language", #""pt-BR""#),
        ("tid", #""3kznmn7xqxl22""#), ("recordKey", #""simple""#), ("notInSchema", #"[{"a": 1}]"#),
    ]

    /// A field's value as JSON that is not, and the path the error must name.
    private static let invalid: [(String, String, String)] = [
        ("boolean", "1", "boolean"), ("boolean", #""true""#, "boolean"), ("boolean", "null", "boolean"),
        ("constBoolean", "false", "constBoolean"), ("integer", #""1""#, "integer"), ("integer", "true", "integer"),
        ("integer", "null", "integer"), ("constInteger", "41", "constInteger"), ("enumInteger", "5", "enumInteger"),
        ("rangeInteger", "-11", "rangeInteger"), ("rangeInteger", "21", "rangeInteger"), ("string", "1", "string"),
        ("string", "[]", "string"), ("string", "null", "string"), ("constString", #""other""#, "constString"),
        ("enumString", #""rock""#, "enumString"), ("enumString", #""Fish""#, "enumString"),
        ("knownString", "1", "knownString"),
        ("lengthString", #""ab""#, "lengthString"), ("lengthString", #""abcdefghi""#, "lengthString"),
        ("lengthString", #""üüüüü""#, "lengthString"), ("graphemeString", #""🏳️‍🌈""#, "graphemeString"),
        ("graphemeString", #""abcde""#, "graphemeString"), ("graphemeString", #""👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦""#, "graphemeString"),
        ("nullable", "1", "nullable"), ("bytes", #""AAAA""#, "bytes"), ("bytes", "[]", "bytes"),
        ("lengthBytes", #"{"$bytes": "AA"}"#, "lengthBytes"),
        ("lengthBytes", #"{"$bytes": "AAAAAAAA"}"#, "lengthBytes"),
        ("link", "\"\(link)\"", "link"), ("link", "{}", "link"), ("blob", "{}", "blob"), ("blob", #""x""#, "blob"),
        ("blob", #"{"cid": "\#(raw)", "mimeType": "a/b"}"#, "blob"),
        ("blob", #"{"$type": "blob", "mimeType": "a/b", "size": -1, "ref": {"$link": "\#(raw)"}}"#, "blob"),
        ("blob", #"{"$type": "blob", "mimeType": "a/b", "ref": {"$link": "\#(raw)"}}"#, "blob"),
        ("blob", #"{"$type": "blob", "size": 1, "ref": {"$link": "\#(raw)"}}"#, "blob"),
        ("blob", #"{"$type": "blob", "mimeType": "a/b", "size": 1, "ref": "\#(raw)"}"#, "blob"),
        ("sizeBlob", blob("a/b", 21), "sizeBlob"), ("acceptBlob", blob("video/mp4", 1), "acceptBlob"),
        ("acceptBlob", blob("text/html", 1), "acceptBlob"), ("acceptBlob", blob("images/png", 1), "acceptBlob"),
        ("unknown", "1", "unknown"), ("unknown", "[]", "unknown"), ("unknown", "null", "unknown"),
        ("unknown", blob("a/b", 1), "unknown"), ("unknown", #"{"$link": "\#(link)"}"#, "unknown"),
        ("unknown", #"{"$bytes": "AAAA"}"#, "unknown"),
        ("unknown", #"{"a": {"cid": "\#(raw)", "mimeType": "a/b"}}"#, "unknown.a"),
        ("unknown", #"{"a": [{"$type": ""}]}"#, "unknown.a[0].$type"), ("array", "{}", "array"),
        ("array", "[]", "array"),
        ("array", "[1, 2, 3, 4]", "array"), ("array", #"[1, "2"]"#, "array[1]"), ("array", "[null]", "array[0]"),
        ("objects", #"[{"x": 1}, {"y": 1}]"#, "objects[1].x"), ("objects", #"[{"x": null}]"#, "objects[0].x"),
        ("objects", "[1]", "objects[0]"), ("object", "{}", "object.a"), ("object", #"{"a": "1"}"#, "object.a"),
        ("object", "[]", "object"), ("ref", #"{"x": 1, "y": "2"}"#, "ref.y"), ("ref", "7", "ref"),
        ("name", #""abcdef""#, "name"),
        ("tree", #"{"children": [{"children": [{}, 1]}]}"#, "tree.children[0].children[1]"),
        ("tree", #"{"children": [{"image": \#(blob("image/gif", 1))}]}"#, "tree.children[0].image"),
        ("tree", #"{"image": \#(blob("image/png", 101))}"#, "tree.image"), ("union", "1", "union"),
        ("union", "{}", "union.$type"),
        ("union", #"{"x": 1}"#, "union.$type"), ("union", #"{"$type": 1}"#, "union.$type"),
        ("union", #"{"$type": ""}"#, "union.$type"),
        ("union", #"{"$type": "com.example.thing#point"}"#, "union.x"),
        ("closed", #"{"$type": "com.example.later"}"#, "closed.$type"),
        ("closed", ##"{"$type": "#point", "x": 1}"##, "closed.$type"),
        ("closed", ##"{"$type": "com.example.thing#tree"}"##, "closed.$type"),
        ("self", #"{"$type": "com.example.thing"}"#, "self.integer"),
        ("self", #"{"$type": "com.example.thing#main", "integer": 1}"#, "self.$type"),
        ("embedded", #"{"integer": 1}"#, "embedded.$type"),
        ("embedded", #"{"$type": "other", "integer": 1}"#, "embedded.$type"),
        ("did", #""did:web""#, "did"), ("handle", #""handle""#, "handle"),
        ("identifier", #""@a.example.com""#, "identifier"),
        ("nsid", #""example""#, "nsid"), ("atURI", #""https://example.com""#, "atURI"), ("cid", #""123""#, "cid"),
        ("datetime", #""2023-10-30 22:25:23Z""#, "datetime"), ("datetime", #""2023-02-29T00:00:00Z""#, "datetime"),
        ("uri", #""example.com""#, "uri"), ("language", #""jaja""#, "language"), ("tid", #""3kznmn7xqxl2""#, "tid"),
        ("recordKey", #""a/b""#, "recordKey"),
        ("notInSchema", #"{"cid": "\#(raw)", "mimeType": "a/b"}"#, "notInSchema"),
    ]

    private func record(_ field: String, _ json: String) throws -> DataValue {
        let rest = field == "integer" ? "" : #", "integer": 1"#
        return try LexiconExamples.value(#"{"$type": "com.example.thing", "\#(field)": \#(json)\#(rest)}"#)
    }

    @Test func validFields() throws {
        let catalog = try LexiconExamples.catalog()
        #expect(catalog.faults.isEmpty)
        for (field, json) in Self.valid {
            let result = catalog.validateRecord(
                try record(field, json), collection: Self.collection, key: Self.key, mode: .required)
            guard case .valid = result else {
                Issue.record("\(field) \(json): \(result)")
                continue
            }
        }
    }

    @Test func invalidFields() throws {
        let catalog = try LexiconExamples.catalog()
        for (field, json, path) in Self.invalid {
            let result = catalog.validateRecord(try record(field, json), collection: Self.collection, key: Self.key)
            guard case .invalid(let error) = result else {
                Issue.record("\(field) \(json): passed")
                continue
            }
            #expect(error.path == path, "\(field) \(json): \(error)")
            #expect(error.subject == .record)
        }
        #expect(Self.invalid.count >= 50)
    }

    @Test func typeIsFilledInOrMustMatch() throws {
        let catalog = try LexiconExamples.catalog()
        let result = catalog.validateRecord(["integer": 1], collection: Self.collection, key: Self.key)
        #expect(try result.record().value == ["$type": "com.example.thing", "integer": 1])
        for wrong: DataValue in ["com.example.other", "com.example.thing#main", "", 1, nil] {
            for mode in [RecordValidationMode.required, .whenKnown, .skipped] {
                let value: DataValue = ["$type": wrong, "integer": 1]
                let result = catalog.validateRecord(value, collection: Self.collection, key: Self.key, mode: mode)
                #expect(throws: LexiconError(.record, path: "$type", "must be com.example.thing")) {
                    try result.record()
                }
            }
        }
        #expect(throws: LexiconError(.record, path: "", "must be an object")) {
            try catalog.validateRecord([1], collection: Self.collection, key: nil, mode: .skipped).record()
        }
    }

    @Test func modes() throws {
        let catalog = try LexiconExamples.catalog()
        let other = NSID(literal: "com.example.other")
        func status(_ value: DataValue, _ collection: NSID, _ mode: RecordValidationMode) throws -> String? {
            let result = catalog.validateRecord(value, collection: collection, key: Self.key, mode: mode)
            _ = try result.record()
            return result.status
        }
        #expect(try status(["integer": 1], Self.collection, .required) == "valid")
        #expect(try status(["integer": 1], Self.collection, .whenKnown) == "valid")
        #expect(try status(["integer": "1"], Self.collection, .skipped) == nil)
        #expect(try status(["integer": "1"], other, .whenKnown) == "unknown")
        #expect(try status(["integer": "1"], other, .skipped) == nil)
        do {
            _ = try status(["integer": 1], other, .required)
            Issue.record("an unknown schema passed")
        } catch let error as LexiconError {
            #expect(error.rule == .unknownSchema && error.wire.status == 400 && error.wire.error == "InvalidRequest")
        }
        // Whatever the mode, the rules for every record hold.
        let legacy: DataValue = ["a": ["cid": .string(Self.raw), "mimeType": "a/b"]]
        let broken: DataValue = ["a": ["$type": "blob", "size": 1]]
        for mode in [RecordValidationMode.whenKnown, .skipped] {
            for value in [legacy, broken, ["a": ["$type": ""]]] {
                #expect(throws: LexiconError.self) { try status(value, other, mode) }
            }
        }
    }

    @Test func recordKeysOfKnownSchemas() throws {
        func catalog(_ key: String) throws -> LexiconCatalog {
            LexiconCatalog(documents: [
                try LexiconExamples.document(
                    """
                    {"lexicon": 1, "id": "com.example.keyed", "defs": {"main": {
                      "type": "record", "key": "\(key)", "record": {"type": "object", "properties": {}}}}}
                    """)
            ])
        }
        let collection = NSID(literal: "com.example.keyed")
        let cases: [(String, good: [String], bad: [String])] = [
            ("any", ["self", "3kznmn7xqxl22", "a:b"], []), ("tid", ["3kznmn7xqxl22"], ["self", "3kznmn7xqxl2"]),
            ("nsid", ["a.b.c"], ["self", "a.b"]), ("literal:self", ["self"], ["Self", "other", "self."]),
        ]
        for (kind, good, bad) in cases {
            let catalog = try catalog(kind)
            for (keys, isGood) in [(good, true), (bad, false)] {
                for text in keys {
                    let key = try RecordKey(parsing: text)
                    let result = catalog.validateRecord([:], collection: collection, key: key)
                    #expect(((try? result.record()) != nil) == isGood, "\(kind) \(text)")
                    let skipped = catalog.validateRecord([:], collection: collection, key: key, mode: .skipped)
                    #expect(throws: Never.self) { try skipped.record() }
                }
            }
            #expect(throws: Never.self) {
                try catalog.validateRecord([:], collection: collection, key: nil).record()
            }
        }
        #expect(try catalog("literal:self").recordKey(of: collection) == .literal(RecordKey(literal: "self")))
        #expect(try catalog("any").recordKey(of: NSID(literal: "com.example.other")) == nil)
    }

    @Test func blobsAreFoundWithTheirConstraints() throws {
        let catalog = try LexiconExamples.catalog()
        let value = try LexiconExamples.value(
            """
            {"integer": 1, "acceptBlob": \(Self.blob("image/png", 1)), "sizeBlob": \(Self.blob("a/b", 2)),
             "tree": {"children": [{}, {"image": \(Self.blob("image/png", 3))}]},
             "unknown": {"deep": [{"a": \(Self.blob("a/b", 4))}]}, "later": [\(Self.blob("a/b", 5))],
             "union": {"$type": "com.example.later", "blob": \(Self.blob("a/b", 6))}}
            """)
        let found = try catalog.validateRecord(value, collection: Self.collection, key: Self.key).record().blobs
        let byPath = Dictionary(uniqueKeysWithValues: found.map { ($0.path, $0) })
        #expect(
            Set(byPath.keys) == [
                "acceptBlob", "sizeBlob", "tree.children[1].image", "unknown.deep[0].a", "later[0]", "union.blob",
            ])
        #expect(byPath["acceptBlob"]?.accept?.map(\.description) == ["image/*", "text/plain"])
        #expect(byPath["sizeBlob"]?.sizeBytesMax == 20)
        #expect(byPath["tree.children[1].image"]?.sizeBytesMax == 100)
        #expect(byPath["unknown.deep[0].a"]?.accept == nil && byPath["unknown.deep[0].a"]?.reference.sizeBytes == 4)
        for mode in [RecordValidationMode.whenKnown, .skipped] {
            let other = catalog.validateRecord(
                value, collection: NSID(literal: "com.example.other"), key: nil, mode: mode)
            #expect(try Set(other.record().blobs.map(\.path)) == Set(byPath.keys))
            #expect(try other.record().blobs.allSatisfy { $0.accept == nil && $0.sizeBytesMax == nil })
        }
    }

    @Test func brokenBlobRulesHaveTheirOwnNames() throws {
        let catalog = try LexiconExamples.catalog()
        func wire(_ field: String, _ json: String) throws -> String {
            let result = catalog.validateRecord(try record(field, json), collection: Self.collection, key: nil)
            guard case .invalid(let error) = result else { return "" }
            return error.wire.error
        }
        #expect(try wire("sizeBlob", Self.blob("a/b", 21)) == "InvalidSize")
        #expect(try wire("acceptBlob", Self.blob("a/b", 1)) == "InvalidMimeType")
        #expect(try wire("blob", "1") == "InvalidRequest")
    }

    @Test func referencesOutOfTheCatalog() throws {
        let document = try LexiconExamples.document(
            """
            {"lexicon": 1, "id": "com.example.open", "defs": {
              "main": {"type": "record", "key": "any", "record": {"type": "object", "properties": {
                "far": {"type": "ref", "ref": "com.example.far"}, "near": {"type": "integer"},
                "either": {"type": "union", "refs": ["com.example.far#x"], "closed": true},
                "token": {"type": "ref", "ref": "#token"}, "word": {"type": "union", "refs": ["#word"]}}}},
              "token": {"type": "token"}, "word": {"type": "string"}}}
            """)
        let catalog = LexiconCatalog(documents: [document])
        #expect(catalog.faults.count == 4)
        let collection = NSID(literal: "com.example.open")
        func status(_ value: DataValue, _ mode: RecordValidationMode = .whenKnown) throws -> String? {
            let result = catalog.validateRecord(value, collection: collection, key: nil, mode: mode)
            _ = try result.record()
            return result.status
        }
        #expect(try status(["near": 1], .required) == "valid")
        #expect(try status(["far": "anything"]) == "unknown")
        #expect(try status(["either": ["$type": "com.example.far#x"]]) == "unknown")
        #expect(throws: LexiconError.self) { try status(["far": 1], .required) }
        #expect(throws: LexiconError.self) { try status(["far": 1, "near": "x"]) }
        #expect(throws: LexiconError.self) { try status(["token": "com.example.open#token"]) }
        #expect(throws: LexiconError.self) { try status(["word": ["$type": "com.example.open#word"]]) }
        let more = try LexiconExamples.document(
            #"{"lexicon": 1, "id": "com.example.far", "defs": {"main": {"type": "string"}, "x": {"type": "object"}}}"#)
        let whole = catalog.adding([more])
        #expect(whole.faults.count == 2)
        let result = whole.validateRecord(["far": "text"], collection: collection, key: nil)
        #expect(result.status == "valid")
    }

    @Test func depthIsBounded() throws {
        let catalog = try LexiconExamples.catalog()
        var tree: DataValue = [:]
        for _ in 0..<1000 { tree = ["children": [tree]] }
        for collection in [Self.collection, NSID(literal: "com.example.other")] {
            let value: DataValue = ["integer": 1, "tree": tree]
            let result = catalog.validateRecord(value, collection: collection, key: nil)
            guard case .invalid(let error) = result else {
                Issue.record("passed")
                continue
            }
            #expect(error.message == "is nested too deep")
        }
    }
}
