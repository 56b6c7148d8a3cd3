import ATProtocol
import Base
import Testing

@Suite struct DIDDocumentTests {
    private let did = DID(literal: "did:plc:ewvi7nxzyoun6zhxrhs64oiz")
    private let key = "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"

    private func document(_ json: String) throws -> DIDDocument {
        try DIDDocument(json: Array(json.utf8), of: did)
    }

    @Test func anOrdinaryDocument() throws {
        let document = try document(
            """
            {"@context":["https://www.w3.org/ns/did/v1"],"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz",
             "alsoKnownAs":["https://example.com","at://atproto.com","at://other.example"],
             "verificationMethod":[{"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz#atproto","type":"Multikey",
              "controller":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","publicKeyMultibase":"\(key)"}],
             "service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer",
              "serviceEndpoint":"https://enoki.us-east.host.bsky.network"}]}
            """)
        #expect(document.signingKey?.multikey == key)
        #expect(document.pdsEndpoint?.string == "https://enoki.us-east.host.bsky.network")
        #expect(document.handle?.string == "atproto.com")
        #expect(document.service(named: "bsky_appview") == nil)
    }

    /// Keys as documents before 2023 spelt them (bluesky-social/atproto-interop-tests, crypto/signature-fixtures.json).
    @Test(arguments: [
        (
            "EcdsaSecp256r1VerificationKey2019", "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh",
            "did:key:zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo"
        ),
        (
            "EcdsaSecp256k1VerificationKey2019", "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t",
            "did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc"
        ),
    ])
    func oldKeys(type: String, multibase: String, didKey: String) throws {
        func signingKey(_ multibase: String) throws -> PublicKey? {
            try document(
                """
                {"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","verificationMethod":[
                 {"id":"#atproto","type":"\(type)","controller":"did:plc:ewvi7nxzyoun6zhxrhs64oiz",
                  "publicKeyMultibase":"\(multibase)"}]}
                """
            ).signingKey
        }
        let key = try #require(try signingKey(multibase))
        #expect(key.didKey == didKey)
        #expect(try signingKey("z" + Base58BTC.encode(key.uncompressedBytes)) == key)
        #expect(try signingKey(key.multikey) == nil)
    }

    /// The first of a name counts, also when it is of no use; others are passed over.
    @Test func theFirstOfAName() throws {
        let document = try document(
            """
            {"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","alsoKnownAs":[7,"at://not a handle","at://good.example.com"],
             "verificationMethod":["x",{"id":"#other","type":"Multikey","publicKeyMultibase":"\(key)"},
              {"id":"#atproto","type":"Multikey","controller":"did:web:example.com","publicKeyMultibase":"zQ3shbad"},
              {"id":"#atproto","type":"Ed25519VerificationKey2020","publicKeyMultibase":"\(key)"},
              {"id":"#atproto","type":"Multikey","publicKeyMultibase":"\(key)"}],
             "service":[{"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":{"a":1}},
              {"id":"did:plc:ewvi7nxzyoun6zhxrhs64oiz#atproto_pds","type":"Other","serviceEndpoint":"https://a.example"},
              {"id":"#atproto_pds","type":"AtprotoPersonalDataServer","serviceEndpoint":"https://b.example"}]}
            """)
        #expect(document.handle == nil)
        #expect(document.signingKey == nil)
        #expect(document.verificationMethod(named: "other")?.publicKey?.multikey == key)
        #expect(document.pdsEndpoint == nil)
        #expect(document.service(named: "atproto_pds")?.origin?.string == "https://a.example")
    }

