import Base
import Testing

@Suite struct EncodingTests {
    @Test func base32Vectors() {
        // RFC 4648 section 10, in lower case and without padding.
        let vectors = [
            ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ]
        for (plain, text) in vectors {
            #expect(Base32.encode(Array(plain.utf8)) == text)
            #expect(Base32.decode(text) == Array(plain.utf8))
        }
        #expect(Base32.decode("mz") == nil, "a trailing bit is set")
        #expect(Base32.decode("a") == nil)
        #expect(Base32.decode("m1") == nil)
        #expect(Base32.decode("MY") == nil)
    }

    @Test func base64Vectors() {
        let vectors = [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ]
        for (plain, text) in vectors {
            let bare = String(text.prefix { $0 != "=" })
            #expect(Base64.encode(Array(plain.utf8)) == text)
            #expect(Base64.decode(text) == Array(plain.utf8))
            #expect(Base64URL.decode(bare) == Array(plain.utf8))
            #expect(Base64.decode(bare, padding: .optional) == Array(plain.utf8))
            if bare != text {
                #expect(Base64.decode(bare) == nil)
                #expect(Base64URL.decode(text) == nil)
            }
        }
        #expect(Base64.decode("Zh==") == nil, "a trailing bit is set")
        #expect(Base64.decode("Zh==", trailingBits: .ignored) == [0x66])
        #expect(Base64.decode("Z===") == nil)
        #expect(Base64.decode("Zm9v\n") == nil)
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
    }

    @Test func base58Vectors() {
        #expect(Base58BTC.encode([0, 0, 0x28, 0x7F, 0xB4, 0xCD]) == "11233QC4")
        #expect(Base58BTC.decode("11233QC4") == [0, 0, 0x28, 0x7F, 0xB4, 0xCD])
        #expect(Base58BTC.encode(Array("Hello World!".utf8)) == "2NEpo7TZRRrLZSi2U")
        #expect(Base58BTC.decode("0") == nil)
        #expect(Base58BTC.decode(String(repeating: "1", count: 1025)) == nil)
    }

    @Test(arguments: 0..<200) func everyEncodingRoundTrips(seed: UInt64) {
        let random = SeededRandomness(seed: seed)
        let bytes = random.bytes(random.below(70))
        #expect(Base32.decode(Base32.encode(bytes)) == bytes)
        #expect(Base58BTC.decode(Base58BTC.encode(bytes)) == bytes)
        #expect(Base64.decode(Base64.encode(bytes)) == bytes)
        #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        #expect(Hex.decode(Hex.encode(bytes)) == bytes)
    }

    @Test func durationsAndMomentsSaturate() {
        #expect(Timestamp(microseconds: .max).advanced(by: .seconds(1)).microseconds == .max)
        #expect(Timestamp(microseconds: .min).advanced(by: .seconds(-1)).microseconds == .min)
        #expect(Timestamp(microseconds: -1).seconds == -1)
        #expect(Timestamp(seconds: 5).since(Timestamp(seconds: 3)) == .seconds(2))
    }
}
