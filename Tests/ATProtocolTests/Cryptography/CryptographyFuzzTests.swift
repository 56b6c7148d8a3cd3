import ATProtocol
import Base
import Testing

@Suite struct CryptographyFuzzTests {
    /// Random bytes are no signature, and never trap.
    @Test func hostileSignatures() {
        let random = SeededRandomness(seed: 1)
        let keys = KeyAlgorithm.allCases.map { PrivateKey.generate($0, using: random).publicKey }
        for round in 0..<SyntaxVectors.fuzzInputCount {
            let signature = random.bytes(random.oneIn(2) ? 64 : random.below(130))
            for key in keys {
                #expect(!key.isValid(malleableSignature: signature, for: [1, 2, 3]), "seed 1, round \(round)")
            }
        }
    }

    /// Points and texts of chance: an error or a key of the same bytes, no trap.
    @Test func hostileKeys() {
        let random = SeededRandomness(seed: 2)
        for _ in 0..<SyntaxVectors.fuzzInputCount {
            let algorithm: KeyAlgorithm = random.oneIn(2) ? .p256 : .k256
            var bytes = random.bytes(random.oneIn(2) ? 33 : random.below(70))
            if !bytes.isEmpty, random.oneIn(2) { bytes[0] = UInt8(random.below(8)) }
            if let key = try? PublicKey(algorithm: algorithm, pointBytes: bytes) {
                #expect(key.compressedBytes == bytes || key.uncompressedBytes == bytes)
            }
            let text = random.bytes(random.below(60)).map { "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcz"[Int($0) % 37] }
            _ = try? PublicKey(didKey: "did:key:z" + String(text))
            _ = try? PublicKey(multikey: String(decoding: bytes, as: UTF8.self))
        }
    }
}

extension String {
    fileprivate subscript(offset: Int) -> Character { self[index(startIndex, offsetBy: offset)] }
}
