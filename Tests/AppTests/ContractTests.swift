import ATProtocol
import Contracts
import Foundation
import Testing

@testable import App

/// The schemas the server carries hang together, and the requests that the documents show keep them.
struct ContractTests {
    private static let catalog = Result {
        LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
    }

    /// The requests of `Tests/Conformance/examples.json`, with sample values for their words.
    private static func examples() throws -> [(method: NSID, example: DataValue)] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Conformance/examples.json")
        let book = try DataValue(json: Array(try Data(contentsOf: file)))
        var words: [(String, String)] = []
        if case .map(let map)? = book["words"] { words = map.map { ($0.key, $0.value.stringValue ?? "") } }
        // A word may begin as a shorter one does.
        words.sort { $0.0.utf8.count > $1.0.utf8.count }
        guard case .map(let list)? = book["examples"] else { return [] }
        return try list.map { (try NSID(parsing: $0.key), fill($0.value, words)) }
    }

    private static func fill(_ value: DataValue, _ words: [(String, String)]) -> DataValue {
        switch value {
        case .string(let text):
            return .string(words.reduce(text) { $0.replacing($1.0, with: $1.1) })
        case .array(let elements): return .array(elements.map { fill($0, words) })
        case .map(let map):
            var filled = DataMap()
            for (key, element) in map { filled[key] = fill(element, words) }
            return .map(filled)
        default: return value
        }
    }

    @Test func schemasLeadNowhereElse() throws {
        #expect(try Self.catalog.get().faults == [])
    }

    @Test func examplesKeepTheirSchemas() throws {
        let catalog = try Self.catalog.get()
        let examples = try Self.examples()
        #expect(examples.count > 100)
        for (nsid, example) in examples {
            let method = try #require(catalog.method(nsid), "\(nsid) has no lexicon")
            var pairs: [(String, String)] = []
            if case .map(let parameters)? = example["params"] {
                for (name, value) in parameters {
                    for one in value.arrayValue ?? [value] {
                        pairs.append((name, one.stringValue ?? String(decoding: one.json(), as: UTF8.self)))
                    }
                }
            }
            #expect(throws: Never.self, "\(nsid)") { try method.parse(parameters: pairs) }
            guard method.kind == .procedure, example["file"] == nil else {
                #expect(example["input"] == nil, "\(nsid) takes no JSON")
                continue
            }
            #expect(method.input != nil || example["input"] == nil, "\(nsid) takes no body")
            #expect(throws: Never.self, "\(nsid)") { try method.validate(input: example["input"] ?? .map([:])) }
        }
    }

    @Test func communityRecordsAreHeldToTheirSchemas() throws {
        let catalog = try Self.catalog.get()
        let did = "did:plc:44ybard66vv44zksje25o7dz", time = "2026-02-03T04:05:06.789Z"
        let good: [(String, String, DataValue)] = [
            (
                "settings", "self",
                [
                    "didMethod": "plc", "governanceModel": "simple-majority", "visibility": "public",
                    "joinPolicy": "open",
                    "governanceConfig": ["quorumShare": 50, "voterRole": "member"],
                ]
            ),
            ("role", "3lf4c2ab5dk2e", ["name": "Gardener", "permissions": ["community.role.read"]]),
            ("member", "3lf4c2ab5dk2e", ["did": .string(did), "joinedAt": .string(time), "role": "member"]),
            (
                "vote", "3lf4c2ab5dk2e:did:plc:44ybard66vv44zksje25o7dz",
                ["proposal": "3lf4c2ab5dk2e", "voter": .string(did), "vote": "for", "castAt": .string(time)]
            ),
        ]
        for (name, key, record) in good {
            let collection = try NSID(parsing: "net.openfederation.community.\(name)")
            let verdict = catalog.validateRecord(
                record, collection: collection, key: try RecordKey(parsing: key), mode: .required)
            #expect(throws: Never.self, "\(name)") { try verdict.record() }
            let broken = catalog.validateRecord([:], collection: collection, key: nil)
            #expect(throws: LexiconError.self, "\(name)") { try broken.record() }
        }
        let settings = try NSID(parsing: "net.openfederation.community.settings")
        for (field, value): (String, DataValue) in [
            ("visibility", "hidden"), ("joinPolicy", "closed"), ("governanceConfig", ["quorumShare": 101]),
            ("governanceConfig", ["quorum": 0]),
        ] {
            guard case .map(var map) = good[0].2 else { continue }
            map[field] = value
            let verdict = catalog.validateRecord(.map(map), collection: settings, key: nil)
            #expect(throws: LexiconError.self, "\(field)") { try verdict.record() }
        }
    }
}
