import ATProtocol
import Base
import Contracts
import Crypto
import Storage
import Testing

@testable import Identity

/// Keys from other networks: their form, their proofs, and how they are found.
struct ExternalKeyTests {
    private static let set = "net.openfederation.identity.setExternalKey"
    private static let get = "net.openfederation.identity.getExternalKey"
    private static let list = "net.openfederation.identity.listExternalKeys"
    private static let remove = "net.openfederation.identity.deleteExternalKey"
    private static let resolve = "net.openfederation.identity.resolveByKey"
    private static let challenge = "net.openfederation.identity.getKeyChallenge"

    /// A key of each kind, with what signs for it where something does.
    private enum Holder {
        case ed25519(Curve25519.Signing.PrivateKey)
        case x25519
        case p256(P256.Signing.PrivateKey)
        case secp256k1(PrivateKey)

        static func make(_ kind: ExternalKey.Kind) throws -> (text: String, holder: Holder) {
            switch kind {
            case .ed25519:
                let key = Curve25519.Signing.PrivateKey()
                return (text([0xED, 0x01] + key.publicKey.rawRepresentation), .ed25519(key))
            case .x25519:
                let key = Curve25519.KeyAgreement.PrivateKey()
                return (text([0xEC, 0x01] + key.publicKey.rawRepresentation), .x25519)
            case .p256:
                let key = P256.Signing.PrivateKey()
                return (text([0x80, 0x24] + key.publicKey.compressedRepresentation), .p256(key))
            case .secp256k1:
                let key = PrivateKey.generate(.k256, using: SystemRandomness())
                return (key.publicKey.multikey, .secp256k1(key))
            }
        }

        func sign(_ text: String) throws -> String {
            let bytes = Array(text.utf8)
            switch self {
            case .ed25519(let key): return Base64.encode(Array(try key.signature(for: bytes)))
            case .p256(let key): return Base64.encode(Array(try key.signature(for: bytes).rawRepresentation))
            case .secp256k1(let key): return Base64.encode(key.sign(bytes))
            case .x25519: return ""
            }
        }

        private static func text(_ bytes: [UInt8]) -> String { "z" + Base58BTC.encode(bytes) }
    }

    @Test(arguments: ExternalKey.Kind.allCases) func oneKeyHasOneText(_ kind: ExternalKey.Kind) throws {
        let (text, _) = try Holder.make(kind)
        #expect(try ExternalKey(text, kind: kind).text == text)
        #expect(ExternalKey.kind(of: text) == kind)
        for other in ExternalKey.Kind.allCases where other != kind {
            #expect(throws: ExternalKeyError.self) { try ExternalKey(text, kind: other) }
        }
    }

    @Test func whatIsNoKey() throws {
        func text(_ bytes: [UInt8]) -> String { "z" + Base58BTC.encode(bytes) }
        let zeros = [UInt8](repeating: 0, count: 32)
        for (bad, kind) in [
            ("", ExternalKey.Kind.ed25519), ("z", .ed25519), ("z0OIl", .ed25519), (text([0xED, 0x01]), .ed25519),
            (text([0xED, 0x01] + [UInt8](repeating: 7, count: 31)), .ed25519),
            (text([0xED, 0x01] + [UInt8](repeating: 7, count: 33)), .ed25519),
            (text([0xED] + [UInt8](repeating: 7, count: 32)), .ed25519), (text([0xED, 0x01] + zeros), .ed25519),
            (text([0xEC, 0x01] + zeros), .x25519), (text([0xEC, 0x01, 1] + zeros.dropLast()), .x25519),
            (text([0xE7, 0x01, 2] + [UInt8](repeating: 0xFF, count: 32)), .secp256k1),
            (text([0x80, 0x24, 2] + [UInt8](repeating: 0xFF, count: 32)), .p256),
            (text([0x80, 0x24, 4] + [UInt8](repeating: 7, count: 32)), .p256),
            ("f" + Hex.encode([0xED, 0x01] + [UInt8](repeating: 7, count: 32)), .ed25519),
            ("z" + String(repeating: "1", count: 5000), .ed25519),
        ] {
            #expect(throws: ExternalKeyError.self, "\(bad)") { try ExternalKey(bad, kind: kind) }
        }
    }

