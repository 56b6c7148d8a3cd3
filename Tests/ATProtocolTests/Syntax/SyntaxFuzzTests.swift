import ATProtocol
import Base
import Testing

/// Random texts: nothing traps, and what parses prints as it was (handles: in lower case).
struct SyntaxFuzzTests {
    private static let seeds = [
        "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "alice.example.com", "com.atproto.repo.createRecord", "3jzfcijpj2z2a",
        "self",
        "at://did:plc:abc/app.bsky.feed.post/3jzfcijpj2z2a", "1985-04-12T23:20:50.123-07:00",
        "en-GB-boont-r-ext-x-private",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "https://example.com/path?q", "a.b.c/self",
        "i-klingon",
    ]
    private static let alphabet = Array("aZ09:/.-_~%#?@ +=TzZ\u{0}\u{7F}ü💩\r\n".unicodeScalars)

    private func randomText(_ random: SeededRandomness) -> String {
        var scalars = random.oneIn(3) ? [] : Array(Self.seeds[random.below(Self.seeds.count)].unicodeScalars)
        for _ in 0..<random.below(6) {
            let scalar = Self.alphabet[random.below(Self.alphabet.count)]
            switch random.below(4) {
            case 0: scalars.insert(scalar, at: random.below(scalars.count + 1))
            case 1 where !scalars.isEmpty: scalars[random.below(scalars.count)] = scalar
            case 2 where !scalars.isEmpty: scalars.remove(at: random.below(scalars.count))
            default: scalars.append(contentsOf: repeatElement(scalar, count: random.oneIn(40) ? 3000 : 1))
            }
        }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    private func probe<Value: StringSyntax>(_ type: Value.Type, _ text: String, _ seed: UInt64) {
        let isValid = Value.isValid(text)
        do {
            let value = try Value(parsing: text)
            #expect(isValid, "seed \(seed) \(type): \(text)")
            #expect(value.string.lowercased() == text.lowercased(), "seed \(seed) \(type): \(text)")
        } catch {
            #expect(!isValid, "seed \(seed) \(type): \(text)")
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func nothingTraps(seed: UInt64) {
        let random = SeededRandomness(seed: seed)
        for _ in 0..<SyntaxVectors.fuzzInputCount / 4 {
            let text = randomText(random)
            probe(DID.self, text, seed)
            probe(Handle.self, text, seed)
            probe(ATIdentifier.self, text, seed)
            probe(NSID.self, text, seed)
            probe(RecordKey.self, text, seed)
            probe(RepositoryPath.self, text, seed)
            probe(TID.self, text, seed)
            probe(ATURI.self, text, seed)
            probe(Datetime.self, text, seed)
            probe(LanguageTag.self, text, seed)
            probe(CIDString.self, text, seed)
            probe(URI.self, text, seed)
        }
    }
}
