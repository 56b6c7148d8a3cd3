import Base
import Foundation
import Testing

@testable import Storage

@Suite struct XMLElementTests {
    private func parse(_ text: String) throws(XMLElement.Mistake) -> XMLElement {
        try XMLElement(parsing: Array(text.utf8))
    }

    @Test func whatAnswersLookLike() throws {
        let element = try parse(
            """
            \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
            <!-- a list -->
            <s3:List xmlns:s3='http://x/>'><Name>a&amp;b&#x41;&#66;</Name><Empty/><Key>one</Key><Key><![CDATA[<two>]]></Key
            ><Nested a="1" b = '>'><Key> three </Key></Nested></s3:List>

            """)
        #expect(element.name == "List" && element["Name"] == "a&bAB" && element["Empty"] == "")
        #expect(element.children.filter { $0.name == "Key" }.map(\.text) == ["one", "<two>"])
        #expect(element.children.last?["Key"] == " three ")
        #expect(element["Absent"] == nil)
    }

    @Test(arguments: [
        "", " ", "text", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>x", "<a", "<a b=\"", "<a b=\"1\"", "<a><b></a></b>",
        "<a>&x;</a>", "<a>&#xD800;</a>", "<a>&#x110000;</a>", "<a>&#+65;</a>", "<a>&amp</a>", "<a>&</a>", "<>", "< a/>",
        "<a><![CDATA[x</a>", "<!-- <a/>", "<?xml <a/>", "<a:/>", "<a>\u{0}&#;</a>", "<a <b/>/>",
    ])
    func brokenOnesAreRefused(_ text: String) {
        #expect(throws: XMLElement.Mistake.self, "\(text)") { try parse(text) }
    }

    @Test func bombsAreRefused() {
        let laughs = """
            <?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]><a>&lol2;</a>
            """
        #expect(throws: XMLElement.Mistake.documentType) { try parse(laughs) }
        let file = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"
        #expect(throws: XMLElement.Mistake.documentType) { try parse(file) }
        let deep = String(repeating: "<a>", count: 200_000)
        #expect(throws: XMLElement.Mistake.tooDeep) { try parse(deep) }
        let many = "<a>" + String(repeating: "<b/>", count: 200_000) + "</a>"
        #expect(throws: XMLElement.Mistake.tooMany) { try parse(many) }
        #expect(throws: XMLElement.Mistake.self) {
            try XMLElement(parsing: [0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E])
        }
    }

    /// Any bytes end in an element or an error; what is close to XML too.
    @Test func fuzz() {
        let count = Int(ProcessInfo.processInfo.environment["KITH_FUZZ_INPUTS"] ?? "") ?? 20_000
        let seed = SystemRandomness().uint64()
        let random = SeededRandomness(seed: seed)
        let pieces = [
            "<", ">", "/", "a", "<a>", "</a>", "&amp;", "&#x", ";", "<![CDATA[", "]]>", "<!--", "-->", "\"", "'", "=",
            "<?", "?>", "ä", "\u{0}", " ", "<!DOCTYPE", ":", "&#65;",
        ].map { Array($0.utf8) }
        for _ in 0..<count {
            var bytes: [UInt8] = random.oneIn(2) ? Array("<a>".utf8) : []
            for _ in 0..<random.below(12) {
                bytes += random.oneIn(9) ? random.bytes(2) : pieces[random.below(pieces.count)]
            }
            if random.oneIn(2) { bytes += Array("</a>".utf8) }
            if let element = try? XMLElement(parsing: bytes) {
                #expect(!element.name.isEmpty, "seed \(seed)")
            }
        }
    }
}