    @Test func textsThatAreNoDocument() {
        #expect(throws: DIDDocument.Failure.noIdentifier) { try document("{}") }
        #expect(throws: DIDDocument.Failure.noIdentifier) { try document(#"{"id":"example"}"#) }
        #expect(throws: DIDDocument.Failure.noIdentifier) { try document("[]") }
        #expect(throws: DIDDocument.Failure.wrongDID(DID(literal: "did:web:example.com"))) {
            try document(#"{"id":"did:web:example.com"}"#)
        }
        #expect(throws: DIDDocument.Failure.self) { try document("<html>") }
        #expect(throws: DIDDocument.Failure.notJSON(.limitExceeded(limit: .size))) {
            try document(String(repeating: " ", count: 262_145))
        }
    }

    @Test(arguments: 0..<20) func whatIsRenderedReadsBack(seed: UInt64) throws {
        let samples = PLCSamples(seed: seed)
        var state = samples.state()
        state.verificationMethods["other"] = samples.keys[1].publicKey.didKey
        state.verificationMethods["strange"] = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
        let document = DIDDocument(did: did, state: state)
        #expect(try DIDDocument(json: document.value.json(), of: did) == document)
        #expect(document.signingKey == samples.keys[0].publicKey)
        #expect(document.handle?.string == "alice.example.com")
        #expect(document.pdsEndpoint?.string == "https://pds.example.com")
        #expect(document.verificationMethod(named: "other")?.publicKey == samples.keys[1].publicKey)
        #expect(document.verificationMethod(named: "strange")?.publicKey == nil)
        #expect(document.value["@context"]?.arrayValue?.count == 4)
    }

    @Test func origins() {
        let good = [
            ("https://example.com", "https://example.com"), ("https://Example.com/", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://localhost:2583", "http://localhost:2583"), ("HTTP://127.0.0.1:80/", "http://127.0.0.1"),
        ]
        for (text, string) in good { #expect(ServiceOrigin(text)?.string == string, "\(text)") }
        let bad = [
            "", "example.com", "https://", "https:///", "https://example.com/path", "https://example.com//",
            "https://example.com?a", "https://example.com#a", "https://user@example.com", "https://user:pw@example.com",
            "https://example.com:", "https://example.com:0", "https://example.com:65536", "https://example.com:8a",
            "https://example.com:+80", "ftp://example.com", "wss://example.com", "https://exa mple.com",
            "https://example..com", "https://-a.com", "https://[::1]", "https://exämple.com", "https://a.com\n",
            "https://a.com:80:80", "https://" + String(repeating: "a.", count: 150) + "com",
        ]
        for text in bad { #expect(ServiceOrigin(text) == nil, "\(text)") }
    }

    @Test func webIdentities() throws {
        let cases = [
            ("did:web:example.com", "https://example.com/.well-known/did.json"),
            ("did:web:pds.sub.example.com", "https://pds.sub.example.com/.well-known/did.json"),
            ("did:web:localhost", "http://localhost/.well-known/did.json"),
            ("did:web:localhost%3A2583", "http://localhost:2583/.well-known/did.json"),
        ]
        for (text, url) in cases {
            let web = try #require(DIDWeb(DID(parsing: text)), "\(text)")
            #expect(web.documentURL == url)
            #expect(web.did.string == text)
        }
        for text in [
            "did:web:example.com:user", "did:web:example.com%3A8080", "did:web:Example.com", "did:web:example",
            "did:web:127.0.0.1", "did:web:localhost%3A0", "did:web:localhost%3a2583", "did:web:localhost%3A02583",
            "did:web:localhost%3A1%3A2", "did:web:localhost:2583", "did:web:a_b.example.com", "did:web:example.com.",
            "did:web:ex%61mple.com", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:webvh:example.com",
        ] {
            #expect(DIDWeb(try DID(parsing: text)) == nil, "\(text)")
        }
        #expect(DIDWeb(host: "pds.example.com")?.did.string == "did:web:pds.example.com")
        #expect(DIDWeb(host: "localhost", port: 2583)?.did.string == "did:web:localhost%3A2583")
        #expect(DIDWeb(host: "pds.example.com", port: 2583) == nil)
        #expect(DIDWeb(host: "PDS.example.com") == nil)
    }

    @Test func plcIdentifiers() {
        #expect(did.isPLC)
        for text: StaticString in [
            "did:plc:ewvi7nxzyoun6zhxrhs64oi", "did:plc:EWVI7nxzyoun6zhxrhs64oiz", "did:plc:ewvi7nxzyoun6zhxrhs64oi1",
            "did:web:ewvi7nxzyoun6zhxrhs64oiz",
        ] {
            #expect(!DID(literal: text).isPLC)
        }
    }
}
