import ATProtocol
import Base
import Testing

@Suite struct KeyTests {
    /// From bluesky-social/atproto-interop-tests (crypto/w3c_didkey_K256.json).
    @Test(arguments: [
        (
            "9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c",
            "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"
        ),
        (
            "f0f4df55a2b3ff13051ea814a8f24ad00f2e469af73c363ac7e9fb999a9072ed",
            "did:key:zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2"
        ),
        (
            "6b0b91287ae3348f8c2f2552d766f30e3604867e34adc37ccbb74a8e6b893e02",
            "did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N"
        ),
        (
            "c0a6a7c560d37d7ba81ecee9543721ff48fea3e0fb827d42c1868226540fac15",
            "did:key:zQ3shadCps5JLAHcZiuX5YUtWHHL8ysBJqFLWvjZDKAWUBGzy"
        ),
        (
            "175a232d440be1e0788f25488a73d9416c04b6f924bea6354bf05dd2f1a75133",
            "did:key:zQ3shptjE6JwdkeKN4fcpnYQY3m9Cet3NiHdAfpvSUZBFoKBj"
        ),
    ])
    func k256Vectors(secret: String, didKey: String) throws {
        let key = try PrivateKey(algorithm: .k256, rawBytes: #require(Hex.decode(secret)))
        #expect(key.publicKey.didKey == didKey)
        #expect(try PublicKey(didKey: didKey) == key.publicKey)
    }

    /// From bluesky-social/atproto-interop-tests (crypto/w3c_didkey_P256.json).
    @Test func p256Vector() throws {
        let secret = try #require(Base58BTC.decode("9p4VRzdmhsnq869vQjVCTrRry7u4TtfRxhvBFJTGU2Cp"))
        let key = try PrivateKey(algorithm: .p256, rawBytes: secret)
        #expect(key.publicKey.didKey == "did:key:zDnaeTiq1PdzvZXUaMdezchcMJQpBdH2VN4pgrrEhMCCbmwSb")
        #expect(key.rawBytes == secret)
    }

    @Test(arguments: KeyAlgorithm.allCases, 0..<40)
    func everyFormRoundTrips(algorithm: KeyAlgorithm, seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let key = PrivateKey.generate(algorithm, using: random)
        let publicKey = key.publicKey
        #expect(try PrivateKey(algorithm: algorithm, rawBytes: key.rawBytes).publicKey == publicKey)
        #expect(try PublicKey(didKey: publicKey.didKey) == publicKey)
        #expect(try PublicKey(multikey: publicKey.multikey) == publicKey)
        #expect(publicKey.uncompressedBytes.count == 65)
        for bytes in [publicKey.compressedBytes, publicKey.uncompressedBytes] {
            #expect(try PublicKey(algorithm: algorithm, pointBytes: bytes) == publicKey)
            let legacy = try PublicKey(algorithm: algorithm, legacyMultibase: "z" + Base58BTC.encode(bytes))
            #expect(legacy == publicKey)
            #expect(legacy.hashValue == publicKey.hashValue)
            #expect(legacy.isValid(signature: key.sign([1]), for: [1]))
        }
        var broken = publicKey.uncompressedBytes
        broken[1 + random.below(64)] ^= 1
        #expect(throws: CryptographyError.badPublicKey) {
            try PublicKey(algorithm: algorithm, pointBytes: broken)
        }
    }

    @Test func textsThatAreNoKey() {
        let multikey = PrivateKey.generate(.k256, using: SeededRandomness(seed: 1)).publicKey.multikey
        let uncompressed = PrivateKey.generate(.p256, using: SeededRandomness(seed: 1)).publicKey.uncompressedBytes
        let cases: [(String, CryptographyError)] = [
            ("", .notADIDKey),
            (multikey, .notADIDKey),
            ("DID:KEY:" + multikey, .notADIDKey),
            ("did:key:", .badMultibase),
            ("did:key:m" + multikey.dropFirst(), .badMultibase),
            ("did:key:" + multikey + "\n", .badMultibase),
            ("did:key:" + multikey.replacing("Q", with: "0"), .badMultibase),
            ("did:key:z" + String(repeating: "2", count: 1_000), .badMultibase),
            ("did:key:z", .unsupportedAlgorithm),
            // Ed25519, as the did:key specification writes it.
            ("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", .unsupportedAlgorithm),
            ("did:key:" + multikey.dropLast(), .unsupportedAlgorithm),
            ("did:key:z" + Base58BTC.encode([0xE7, 0x01]), .badPublicKey),
            ("did:key:z" + Base58BTC.encode([0xE7, 0x01, 4] + [UInt8](repeating: 1, count: 32)), .badPublicKey),
            ("did:key:z" + Base58BTC.encode([0xE7, 0x01, 2] + [UInt8](repeating: 0xFF, count: 32)), .badPublicKey),
            ("did:key:z" + Base58BTC.encode([0x80, 0x24, 2] + [UInt8](repeating: 0xFF, count: 32)), .badPublicKey),
            ("did:key:z" + Base58BTC.encode([0x80, 0x24] + uncompressed), .badPublicKey),
        ]
        for (text, expected) in cases {
            #expect(throws: expected, "\(text)") { try PublicKey(didKey: text) }
        }
    }

    @Test(arguments: KeyAlgorithm.allCases) func bytesThatAreNoPrivateKey(algorithm: KeyAlgorithm) {
        let cases = [
            [], [1], [UInt8](repeating: 0, count: 32), [UInt8](repeating: 0xFF, count: 32),
            [UInt8](repeating: 1, count: 31), [UInt8](repeating: 1, count: 33),
        ]
        for bytes in cases {
            #expect(throws: CryptographyError.badPrivateKey) { try PrivateKey(algorithm: algorithm, rawBytes: bytes) }
        }
    }

    /// A source that only yields zeros, which are no key: generation must still end.
    @Test(arguments: KeyAlgorithm.allCases) func generationEndsWithABrokenSource(algorithm: KeyAlgorithm) {
        struct Zeros: Randomness {
            func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
            func uint64() -> UInt64 { 0 }
        }
        #expect(PrivateKey.generate(algorithm, using: Zeros()).sign([]).count == 64)
    }

    @Test(arguments: KeyAlgorithm.allCases) func aPrivateKeyNeverShowsItself(algorithm: KeyAlgorithm) {
        let key = PrivateKey.generate(algorithm, using: SeededRandomness(seed: 9))
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] {
            #expect(!text.contains(Hex.encode(key.rawBytes)))
            #expect(!text.contains("\(key.rawBytes[0]), \(key.rawBytes[1])"))
            #expect(text.contains(algorithm.rawValue))
        }
    }
}
