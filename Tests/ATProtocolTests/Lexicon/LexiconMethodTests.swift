import ATProtocol
import Base
import Testing

/// Parameters, bodies and messages of methods.
struct LexiconMethodTests {
    private func method(_ name: String) throws -> LexiconMethod {
        let catalog = try LexiconExamples.catalog()
        return try #require(catalog.method(NSID(parsing: "com.example.\(name)")))
    }

    @Test func whatAMethodIs() throws {
        let catalog = try LexiconExamples.catalog()
        #expect(catalog.methods.map(\.id.name) == ["list", "make", "stream", "upload"])
        let list = try method("list")
        #expect(list.kind == .query && list.input == nil && list.errors == ["RepoNotFound", "Gone"])
        #expect(list.definition.description == "Lists things." && list.output?.isJSON == true)
        let upload = try method("upload")
        #expect(upload.kind == .procedure && upload.output == nil && upload.input?.isJSON == false)
        #expect(upload.input?.accepts(contentType: "image/png") == true)
        #expect(upload.input?.accepts(contentType: " Video/MP4 ; codecs=x") == true)
        #expect(upload.input?.accepts(contentType: "video/webm") == false)
        let make = try method("make")
        #expect(make.input?.accepts(contentType: "application/json; charset=utf-8") == true)
        for other in ["", "application", "application/", "application/jsonl", "text/json", "application/json/x"] {
            #expect(make.input?.accepts(contentType: other) == false, "\(other)")
        }
        #expect(catalog.method(NSID(literal: "com.example.thing")) == nil)
    }

    @Test func mimePatterns() {
        let all = MIMEPattern("*/*")
        #expect(all?.matchesEverything == true && all?.matches("x") == true && all?.description == "*/*")
        let images = MIMEPattern("Image/*")
        #expect(images?.description == "image/*" && images?.matches("IMAGE/PNG") == true)
        #expect(images?.matches("image/") == false && images?.matches("imagex/png") == false)
        for bad in ["", "*", "a", "a/", "/b", "a/b/c", "*/b", "a/b*", "a b/c", "a/ü", "a/b;c"] {
            #expect(MIMEPattern(bad) == nil, "\(bad)")
        }
    }

    @Test func parametersBecomeTyped() throws {
        let list = try method("list")
        #expect(
            try DataValue.map(list.parse(parameters: [("repo", "a.test")])) == [
                "repo": "a.test", "limit": 50, "order": "down",
            ])
        let all = try list.parse(parameters: [
            ("cursor", ""), ("reverse", "true"), ("limit", "7"), ("repo", "did:plc:abc"), ("tags", "a"), ("other", "x"),
            ("tags", "b"), ("numbers", "-3"), ("order", "up"), ("other", "y"),
        ])
        #expect(
            DataValue.map(all) == [
                "reverse": true, "limit": 7, "repo": "did:plc:abc", "tags": ["a", "b"], "numbers": [-3],
                "order": "up",
            ])
        let brackets = try list.parse(parameters: [("repo", "a.test"), ("tags[]", "a"), ("tags[1]", "b")])
        #expect(brackets["tags"] == ["a", "b"])
    }

    @Test func badParametersAreNamed() throws {
        let list = try method("list")
        let cases: [(String, [(String, String)])] = [
            ("repo", []), ("repo", [("repo", "")]), ("repo", [("repo", "nobody")]), ("repo", [("repo[]", "a.test")]),
            ("repo", [("repo", "a.test"), ("repo", "b.test")]), ("limit", [("limit", "0")]),
            ("limit", [("limit", "101")]),
            ("limit", [("limit", "1.5")]), ("limit", [("limit", "+5")]),
            ("limit", [("limit", " 5")]),
            ("limit", [("limit", "99999999999999999999")]), ("limit", [("limit", "0x10")]), ("limit", [("limit", "٣")]),
            ("limit", [("limit", "-")]), ("reverse", [("reverse", "1")]), ("reverse", [("reverse", "True")]),
            ("tags", [("tags", "a"), ("tags", "b"), ("tags", "c")]),
            ("tags[0]", [("tags", "abcde")]), ("numbers", [("numbers", "x")]), ("order", [("order", "left")]),
        ]
        for (path, pairs) in cases {
            let rest = path == "repo" ? [] : [("repo", "a.test")]
            do {
                _ = try list.parse(parameters: rest + pairs)
                Issue.record("\(pairs): passed")
            } catch {
                #expect(error.path == path && error.subject == .parameters, "\(pairs): \(error)")
                #expect(error.wire.status == 400 && error.wire.message.contains(path))
            }
        }
        // A name that is not a parameter, however odd, is ignored.
        let odd = [("repo", "a.test"), ("", ""), ("tags[x]", "a"), ("tags[", "a"), ("tags]", "a"), ("[]", "a")]
        #expect(try list.parse(parameters: odd)["tags"] == nil)
    }

    @Test func inputs() throws {
        let make = try method("make")
        #expect(try make.validate(input: ["record": [:]]) == ["record": [:], "count": 1])
        #expect(try make.validate(input: ["record": [:], "count": 5])["count"] == 5)
        #expect(try make.validate(input: ["record": [:], "extra": [nil]])["extra"] == [nil])
        let cases: [(String, DataValue)] = [
            ("", "x"), ("", []), ("record", [:]), ("record", ["record": 1]), ("count", ["record": [:], "count": "1"]),
            ("swap", ["record": [:], "swap": "x"]), ("swap", ["record": [:], "swap": nil]),
            ("deep.flag", ["record": [:], "deep": ["flag": 1]]),
        ]
        for (path, value) in cases {
            do {
                try make.validate(input: value)
                Issue.record("\(value): passed")
            } catch {
                #expect(error.path == path && error.subject == .input, "\(value): \(error)")
            }
        }
        // Without a schema anything goes.
        #expect(try method("upload").validate(input: "x") == "x")
    }

    @Test func outputs() throws {
        let make = try method("make")
        #expect(throws: Never.self) { try make.validate(output: ["uri": "at://a.test"]) }
        do {
            try make.validate(output: [:])
            Issue.record("passed")
        } catch {
            // Our own mistake: the caller learns nothing of it.
            #expect(error.wire.status == 500 && !error.wire.message.contains("uri"))
            #expect(error.description == "invalid output: uri is required")
        }
        let list = try method("list")
        #expect(throws: LexiconError(.output, path: "things[1].uri", "is required")) {
            try list.validate(output: ["things": [["uri": "at://a.test"], [:]]])
        }
        #expect(throws: Never.self) { try method("upload").validate(output: 1) }
    }

    @Test func messages() throws {
        let stream = try method("stream")
        #expect(try stream.parse(parameters: [("cursor", "5")])["cursor"] == 5)
        for type in ["#event", "com.example.stream#event"] {
            #expect(throws: Never.self) { try stream.validate(message: ["seq": 1], type: type) }
            #expect(throws: LexiconError(.message, path: "seq", "is required")) {
                try stream.validate(message: [:], type: type)
            }
        }
        // The union is open: later kinds of messages pass.
        #expect(throws: Never.self) { try stream.validate(message: [:], type: "#later") }
    }
}
