import Base
import Testing

@testable import Web

/// Conditional requests (RFC 9110 section 13).
struct PreconditionTests {
    private static let tag = EntityTag(strong: "bafy")

    private func conditions(_ headers: [(String, String)]) -> Preconditions {
        Preconditions(RequestHead(target: "/", headers: headers.map { (name: $0.0, value: $0.1) }))
    }

    @Test(arguments: [
        ("\"bafy\"", true), ("W/\"bafy\"", true), ("*", true), (" * ", true), ("\"a\", \"bafy\"", true),
        ("\"a\",W/\"bafy\" , \"c\"", true), ("\"a,b\", \"bafy\"", true), ("\"bafy\",", true),
        ("nonsense, \"bafy\"", true), ("\"a\"", false), ("bafy", false), ("\"bafy", false), ("", false),
        ("w/\"bafy\"", false), ("\"bafy\"x", false), ("\"a, bafy\"", false), ("\"BAFY\"", false),
    ])
    func noneMatch(value: String, isKnown: Bool) {
        let verdict = conditions([("If-None-Match", value)]).verdict(on: Self.tag)
        #expect(verdict == (isKnown ? .notModified : .proceed))
    }

    /// Only a strong comparison tells that bytes are the same.
    @Test(arguments: [
        ("\"bafy\"", true), ("*", true), ("\"a\", \"bafy\"", true), ("W/\"bafy\"", false), ("\"a\"", false),
        ("nonsense", false),
    ])
    func match(value: String, isMet: Bool) {
        let verdict = conditions([("If-Match", value)]).verdict(on: Self.tag)
        #expect(verdict == (isMet ? .proceed : .failed))
    }

    @Test func severalLinesAndTheirOrder() {
        let lines = [("If-None-Match", "\"a\""), ("If-None-Match", "\"bafy\"")]
        #expect(conditions(lines).verdict(on: Self.tag) == .notModified)
        #expect(conditions(lines + [("If-Match", "\"a\"")]).verdict(on: Self.tag) == .failed)
        #expect(conditions(lines + [("If-Match", "\"bafy\"")]).verdict(on: Self.tag) == .notModified)
        #expect(conditions([]).verdict(on: Self.tag) == .proceed)
    }

    @Test(arguments: [
        ("\"bafy\"", true), (" \"bafy\" ", true), ("W/\"bafy\"", false), ("\"a\"", false),
        ("\"bafy\", \"a\"", false), ("Wed, 21 Oct 2015 07:28:00 GMT", false), ("*", false),
    ])
    func ranges(value: String, isAdmitted: Bool) {
        #expect(conditions([("If-Range", value)]).admitsRange(of: Self.tag) == isAdmitted)
        #expect(conditions([]).admitsRange(of: Self.tag))
    }

    /// A compressed answer has other bytes than the tag names.
    @Test func compressionWeakensTheTag() throws {
        let assembly = ResponseAssembly(compressByteCountMin: 1, isStrictTransport: false)
        let response = XRPCResponse.bytes(
            [UInt8](repeating: 0x20, count: 4096), contentType: "text/plain",
            headers: [.init(name: "ETag", value: Self.tag.headerValue)])
        func fields(_ headers: [(name: String, value: String)]) throws -> String {
            let head = RequestHead(target: "/", headers: headers)
            return "\(try assembly.assemble(response, for: head, isAnonymous: true).fields)"
        }
        let (plain, compressed) = (try fields([]), try fields([("accept-encoding", "gzip")]))
        #expect(plain.contains("bafy") && !plain.contains("W/"))
        #expect(compressed.contains("W/") && compressed.contains("gzip"))
    }
}
