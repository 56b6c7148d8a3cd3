import ATProtocol

/// Lexicons that the tests of this folder share.
enum LexiconExamples {
    /// A record type that uses every field type and every constraint.
    static let record = """
        {"lexicon": 1, "id": "com.example.thing", "defs": {
          "main": {"type": "record", "key": "literal:demo", "record": {
            "type": "object", "required": ["integer"], "nullable": ["nullable", "nullableBlob"],
            "properties": {
              "boolean": {"type": "boolean"}, "constBoolean": {"type": "boolean", "const": true},
              "integer": {"type": "integer"}, "constInteger": {"type": "integer", "const": 42},
              "enumInteger": {"type": "integer", "enum": [4, 9, 16]},
              "rangeInteger": {"type": "integer", "minimum": -10, "maximum": 20},
              "string": {"type": "string"}, "constString": {"type": "string", "const": "fixed"},
              "enumString": {"type": "string", "enum": ["fish", "tree"]},
              "knownString": {"type": "string", "knownValues": ["blue", "green"]},
              "lengthString": {"type": "string", "minLength": 3, "maxLength": 8},
              "graphemeString": {"type": "string", "minGraphemes": 2, "maxGraphemes": 4},
              "nullable": {"type": "string"}, "nullableBlob": {"type": "blob"},
              "bytes": {"type": "bytes"}, "lengthBytes": {"type": "bytes", "minLength": 2, "maxLength": 4},
              "link": {"type": "cid-link"},
              "blob": {"type": "blob"}, "sizeBlob": {"type": "blob", "maxSize": 20},
              "acceptBlob": {"type": "blob", "accept": ["image/*", "text/plain"]},
              "unknown": {"type": "unknown"},
              "array": {"type": "array", "items": {"type": "integer"}, "minLength": 1, "maxLength": 3},
              "objects": {"type": "array", "items": {"type": "ref", "ref": "#point"}},
              "object": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
              "ref": {"type": "ref", "ref": "com.example.thing#point"},
              "name": {"type": "ref", "ref": "#name"},
              "tree": {"type": "ref", "ref": "#tree"},
              "union": {"type": "union", "refs": ["#point", "com.example.thing#tree"]},
              "closed": {"type": "union", "refs": ["#point"], "closed": true},
              "self": {"type": "union", "refs": ["com.example.thing"], "closed": true},
              "embedded": {"type": "ref", "ref": "com.example.thing"},
              "did": {"type": "string", "format": "did"}, "handle": {"type": "string", "format": "handle"},
              "identifier": {"type": "string", "format": "at-identifier"}, "nsid": {"type": "string", "format": "nsid"},
              "atURI": {"type": "string", "format": "at-uri"}, "cid": {"type": "string", "format": "cid"},
              "datetime": {"type": "string", "format": "datetime"}, "uri": {"type": "string", "format": "uri"},
              "language": {"type": "string", "format": "language"}, "tid": {"type": "string", "format": "tid"},
              "recordKey": {"type": "string", "format": "record-key"}
            }}},
          "point": {"type": "object", "required": ["x"], "nullable": ["y"],
            "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}},
          "name": {"type": "string", "maxLength": 5},
          "tree": {"type": "object", "properties": {
            "image": {"type": "blob", "accept": ["image/png"], "maxSize": 100},
            "children": {"type": "array", "items": {"type": "ref", "ref": "#tree"}}}},
          "token": {"type": "token", "description": "A word."}
        }}
        """

    /// A query with parameters of every kind.
    static let query = """
        {"lexicon": 1, "id": "com.example.list", "defs": {"main": {
          "type": "query", "description": "Lists things.",
          "parameters": {"type": "params", "required": ["repo"], "properties": {
            "repo": {"type": "string", "format": "at-identifier"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
            "reverse": {"type": "boolean"}, "cursor": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxLength": 2},
            "numbers": {"type": "array", "items": {"type": "integer"}},
            "order": {"type": "string", "enum": ["up", "down"], "default": "down"}}},
          "output": {"encoding": "application/json", "schema": {"type": "object", "required": ["things"],
            "properties": {"things": {"type": "array", "items": {"type": "ref", "ref": "#view"}}}}},
          "errors": [{"name": "RepoNotFound"}, {"name": "Gone", "description": "It has left."}]},
          "view": {"type": "object", "required": ["uri"], "properties": {"uri": {"type": "string", "format": "at-uri"}}}
        }}
        """

    /// A procedure whose input has defaults.
    static let procedure = """
        {"lexicon": 1, "id": "com.example.make", "defs": {"main": {
          "type": "procedure",
          "input": {"encoding": "application/json", "schema": {"type": "object", "required": ["record"], "properties": {
            "record": {"type": "unknown"}, "count": {"type": "integer", "default": 1},
            "swap": {"type": "string", "format": "cid"}, "deep": {"type": "object", "properties": {
              "flag": {"type": "boolean"}}}}}},
          "output": {"encoding": "application/json", "schema": {"type": "ref", "ref": "com.example.list#view"}}}
        }}
        """

    /// A procedure that takes bytes and answers with nothing.
    static let upload = """
        {"lexicon": 1, "id": "com.example.upload", "defs": {"main": {
          "type": "procedure", "input": {"encoding": "image/*, video/mp4"}}}}
        """

    /// A stream.
    static let subscription = """
        {"lexicon": 1, "id": "com.example.stream", "defs": {
          "main": {"type": "subscription",
            "parameters": {"type": "params", "properties": {"cursor": {"type": "integer"}}},
            "message": {"schema": {"type": "union", "refs": ["#event"]}}, "errors": [{"name": "FutureCursor"}]},
          "event": {"type": "object", "required": ["seq"], "properties": {"seq": {"type": "integer"}}}}}
        """

    /// The document in `text`.
    static func document(_ text: String) throws -> LexiconDocument {
        try LexiconDocument(json: Array(text.utf8))
    }

    /// All of the above.
    static func catalog() throws -> LexiconCatalog {
        LexiconCatalog(documents: try [record, query, procedure, upload, subscription].map(document))
    }

    /// The value in `text`.
    static func value(_ text: String) throws -> DataValue {
        try DataValue(json: Array(text.utf8))
    }
}
