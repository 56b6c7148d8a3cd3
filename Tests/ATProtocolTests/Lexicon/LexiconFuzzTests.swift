import ATProtocol
import Base
import Testing

/// Random documents and random values: nothing traps, and what the parser lets through can be compiled and used.
struct LexiconFuzzTests {
    private static let words = [
        "type", "object", "string", "array", "integer", "boolean", "ref", "union", "unknown", "blob", "bytes", "token",
        "record", "query", "procedure", "subscription", "permission-set", "params", "properties", "required", "items",
        "refs", "key", "any", "main", "defs", "lexicon", "id", "com.example.thing", "#point", "#", "", "enum",
        "default",
        "const", "minimum", "maximum", "minLength", "maxLength", "format", "datetime", "$type", "did:plc:abc", "\u{0}",
        "encoding", "application/json", "schema", "input", "output", "message", "parameters", "closed", "nullable",
        "ü💩",
        "permissions", "resource", "repo", "collection", "maxGraphemes", "minGraphemes", "accept", "errors", "name",
    ]

    private func word(_ random: SeededRandomness) -> String { Self.words[random.below(Self.words.count)] }

    private func randomValue(_ random: SeededRandomness, depth: Int) -> DataValue {
        switch random.below(depth > 0 ? 9 : 6) {
        case 0: return nil
        case 1: return .boolean(random.oneIn(2))
        case 2: return .integer(Int64(random.below(8)) - 2)
        case 3: return .integer(Int64(bitPattern: random.uint64()))
        case 4, 5: return .string(word(random))
        case 6: return .array((0..<random.below(4)).map { _ in randomValue(random, depth: depth - 1) })
        default:
            var map = DataMap()
            for _ in 0..<random.below(5) { map[word(random)] = randomValue(random, depth: depth - 1) }
            return .map(map)
        }
    }

    /// Changes a few places of `value`.
    private func mutated(_ value: DataValue, _ random: SeededRandomness) -> DataValue {
        if random.oneIn(25) { return randomValue(random, depth: 3) }
        switch value {
        case .array(var elements):
            for index in elements.indices { elements[index] = mutated(elements[index], random) }
            if random.oneIn(12), let last = elements.last { elements.append(last) }
            return .array(elements)
        case .map(let map):
            var changed = DataMap()
            for (key, element) in map where !random.oneIn(40) {
                changed[random.oneIn(60) ? word(random) : key] = mutated(element, random)
            }
            if random.oneIn(20) { changed[word(random)] = randomValue(random, depth: 2) }
            return .map(changed)
        default: return value
        }
    }

    private func use(_ document: LexiconDocument, _ random: SeededRandomness) {
        let catalog = LexiconCatalog(documents: [document])
        for (name, _) in document.definitions {
            try? catalog.validate(
                randomValue(random, depth: 4), as: LexiconReference(document.id, name: name).description)
        }
        for mode in [RecordValidationMode.required, .whenKnown, .skipped] {
            _ = catalog.validateRecord(randomValue(random, depth: 5), collection: document.id, key: nil, mode: mode)
        }
        guard let method = catalog.method(document.id) else { return }
        _ = try? method.parse(parameters: (0..<4).map { _ in (word(random), word(random)) })
        _ = try? method.validate(input: randomValue(random, depth: 4))
        try? method.validate(output: randomValue(random, depth: 4))
        try? method.validate(message: randomValue(random, depth: 4), type: word(random))
    }

    @Test(arguments: [21, 22] as [UInt64])
    func documentsAreReadOrRefused(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let examples = try [
            LexiconExamples.record, LexiconExamples.query, LexiconExamples.procedure, LexiconExamples.upload,
            LexiconExamples.subscription,
        ].map(LexiconExamples.value)
        var acceptedCount = 0
        for _ in 0..<SyntaxVectors.fuzzInputCount / 2 {
            let value = random.oneIn(10) ? randomValue(random, depth: 6) : mutated(examples[random.below(5)], random)
            guard let document = try? LexiconDocument(value) else { continue }
            acceptedCount += 1
            use(document, random)
            // What was accepted is accepted again from its JSON.
            #expect(try LexiconDocument(json: value.json()) == document, "seed \(seed)")
        }
        #expect(acceptedCount > 0, "seed \(seed)")
    }

    @Test(arguments: [23])
    func brokenJSONIsRefused(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let source = Array(LexiconExamples.record.utf8)
        for _ in 0..<SyntaxVectors.fuzzInputCount {
            var bytes = source
            for _ in 0...random.below(4) where !bytes.isEmpty {
                let position = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[position] = UInt8(truncatingIfNeeded: random.uint64())
                case 1: bytes.remove(at: position)
                default: bytes.removeLast(random.below(bytes.count))
                }
            }
            if let document = try? LexiconDocument(json: bytes) { use(document, random) }
        }
    }

    @Test(arguments: [24, 25] as [UInt64])
    func recordsAreValidOrNot(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let catalog = try LexiconExamples.catalog()
        let collection = NSID(literal: "com.example.thing")
        let record = try LexiconExamples.value(
            """
            {"integer": 1, "string": "s", "tree": {"children": [{"children": []}, {}]}, "closed":
             {"$type": "com.example.thing#point", "x": 1}, "unknown": {"a": [1, {"b": null}]}, "array": [1, 2],
             "objects": [{"x": 1, "y": null}], "datetime": "2023-10-30T22:25:23Z", "union": {"$type": "com.example.later"}}
            """)
        for _ in 0..<SyntaxVectors.fuzzInputCount / 2 {
            let value = mutated(record, random)
            guard case .valid(let checked) = catalog.validateRecord(value, collection: collection, key: nil) else {
                continue
            }
            let again = catalog.validateRecord(checked.value, collection: collection, key: nil, mode: .required)
            #expect(again == .valid(checked), "seed \(seed)")
        }
    }
}
