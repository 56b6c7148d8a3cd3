import ATProtocol
import Testing

/// The network's interoperability vectors, and for a lone clone a telling part of each rule.
struct SyntaxVectorTests {
    private func verify<Value: StringSyntax>(
        _ type: Value.Type, valid validName: String?, invalid invalidNames: [String], alsoValid: [String] = [],
        alsoInvalid: [String] = []
    ) throws {
        for text in try validName.map(SyntaxVectors.lines) ?? [] {
            #expect(throws: Never.self, "\(text)") { try Value(parsing: text) }
        }
        for text in alsoValid {
            #expect(Value.isValid(text), "\(text)")
            #expect(throws: Never.self, "\(text)") {
                let value = try Value(parsing: text)
                #expect(try Value(parsing: value.string) == value)
            }
        }
        for text in try invalidNames.flatMap(SyntaxVectors.lines) + alsoInvalid {
            #expect(!Value.isValid(text), "\(text)")
            #expect(throws: SyntaxError.self, "\(text)") { try Value(parsing: text) }
        }
    }

    @Test func did() throws {
        try verify(
            DID.self, valid: "did_syntax_valid", invalid: ["did_syntax_invalid"],
            alsoValid: [
                "did:m:v", "did:plc:7iza6de2dwap2sbkpav7c6c6", "did:web:localhost%3A1234", "did:method:-:_:.:%ab",
                "did:m:" + String(repeating: "v", count: 2042),
            ],
            alsoInvalid: [
                "", "did", "did:", "did:m", "did:m:", "did::v", "DID:m:v", "did:m1:v", "did:m:v:", "did:m:v%",
                "did:m:v/x",
                "did:m:ü", "did:m:v ", " did:m:v", "did:m:" + String(repeating: "v", count: 2043),
            ])
    }

    @Test func handle() throws {
        try verify(
            Handle.self, valid: "handle_syntax_valid", invalid: [],
            alsoValid: ["a.co", "A.ISI.EDU", "8.cn", "xn--ls8h.test", "john.t--t", "thing.a01"],
            alsoInvalid: [
                "", ".", "a", "a.", ".a", "a..b", "-a.b", "a-.b", "a.-b", "john.0", "john.0a", "jo_hn.test",
                "jo hn.test",
                "💩.test", "@a.test", "a.test ", "a/b.test", String(repeating: "o", count: 64) + ".test",
                String(repeating: "abcdefg.", count: 32) + "test", "did:plc:x",
            ])
    }

    @Test func atIdentifier() throws {
        try verify(
            ATIdentifier.self, valid: "atidentifier_syntax_valid", invalid: ["atidentifier_syntax_invalid"],
            alsoValid: ["did:method:val", "john.test"],
            alsoInvalid: ["", "blah", "did:thing", "@handle.test", "did:a:"])
    }

    @Test func nsid() throws {
        try verify(
            NSID.self, valid: "nsid_syntax_valid", invalid: ["nsid_syntax_invalid"],
            alsoValid: [
                "a.b.c", "com.example.fooBarV2", "cn.8.lex.stuff", "one.two.three.four-and.FiVe",
                "com." + String(repeating: "o", count: 63) + ".foo",
            ],
            alsoInvalid: [
                "", "a.b", "a..c", ".a.b.c", "a.b.c.", "a.b.c-d", "a.b.3c", "3a.b.c", "a-.b.c", "a.b.c*", "a.b.*",
                "a.b.ü",
                "com." + String(repeating: "o", count: 64) + ".foo",
                String(repeating: "abcdefg.", count: 40) + "name",
            ])
    }

    @Test func recordKey() throws {
        try verify(
            RecordKey.self, valid: "recordkey_syntax_valid", invalid: ["recordkey_syntax_invalid"],
            alsoValid: ["self", "...", ":", "~1.2-3_", String(repeating: "o", count: 512)],
            alsoInvalid: ["", ".", "..", "a/b", "a b", "#a", "ü", "a\u{0}", String(repeating: "o", count: 513)])
    }

    @Test func tid() throws {
        try verify(
            TID.self, valid: "tid_syntax_valid", invalid: ["tid_syntax_invalid"],
            alsoValid: ["3jzfcijpj2z2a", "2222222222222", "7777777777777", "jzzzzzzzzzzzz"],
            alsoInvalid: ["", "3jzfcijpj2z21", "3JZFCIJPJ2Z2A", "3jzfcijpj2z2aa", "3jzfcijpj2z2", "kjzfcijpj2z2a"])
    }

    @Test func atURI() throws {
        try verify(
            ATURI.self, valid: "aturi_syntax_valid", invalid: [],
            alsoValid: ["at://did:plc:asdf123", "at://user.bsky.social/com.atproto.feed.post/self."],
            alsoInvalid: [
                "", "at://", "at:///", "a://did:plc:x", "AT://did:plc:x", "at:/did:plc:x", "at://did:plc:x/",
                "at://did:plc:x/a.b.c/", "at://did:plc:x/a.b.c/d/", "at://did:plc:x/a.b.c/d/e", "at://did:plc:x//d",
                "at://did:plc:x/short/d", "at://name", "at://name.0", "at://did:plc:x#f", "at://did:plc:x/a.b.c/d?q",
                "at://did:plc:x/a.b.c/..", "at://did:plc:x ", " at://did:plc:x", "at://did:plc:x/a.b.c/a b",
                "at://did:plc:x/a.b.c/" + String(repeating: "o", count: 8200),
            ])
    }

    @Test func datetime() throws {
        try verify(
            Datetime.self, valid: "datetime_syntax_valid",
            invalid: ["datetime_syntax_invalid", "datetime_parse_invalid"],
            alsoValid: [
                "1985-04-12T23:20:50.123Z", "1985-04-12T23:20:50Z", "1985-04-12T23:20:50.123-07:00",
                "2000-02-29T00:00:00Z",
                "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59-23:59",
            ],
            alsoInvalid: [
                "", "1985-04-12", "1985-04-12T23:20:50", "1985-04-12t23:20:50Z", "1985-04-12T23:20:50z",
                "1985-04-12T23:20:50.Z", "1985-04-12T23:20:50-00:00", "1985-04-12T23:20:50+0000",
                "1900-02-29T00:00:00Z",
                "1985-04-31T00:00:00Z", "1985-04-12T24:00:00Z", "1985-04-12T23:59:60Z", "1985-00-12T23:20:50Z",
                "0000-01-01T00:00:00+01:00", "1985-04-12T23:20:50+24:00", "1985-04-12T23:20:50.123456789012345678901Z",
            ])
    }

    @Test func language() throws {
        try verify(
            LanguageTag.self, valid: "language_syntax_valid",
            invalid: ["language_syntax_invalid", "language_parse_invalid"],
            alsoValid: [
                "ja", "ban", "pt-BR", "zh-Hant", "es-419", "i-default", "X-fr-CH", "de-CH-1901", "zh-cmn-Hans-CN",
                "en-GB-boont-r-extended-sequence-x-private", "en-u-co-phonebk-t-en-US", "sl-rozaj-biske", "de-x-a-a",
            ],
            alsoInvalid: [
                "", "jaja", "j", "JA", "ja-", "-ja", "a-DE", "x", "de-x", "en-a", "en-a-b", "de-DE-1901-1901",
                "en-rozaj-ROZAJ", "en-a-foo-A-bar", "de-419-DE", "en--US", "en-ü", "en-abcdefghi",
            ])
    }

    @Test func cid() throws {
        try verify(
            CIDString.self, valid: "cid_syntax_valid", invalid: ["cid_syntax_invalid"],
            alsoValid: ["bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "mBcDxtdWx0aWhhc2g+"],
            alsoInvalid: ["", "1234567", "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR", "bafy beigdy"])
    }

    @Test func uri() throws {
        try verify(
            URI.self, valid: "uri_syntax_valid", invalid: ["uri_syntax_invalid"],
            alsoValid: ["https://example.com", "dns:example.com", "go:x", "a+b-c.d:e", "https://example.com/ü"],
            alsoInvalid: ["", ":", "a", "http:", "1http:x", "-http:x", "a b:c", "a:b c", "a:\u{7F}", "ä:b"])
    }

    @Test func repositoryPath() throws {
        try verify(
            RepositoryPath.self, valid: nil, invalid: [],
            alsoValid: ["app.bsky.feed.post/3jzfcijpj2z2a", "a.b.c/self"],
            alsoInvalid: ["", "/", "a.b.c", "a.b.c/", "a.b/c", "/a.b.c", "a.b.c/d/e", "a.b.c/..", "../a.b.c/x"])
    }
}
