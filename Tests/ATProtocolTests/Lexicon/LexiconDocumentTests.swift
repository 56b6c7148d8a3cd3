import ATProtocol
import Base
import Testing

/// What a lexicon document may and may not say.
struct LexiconDocumentTests {
    /// A document whose definition `thing` is `json`.
    private func document(thing json: String) throws -> LexiconDocument {
        try LexiconExamples.document(#"{"lexicon": 1, "id": "com.example.lex", "defs": {"thing": \#(json)}}"#)
    }

    private func document(main json: String) throws -> LexiconDocument {
        try LexiconExamples.document(#"{"lexicon": 1, "id": "com.example.lex", "defs": {"main": \#(json)}}"#)
    }

    private func expectFault(_ path: String, _ body: () throws -> LexiconDocument) {
        do {
            _ = try body()
            Issue.record("\(path): passed")
        } catch let error as LexiconError {
            #expect(error.path == path, "\(error)")
            #expect(error.subject == .document && error.wire.status == 400)
        } catch {
            Issue.record(error)
        }
    }

    @Test func topLevel() throws {
        let cases: [(String, String)] = [
            ("", "[]"), ("", ""), ("", "{"), ("lexicon", "{}"), ("lexicon", #"{"lexicon": 2}"#),
            ("lexicon", #"{"lexicon": "1"}"#), ("id", #"{"lexicon": 1}"#), ("id", #"{"lexicon": 1, "id": "a.b"}"#),
            ("defs", #"{"lexicon": 1, "id": "a.b.c"}"#), ("defs", #"{"lexicon": 1, "id": "a.b.c", "defs": {}}"#),
            ("defs", #"{"lexicon": 1, "id": "a.b.c", "defs": []}"#),
            ("defs", ##"{"lexicon": 1, "id": "a.b.c", "defs": {"#x": {"type": "token"}}}"##),
            ("description", #"{"lexicon": 1, "id": "a.b.c", "description": 1, "defs": {"x": {"type": "token"}}}"#),
            ("defs.x", #"{"lexicon": 1, "id": "a.b.c", "defs": {"x": []}}"#),
        ]
        for (path, json) in cases { expectFault(path) { try LexiconExamples.document(json) } }
        let document = try LexiconExamples.document(
            """
            {"$type": "com.atproto.lexicon.schema", "lexicon": 1, "id": "a.b.c", "description": "d", "revision": 3,
             "defs": {"x": {"type": "token", "description": "t"}, "main": {"type": "string"}}}
            """)
        #expect(document.id.string == "a.b.c" && document.description == "d")
        #expect(document.definitions["x"] == .token)
        guard case .data(.string(let string))? = document.main else {
            Issue.record("no string")
            return
        }
        #expect(string.format == nil && string.lengthMax == nil)
    }

    @Test func namedDefinitions() throws {
        let good = [
            #"{"type": "token"}"#, #"{"type": "object"}"#, #"{"type": "object", "properties": {}}"#,
            #"{"type": "blob"}"#,
            #"{"type": "string", "knownValues": ["a"]}"#, #"{"type": "array", "items": {"type": "unknown"}}"#,
            #"{"type": "cid-link"}"#, #"{"type": "bytes"}"#, #"{"type": "boolean"}"#, #"{"type": "integer"}"#,
            #"{"type": "integer", "default": 3, "minimum": 3, "maximum": 3, "enum": [3]}"#,
            #"{"type": "blob", "accept": ["*/*", "image/*", "application/x+y"], "maxSize": 0}"#,
            #"{"type": "object", "properties": {"a": {"type": "union", "refs": []}}}"#,
        ]
        for json in good { #expect(throws: Never.self, "\(json)") { try document(thing: json) } }
        let bad: [(String, String)] = [
            ("type", "{}"), ("type", ##"{"type": "number"}"##), ("type", ##"{"type": 1}"##),
            ("type", ##"{"type": "ref", "ref": "#x"}"##),
            ("type", #"{"type": "union", "refs": []}"#), ("type", #"{"type": "unknown"}"#),
            ("type", #"{"type": "params"}"#),
            ("type", #"{"type": "permission"}"#), ("type", #"{"type": "query"}"#), ("type", #"{"type": "procedure"}"#),
            ("type", #"{"type": "permission-set", "permissions": []}"#),
            ("description", #"{"type": "token", "description": 1}"#),
            ("minimum", #"{"type": "integer", "minimum": 2, "maximum": 1}"#),
            ("enum", #"{"type": "integer", "enum": ["1"]}"#),
            ("enum", #"{"type": "integer", "enum": 1}"#),
            ("default", #"{"type": "integer", "default": 1, "const": 1}"#),
            ("default", #"{"type": "integer", "default": "1"}"#),
            ("default", #"{"type": "integer", "default": 9, "maximum": 8}"#),
            ("const", #"{"type": "integer", "const": 1, "enum": [2]}"#),
            ("default", #"{"type": "boolean", "default": 1}"#),
            ("default", #"{"type": "boolean", "default": true, "const": true}"#),
            ("const", #"{"type": "boolean", "const": "x"}"#),
            ("minLength", #"{"type": "string", "minLength": -1}"#),
            ("maxLength", #"{"type": "string", "maxLength": -1}"#),
            ("minLength", #"{"type": "string", "minLength": 2, "maxLength": 1}"#),
            ("maxLength", #"{"type": "string", "maxLength": "1"}"#),
            ("minGraphemes", #"{"type": "string", "minGraphemes": 2, "maxGraphemes": 1}"#),
            ("format", #"{"type": "string", "format": "email"}"#), ("enum", #"{"type": "string", "enum": [1]}"#),
            ("knownValues", #"{"type": "string", "knownValues": "a"}"#),
            ("default", #"{"type": "string", "default": "abc", "maxLength": 2}"#),
            ("default", #"{"type": "string", "default": "x", "format": "did"}"#),
            ("const", #"{"type": "string", "const": "c", "enum": ["d"]}"#),
            ("minLength", #"{"type": "bytes", "minLength": 2, "maxLength": 1}"#), ("items", #"{"type": "array"}"#),
            ("items.type", #"{"type": "array", "items": {"type": "token"}}"#),
            ("minLength", #"{"type": "array", "items": {"type": "blob"}, "minLength": -2}"#),
            ("accept", #"{"type": "blob", "accept": ["*"]}"#), ("accept", #"{"type": "blob", "accept": ["text/ht*"]}"#),
            ("accept", #"{"type": "blob", "accept": ["*/png"]}"#),
            ("accept", #"{"type": "blob", "accept": "image/png"}"#),
            ("maxSize", #"{"type": "blob", "maxSize": -1}"#), ("properties", #"{"type": "object", "properties": []}"#),
            ("properties.a", #"{"type": "object", "properties": {"a": 1}}"#),
            ("properties.a.type", #"{"type": "object", "properties": {"a": {}}}"#),
            ("required", #"{"type": "object", "required": ["a"]}"#),
            ("required", #"{"type": "object", "required": [1]}"#),
            ("nullable", #"{"type": "object", "nullable": ["a"]}"#),
            ("properties.a.ref", #"{"type": "object", "properties": {"a": {"type": "ref"}}}"#),
            ("properties.a.ref", #"{"type": "object", "properties": {"a": {"type": "ref", "ref": "a.b"}}}"#),
            ("properties.a.ref", ##"{"type": "object", "properties": {"a": {"type": "ref", "ref": "#"}}}"##),
            ("properties.a.ref", #"{"type": "object", "properties": {"a": {"type": "ref", "ref": ""}}}"#),
            ("properties.a.ref", #"{"type": "object", "properties": {"a": {"type": "ref", "ref": "a.b.c#d#e"}}}"#),
            ("properties.a.refs", #"{"type": "object", "properties": {"a": {"type": "union"}}}"#),
            ("properties.a.refs", #"{"type": "object", "properties": {"a": {"type": "union", "refs": ["x"]}}}"#),
            (
                "properties.a.refs",
                #"{"type": "object", "properties": {"a": {"type": "union", "refs": [], "closed": true}}}"#
            ),
            (
                "properties.a.closed",
                #"{"type": "object", "properties": {"a": {"type": "union", "refs": [], "closed": 1}}}"#
            ),
        ]
        for (path, json) in bad { expectFault("defs.thing.\(path)") { try document(thing: json) } }
    }

    @Test func primaryDefinitions() throws {
        let good = [
            #"{"type": "record", "key": "literal:self", "record": {"type": "object"}}"#,
            #"{"type": "query"}"#, #"{"type": "query", "output": {"encoding": "*/*"}}"#, #"{"type": "procedure"}"#,
            ##"{"type": "procedure", "input": {"encoding": "application/json", "schema": {"type": "ref", "ref": "#a"}}}"##,
            ##"{"type": "subscription", "message": {"schema": {"type": "union", "refs": ["#a"]}}}"##,
        ]
        for json in good { #expect(throws: Never.self, "\(json)") { try document(main: json) } }
        let bad: [(String, String)] = [
            ("key", #"{"type": "record", "record": {"type": "object"}}"#),
            ("key", #"{"type": "record", "key": "uuid", "record": {"type": "object"}}"#),
            ("key", #"{"type": "record", "key": "literal:", "record": {"type": "object"}}"#),
            ("key", #"{"type": "record", "key": "literal:a/b", "record": {"type": "object"}}"#),
            ("record", #"{"type": "record", "key": "any"}"#),
            ("record.type", #"{"type": "record", "key": "any", "record": {"properties": {}}}"#),
            ("record", #"{"type": "record", "key": "any", "record": {"type": "string"}}"#),
            ("parameters", #"{"type": "query", "parameters": []}"#),
            ("parameters.type", #"{"type": "query", "parameters": {"type": "object"}}"#),
            (
                "parameters.properties.a",
                #"{"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "object"}}}}"#
            ),
            (
                "parameters.properties.a",
                ##"{"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "ref", "ref": "#b"}}}}"##
            ),
            (
                "parameters.properties.a",
                #"{"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "array", "items": {"type": "blob"}}}}}"#
            ),
            ("parameters.required", #"{"type": "query", "parameters": {"type": "params", "required": ["a"]}}"#),
            (
                "parameters.nullable",
                #"{"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "string"}}, "nullable": ["a"]}}"#
            ),
            ("input", #"{"type": "query", "input": {"encoding": "a/b"}}"#),
            ("output", #"{"type": "query", "output": 1}"#),
            ("output.encoding", #"{"type": "query", "output": {}}"#),
            ("output.encoding", #"{"type": "query", "output": {"encoding": "json"}}"#),
            ("output.encoding", #"{"type": "query", "output": {"encoding": ""}}"#),
            ("output.schema", #"{"type": "query", "output": {"encoding": "a/b", "schema": {"type": "string"}}}"#),
            ("errors", #"{"type": "query", "errors": {}}"#), ("errors[0]", #"{"type": "query", "errors": ["A"]}"#),
            ("errors[1].name", #"{"type": "query", "errors": [{"name": "A"}, {}]}"#),
            ("errors[0].name", #"{"type": "query", "errors": [{"name": "A B"}]}"#),
            ("errors[0].name", #"{"type": "query", "errors": [{"name": ""}]}"#),
            ("message", #"{"type": "subscription"}"#),
            ("message.schema", #"{"type": "subscription", "message": {}}"#),
            ("message.schema", #"{"type": "subscription", "message": {"schema": {"type": "object"}}}"#),
            (
                "output",
                #"{"type": "subscription", "output": {"encoding": "a/b"}, "message": {"schema": {"type": "union", "refs": []}}}"#
            ),
        ]
        for (path, json) in bad { expectFault("defs.main.\(path)") { try document(main: json) } }
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: #"{"type": "array", "items": "#, count: depth) + #"{"type": "integer"}"#
                + String(repeating: "}", count: depth)
        }
        #expect(throws: Never.self) { try document(thing: nested(31)) }
        #expect(throws: LexiconError.self) { try document(thing: nested(32)) }
        #expect(throws: LexiconError.self) { try document(thing: nested(5000)) }
        var value: DataValue = ["type": "integer"]
        for _ in 0..<1000 { value = ["type": "array", "items": value] }
        #expect(throws: LexiconError.self) {
            try LexiconDocument(["lexicon": 1, "id": "a.b.c", "defs": ["x": value]])
        }
    }

    @Test func lookUpByReference() throws {
        let catalog = try LexiconExamples.catalog()
        #expect(catalog.definition("com.example.thing#token") == .token)
        guard case .data(.string(let name))? = catalog.definition("com.example.thing#name"),
            case .record(let record)? = catalog.definition("com.example.thing")
        else {
            Issue.record("no string or no record")
            return
        }
        #expect(name.lengthMax == 5)
        #expect(record.key == .literal(RecordKey(literal: "demo")))
        #expect(catalog.definition("com.example.thing#main") == catalog.definition("com.example.thing"))
        for text in ["", "#token", "com.example.thing#", "com.example.thing#other", "com.example.other", "x"] {
            #expect(catalog.definition(text) == nil, "\(text)")
            #expect(throws: LexiconError.self) { try catalog.validate([:], as: text) }
        }
        #expect(throws: Never.self) { try catalog.validate(["x": 1], as: "com.example.thing#point") }
        #expect(throws: LexiconError(.input, path: "x", "is required")) {
            try catalog.validate([:], as: "com.example.thing#point", subject: .input)
        }
        #expect(throws: LexiconError.self) { try catalog.validate([:], as: "com.example.thing#token") }
    }

    @Test func lists() throws {
        let list = try LexiconDocument.list(json: Array("[\(LexiconExamples.query), \(LexiconExamples.upload)]".utf8))
        #expect(list.map(\.id.string) == ["com.example.list", "com.example.upload"])
        #expect(try LexiconDocument.list(json: Array("[]".utf8)).isEmpty)
        #expect(throws: LexiconError(.document, path: "[0].lexicon", "is required")) {
            try LexiconDocument.list(json: Array("[{}]".utf8))
        }
        #expect(throws: LexiconError.self) { try LexiconDocument.list(json: Array("{}".utf8)) }
    }
}