    @Test func challengesAreReadLetterByLetter() throws {
        let did = try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
        let key = try ExternalKey(try Holder.make(.ed25519).text, kind: .ed25519)
        let challenge = KeyChallenge(
            did: did, key: key, service: try DID(parsing: "did:web:kith.test"), now: ManualClock().now(),
            randomness: SystemRandomness())
        #expect(KeyChallenge(challenge.text) == challenge)
        for bad in [
            "", challenge.text + " ", " " + challenge.text, challenge.text.replacing(" ", with: "  "),
            challenge.text.replacing("-1", with: "-2"), challenge.text.replacing("did:plc", with: "DID:plc"),
            challenge.text.replacing("Z ", with: "+00:00 "),
        ] {
            #expect(KeyChallenge(bad) == nil, "\(bad)")
        }
    }

    private struct Person {
        var did: DID
        var token: String
    }

    private func person(_ name: String, _ home: Home) async throws -> Person {
        let made = try await home.account(name)
        return Person(did: made.account.did, token: try #require(made.grant).accessToken)
    }

    private func set(
        _ home: Home, _ person: Person, rkey: String = "main", kind: ExternalKey.Kind, key: String,
        proof: (challenge: String, signature: String)? = nil, more: DataMap = [:]
    ) async throws -> Answer {
        var input: DataMap = [
            "rkey": .string(rkey), "type": .string(kind.rawValue), "purpose": "mesh", "publicKey": .string(key),
        ]
        if let proof {
            input["proof"] = ["challenge": .string(proof.challenge), "signature": .string(proof.signature)]
        }
        for (name, value) in more { input[name] = value }
        return try await home.post(Self.set, .map(input), token: person.token)
    }

    @Test(arguments: ExternalKey.Kind.allCases) func published(_ kind: ExternalKey.Kind) async throws {
        let home = try await Home()
        let alice = try await person("alice", home)
        let (text, _) = try Holder.make(kind)
        let answer = try await set(home, alice, kind: kind, key: text)
        #expect(answer.status == 200, "\(answer.text)")
        let uri = "at://\(alice.did)/net.openfederation.identity.externalKey/main"
        #expect(answer.json["uri"]?.stringValue == uri && answer.json["proven"] == false)
        let got = try await home.get(Self.get, [("did", alice.did.string), ("rkey", "main")])
        #expect(got.json["publicKey"]?.stringValue == text && got.json["label"] == nil)
        let found = try await home.get(Self.resolve, [("publicKey", text)])
        #expect(found.json["did"]?.stringValue == alice.did.string && found.json["handle"] == "alice.test")
        #expect(found.json["rkey"] == "main" && found.json["type"]?.stringValue == kind.rawValue)
        #expect(try await home.get(Self.resolve, [("publicKey", text), ("purpose", "other")]).error == "KeyNotFound")
        #expect(try await home.post(Self.remove, ["rkey": "main"], token: alice.token).json == ["success": true])
        #expect(try await home.post(Self.remove, ["rkey": "main"], token: alice.token).error == "KeyNotFound")
        #expect(try await home.get(Self.resolve, [("publicKey", text)]).error == "KeyNotFound")
        #expect(try await home.audit(.identitySetExternalKey).count == 1)
        #expect(try await home.audit(.identityDeleteExternalKey).count == 1)
        await home.discard()
    }

    @Test(arguments: [ExternalKey.Kind.ed25519, .secp256k1, .p256])
    func proven(_ kind: ExternalKey.Kind) async throws {
        let home = try await Home()
        let (alice, eve) = (try await person("alice", home), try await person("evelyn", home))
        let (text, holder) = try Holder.make(kind)
        func challenge(_ person: Person) async throws -> String {
            let answer = try await home.get(
                Self.challenge, [("publicKey", text), ("type", kind.rawValue)], token: person.token)
            return try #require(answer.json["challenge"]?.stringValue, "\(answer.text)")
        }
        // Somebody claims the key before its owner does.
        #expect(try await set(home, eve, kind: kind, key: text).status == 200)
        home.clock.advance(by: .seconds(60))
        let asked = try await challenge(alice)
        let signature = try holder.sign(asked)
        let replayed = try await set(home, eve, kind: kind, key: text, proof: (asked, signature))
        #expect(replayed.error == "InvalidProof", "a proof is its account's: \(replayed.text)")
        let other = try Holder.make(kind)
        let forged = try await set(home, alice, kind: kind, key: text, proof: (asked, try other.holder.sign(asked)))
        #expect(forged.error == "InvalidProof")
        let done = try await set(home, alice, kind: kind, key: text, proof: (asked, signature))
        #expect(done.json["proven"] == true, "\(done.text)")
        let found = try await home.get(Self.resolve, [("publicKey", text)])
        #expect(found.json["did"]?.stringValue == alice.did.string, "a proven claim goes before an older one")
        #expect(found.json["proven"] == true)
        home.clock.advance(by: .seconds(600))
        let late = try await set(home, alice, kind: kind, key: text, proof: (asked, signature))
        #expect(late.error == "ChallengeExpired")
        #expect(try await home.get(Self.resolve, [("publicKey", text)]).json["proven"] == true)
        await home.discard()
    }

    @Test func keysThatCannotSign() async throws {
        let home = try await Home()
        let alice = try await person("alice", home)
        let (text, _) = try Holder.make(.x25519)
        let asked = try await home.get(Self.challenge, [("publicKey", text), ("type", "x25519")], token: alice.token)
        #expect(asked.error == "ProofNotSupported")
        let answer = try await set(home, alice, kind: .x25519, key: text, proof: ("x", "y"))
        #expect(answer.error == "ProofNotSupported")
        await home.discard()
    }

    @Test func badInput() async throws {
        let home = try await Home()
        let alice = try await person("alice", home)
        let (text, _) = try Holder.make(.ed25519)
        for rkey in ["-a", "a-", "a.b", "a_b", "ä", "", String(repeating: "a", count: 513), "a/b", "a b"] {
            #expect(try await set(home, alice, rkey: rkey, kind: .ed25519, key: text).status == 400, "\(rkey)")
        }
        #expect(try await set(home, alice, kind: .p256, key: text).error == "InvalidPublicKey")
        for more in [
            ["purpose": ""], ["purpose": .string(String(repeating: "x", count: 65))],
            ["label": .string(String(repeating: "x", count: 101))], ["type": "rsa"],
        ] as [DataMap] {
            #expect(try await set(home, alice, kind: .ed25519, key: text, more: more).status == 400, "\(more)")
        }
        #expect(try await home.get(Self.resolve, [("publicKey", "zzzz")]).error == "InvalidPublicKey")
        await home.discard()
    }

    @Test func pagesAndHiddenAccounts() async throws {
        let home = try await Home()
        let alice = try await person("alice", home)
        var first = ""
        for number in 0..<5 {
            let (text, _) = try Holder.make(.ed25519)
            if number == 0 { first = text }
            let more: DataMap = ["purpose": number == 3 ? "nostr" : "mesh", "label": "key"]
            #expect(
                try await set(home, alice, rkey: "key\(number)", kind: .ed25519, key: text, more: more).status == 200)
        }
        var names: [String?] = []
        var cursor: String?
        repeat {
            let parameters =
                [("did", alice.did.string), ("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
            let page = try await home.get(Self.list, parameters)
            names += (page.json["keys"]?.arrayValue ?? []).map { $0["rkey"]?.stringValue }
            cursor = page.json["cursor"]?.stringValue
        } while cursor != nil
        #expect(names == ["key0", "key1", "key2", "key3", "key4"])
        let some = try await home.get(Self.list, [("did", alice.did.string), ("purpose", "nostr")])
        #expect(some.json["keys"]?.arrayValue?.map { $0["rkey"] } == ["key3"])
        for status in [AccountStatus.suspended, .takendown, .deactivated] {
            try await home.put(alice.did, into: status)
            #expect(try await home.get(Self.list, [("did", alice.did.string)]).status == 404)
            #expect(try await home.get(Self.get, [("did", alice.did.string), ("rkey", "key0")]).error == "KeyNotFound")
            #expect(try await home.get(Self.resolve, [("publicKey", first)]).error == "KeyNotFound")
        }
        try await home.put(alice.did, into: .approved)
        #expect(try await home.get(Self.resolve, [("publicKey", first)]).status == 200)
        await home.discard()
    }
}
