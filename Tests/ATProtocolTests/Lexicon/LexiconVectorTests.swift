import ATProtocol
import Testing

/// The network's interoperability vectors for lexicons, and the lexicons of this repository.
struct LexiconVectorTests {
    private func cases(_ name: String) throws -> [DataValue] {
        guard let bytes = try SyntaxVectors.bytes("lexicon/\(name).json") else { return [] }
        return try DataValue(json: bytes).arrayValue ?? []
    }

    private func catalog() throws -> LexiconCatalog? {
        var documents: [LexiconDocument] = []
        for name in ["permission-set", "procedure", "query", "record", "subscription"] {
            guard let bytes = try SyntaxVectors.bytes("lexicon/catalog/\(name).json") else { return nil }
            documents.append(try LexiconDocument(json: bytes))
        }
        return LexiconCatalog(documents: documents)
    }

    @Test func documents() throws {
        for entry in try cases("lexicon-valid") {
            let lexicon = try #require(entry["lexicon"])
            #expect(throws: Never.self, "\(entry["name"]?.stringValue ?? "")") { try LexiconDocument(lexicon) }
        }
        for entry in try cases("lexicon-invalid") {
            let lexicon = try #require(entry["lexicon"])
            #expect(throws: LexiconError.self, "\(entry["name"]?.stringValue ?? "")") { try LexiconDocument(lexicon) }
        }
    }

    @Test func records() throws {
        guard let catalog = try catalog() else { return }
        for entry in try cases("record-data-valid") {
            let data = try #require(entry["data"])
            #expect(throws: Never.self, "\(entry["name"]?.stringValue ?? "")") {
                try catalog.validate(data, as: "example.lexicon.record")
            }
            #expect(
                catalog.recordKey(of: NSID(literal: "example.lexicon.record")) == .literal(RecordKey(literal: "demo")))
        }
    }

    @Test func methods() throws {
        guard let catalog = try catalog() else { return }
        let query = try #require(catalog.method(NSID(literal: "example.lexicon.query")))
        #expect(query.kind == .query && query.errors == ["DemoError", "AnotherDemoError"])
        let parameters = try query.parse(parameters: [
            ("stringField", "s"), ("array", "1"), ("array", "2"), ("boolean", "true"), ("handle", "a.test"),
        ])
        #expect(
            DataValue.map(parameters) == ["stringField": "s", "array": [1, 2], "boolean": true, "handle": "a.test"])
        #expect(catalog.method(NSID(literal: "example.lexicon.procedure"))?.kind == .procedure)
        #expect(catalog.method(NSID(literal: "example.lexicon.subscription"))?.kind == .subscription)
        #expect(catalog.permissionSet(NSID(literal: "example.lexicon.permissionset")) != nil)
        // One reference leads to a lexicon that is not among the vectors.
        #expect(catalog.faults.count == 1)
    }

    @Test func lexiconsOfThisRepository() throws {
        var documents: [LexiconDocument] = []
        for (path, content) in try SyntaxVectors.lexicons() {
            do {
                documents.append(try LexiconDocument(json: content))
            } catch {
                Issue.record("\(path): \(error)")
            }
        }
        #expect(documents.count > 100)
        let catalog = LexiconCatalog(documents: documents)
        #expect(catalog.faults == [])
        let method = try #require(catalog.method(NSID(literal: "com.atproto.repo.listRecords")))
        let parameters = try method.parse(parameters: [("repo", "a.test"), ("collection", "a.b.c"), ("limit", "7")])
        #expect(parameters["limit"] == 7)
        let post: DataValue = ["text": "Hello", "createdAt": "2024-01-01T00:00:00Z"]
        let result = catalog.validateRecord(
            post, collection: NSID(literal: "app.bsky.feed.post"), key: RecordKey(literal: "3kznmn7xqxl22"))
        #expect(result.status == "valid")
    }

    @Test func recordsOfRealRepositories() throws {
        let catalog = LexiconCatalog(
            documents: try SyntaxVectors.lexicons().map { (entry) in try LexiconDocument(json: entry.content) })
        for name in ["valid_repo", "greenground.repo"] {
            guard let bytes = try SyntaxVectors.bytes("car/\(name).car") else { continue }
            var count = 0
            for block in try CARReader.read(bytes).blocks {
                guard let value = try? DataValue(cbor: block.bytes), let type = value["$type"]?.stringValue else {
                    continue
                }
                let result = catalog.validateRecord(
                    value, collection: try NSID(parsing: type), key: nil, mode: .required)
                #expect(result.status == "valid", "\(name) \(type): \(result)")
                count += 1
            }
            #expect(count > 0, "\(name)")
        }
    }
}
