import Testing

@testable import Web

/// Which texts are addresses to fetch, and what they mean.
struct OutboundURLTests {
    @Test(arguments: [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/a?b=c#d", "https://example.com/a?b=c"),
        ("https://example.com.:8443/", "https://example.com:8443/"), ("http://a_b.test?x", "http://a_b.test/?x"),
        ("https://[2001:db8::1]:1/x", "https://[2001:db8::1]:1/x"), ("https://[::ffff:10.0.0.1]/", "https://10.0.0.1/"),
        ("https://1.2.3.4", "https://1.2.3.4/"),
        ("https://xn--bcher-kva.example/%20", "https://xn--bcher-kva.example/%20"),
        ("https://3com.com/", "https://3com.com/"),
    ])
    func parsed(text: String, canonical: String) throws {
        #expect(try OutboundURL(parsing: text).description == canonical)
    }

    @Test(arguments: [
        "", "example.com", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x", "https://user@host/",
        "https://user:password@host/", "https://host:0/", "https://host:65536/", "https://host:8x/", "https://a b/",
        "https://exa\u{6d}ple\u{e9}.com/", "https://host\\@evil/", "https://[::1/", "https://[::1]x/",
        "https://2130706433/",
        "https://127.1/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://foo.0x10/", "https://1.2.3.4.5/",
        "https://a..b/", "https://-\u{0}/", "https://host/\r\nx: y", "javascript:alert(1)",
        "https://" + String(repeating: "a", count: 5000) + "/",
        "https://" + String(repeating: "a", count: 64) + ".com/",
    ])
    func refused(text: String) {
        #expect(throws: OutboundFailure.self) { try OutboundURL(parsing: text) }
    }

    @Test func redirects() throws {
        let url = try OutboundURL(parsing: "https://example.com:8443/a/b?c")
        #expect(try url.redirected(to: "/x?y").description == "https://example.com:8443/x?y")
        #expect(try url.redirected(to: "//other.test/z").description == "https://other.test/z")
        #expect(try url.redirected(to: "https://10.0.0.1/").description == "https://10.0.0.1/")
        #expect(throws: OutboundFailure.self) { try url.redirected(to: "sideways") }
        #expect(throws: OutboundFailure.self) { try url.redirected(to: "gopher://x/") }
    }
}
