import ATProtocol
import Base
import Testing

@Suite struct SignatureTests {
    /// Signatures over `message` that others made, from bluesky-social/atproto-interop-tests (crypto/signature-fixtures.json).
    private static let message = Base64.decode("oWVoZWxsb2V3b3JsZA", padding: .optional) ?? []

    private struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var didKey: String
        var multibase: String
        var signature: String
        var isValid: Bool
        var isValidIfMalleable: Bool
    }

    private static let cases = [
        Case(
            testDescription: "P-256, low-S",
            didKey: "did:key:zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo",
            multibase: "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh",
            signature: "2vZNsG3UKvvO/CDlrdvyZRISOFylinBh0Jupc6KcWoJWExHptCfduPleDbG3rko3YZnn9Lw0IjpixVmexJDegg",
            isValid: true, isValidIfMalleable: true),
        Case(
            testDescription: "K-256, low-S",
            didKey: "did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc",
            multibase: "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t",
            signature: "5WpdIuEUUfVUYaozsi8G0B3cWO09cgZbIIwg1t2YKdUn/FEznOndsz/qgiYb89zwxYCbB71f7yQK5Lr7NasfoA",
            isValid: true, isValidIfMalleable: true),
        Case(
            testDescription: "P-256, high-S",
            didKey: "did:key:zDnaembgSGUhZULN2Caob4HLJPaxBh92N7rtH21TErzqf8HQo",
            multibase: "zxdM8dSstjrpZaRUwBmDvjGXweKuEMVN95A9oJBFjkWMh",
            signature: "2vZNsG3UKvvO/CDlrdvyZRISOFylinBh0Jupc6KcWoKp7O4VS9giSAah8k5IUbXIW00SuOrjfEqQ9HEkN9JGzw",
            isValid: false, isValidIfMalleable: true),
        Case(
            testDescription: "K-256, high-S",
            didKey: "did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc",
            multibase: "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t",
            signature: "5WpdIuEUUfVUYaozsi8G0B3cWO09cgZbIIwg1t2YKdXYA67MYxYiTMAVfdnkDCMN9S5B3vHosRe07aORmoshoQ",
            isValid: false, isValidIfMalleable: true),
        Case(
            testDescription: "P-256, DER",
            didKey: "did:key:zDnaeT6hL2RnTdUhAPLij1QBkhYZnmuKyM7puQLW1tkF4Zkt8",
            multibase: "ze8N2PPxnu19hmBQ58t5P3E9Yj6CqakJmTVCaKvf9Byq2",
            signature: "MEQCIFxYelWJ9lNcAVt+jK0y/T+DC/X4ohFZ+m8f9SEItkY1AiACX7eXz5sgtaRrz/SdPR8kprnbHMQVde0T2R8yOTBweA",
            isValid: false, isValidIfMalleable: false),
        Case(
            testDescription: "K-256, DER",
            didKey: "did:key:zQ3shnriYMXc8wvkbJqfNWh5GXn2bVAeqTC92YuNbek4npqGF",
            multibase: "z22uZXWP8fdHXi4jyx8cCDiBf9qQTsAe6VcycoMQPfcMQX",
            signature: "MEUCIQCWumUqJqOCqInXF7AzhIRg2MhwRz2rWZcOEsOjPmNItgIgXJH7RnqfYY6M0eg33wU0sFYDlprwdOcpRn"
                + "78Sz5ePgk",
            isValid: false, isValidIfMalleable: false),
    ]

    @Test(arguments: cases) private func vectors(_ vector: Case) throws {
        let key = try PublicKey(didKey: vector.didKey)
        let signature = try #require(Base64.decode(vector.signature, padding: .optional))
        #expect(key.isValid(signature: signature, for: Self.message) == vector.isValid)
        #expect(key.isValid(malleableSignature: signature, for: Self.message) == vector.isValidIfMalleable)
        #expect(!key.isValid(malleableSignature: signature, for: Self.message + [0]))
        #expect(try PublicKey(algorithm: key.algorithm, legacyMultibase: vector.multibase) == key)
        #expect(key.didKey == vector.didKey)
    }

    /// The signature of key 1 over "Satoshi Nakamoto": the published RFC 6979 vector for K-256 with SHA-256.
    @Test func k256IsDeterministic() throws {
        let key = try PrivateKey(algorithm: .k256, rawBytes: [UInt8](repeating: 0, count: 31) + [1])
        let expected =
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            + "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
        #expect(Hex.encode(key.sign(Array("Satoshi Nakamoto".utf8))) == expected)
    }

    @Test(arguments: KeyAlgorithm.allCases, 0..<40)
    func signaturesVerifyAreLowAndFailWhenChanged(algorithm: KeyAlgorithm, seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let key = PrivateKey.generate(algorithm, using: random)
        let message = random.bytes(random.below(300))
        let signature = key.sign(message)
        #expect(signature.count == 64)
        #expect(signature[32] < 0x80, "half of either order is below 2²⁵⁵")
        #expect(key.publicKey.isValid(signature: signature, for: message))
        #expect(key.publicKey.isValid(malleableSignature: signature, for: message))

        var changed = signature
        changed[random.below(64)] ^= UInt8(1 << random.below(8))
        #expect(!key.publicKey.isValid(malleableSignature: changed, for: message))
        #expect(!key.publicKey.isValid(signature: changed, for: message))
        if !message.isEmpty {
            var other = message
            other[random.below(message.count)] ^= UInt8(1 << random.below(8))
            #expect(!key.publicKey.isValid(signature: signature, for: other))
        }
        let stranger = PrivateKey.generate(algorithm, using: random)
        #expect(!stranger.publicKey.isValid(signature: signature, for: message))
        for length in [0, 1, 63] {
            #expect(!key.publicKey.isValid(malleableSignature: Array(signature.prefix(length)), for: message))
        }
        #expect(!key.publicKey.isValid(signature: signature + [0], for: message))
    }

    @Test(arguments: KeyAlgorithm.allCases) func degenerateSignaturesAreRefused(algorithm: KeyAlgorithm) {
        let key = PrivateKey.generate(algorithm, using: SeededRandomness(seed: 7)).publicKey
        let zero = [UInt8](repeating: 0, count: 32)
        let full = [UInt8](repeating: 0xFF, count: 32)
        let one = [UInt8](repeating: 0, count: 31) + [1]
        for signature in [zero + zero, zero + one, one + zero, one + one, full + full, one + full, full + one] {
            #expect(!key.isValid(signature: signature, for: []))
            #expect(!key.isValid(malleableSignature: signature, for: []))
        }
    }

    @Test func manyThreadsShareTheContext() async {
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: 3))
        await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    (0..<100).allSatisfy { round in
                        let message = [UInt8(worker), UInt8(round)]
                        return key.publicKey.isValid(signature: key.sign(message), for: message)
                    }
                }
            }
            for await verified in group { #expect(verified) }
        }
    }
}
