import ATProtocol
import Base
import Contracts
import Crypto
import Storage
import Testing

@testable import Identity

/// The tokens of sessions: what they say, and which are refused.
struct SessionTokenTests {
    private let secret = [UInt8](repeating: 42, count: 32)
    private let clock = ManualClock()

    private func tokens(_ audience: String = "did:web:localhost%3A8080") throws -> SessionTokens {
        SessionTokens(secret: secret, audience: try DID(parsing: audience))
    }

    private func family(_ scope: SessionScope = .full) throws -> SessionFamily {
        SessionFamily(
            id: Array(0..<16), did: try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), scope: scope,
            appPassword: nil,
            generation: 3, rotatedAt: clock.now(), createdAt: clock.now())
    }

    private func part(_ token: String, _ index: Int) throws -> DataValue {
        let parts = token.split(separator: ".")
        return try DataValue(json: try #require(Base64URL.decode(parts[index])))
    }

    /// A token with any header and payload, signed with the right key.
    private func forged(_ header: DataValue, _ payload: DataValue) -> String {
        let signed = Base64URL.encode(header.json()) + "." + Base64URL.encode(payload.json())
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret))
        return signed + "." + Base64URL.encode(Array(code))
    }

    @Test func tokensSayWhatTheSpecificationAsks() throws {
        let (tokens, family) = (try tokens(), try family())
        let access = tokens.access(family, now: clock.now())
        #expect(try part(access, 0) == ["typ": "at+jwt", "alg": "HS256"])
        let claims = try part(access, 1)
        #expect(claims["scope"] == "com.atproto.access")
        #expect(claims["aud"] == "did:web:localhost%3A8080")
        #expect(claims["sub"] == "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
        let issuedAt = try #require(claims["iat"]?.integerValue)
        #expect(issuedAt == clock.now().seconds)
        #expect(claims["exp"]?.integerValue == issuedAt + 120 * 60)

        let refresh = tokens.refresh(family)
        #expect(try part(refresh, 0) == ["typ": "refresh+jwt", "alg": "HS256"])
        let other = try part(refresh, 1)
        #expect(other["scope"] == "com.atproto.refresh")
        #expect(other["jti"]?.stringValue != nil)
        #expect(other["exp"]?.integerValue == issuedAt + 90 * 86_400)
    }

    @Test func tokensAreReadBack() throws {
        let (tokens, family) = (try tokens(), try family(.appPassword))
        let access = try tokens.readAccess(tokens.access(family, now: clock.now()), now: clock.now())
        #expect(access.did == family.did && access.scope == .appPassword && access.sessionID == family.sessionID)
        let refresh = try tokens.readRefresh(tokens.refresh(family), now: clock.now())
        #expect(refresh.did == family.did && refresh.generation == 3 && refresh.sessionID == family.sessionID)
    }

    @Test func timeEndsTokens() throws {
        let (tokens, family) = (try tokens(), try family())
        let access = tokens.access(family, now: clock.now())
        clock.advance(by: .seconds(120 * 60 - 1))
        #expect(throws: Never.self) { try tokens.readAccess(access, now: clock.now()) }
        clock.advance(by: .seconds(1))
        #expect(throws: SessionError.expiredToken) { try tokens.readAccess(access, now: clock.now()) }
        clock.advance(by: .seconds(90 * 86_400))
        let refresh = tokens.refresh(family)
        #expect(throws: SessionError.expiredToken) { try tokens.readRefresh(refresh, now: clock.now()) }
        #expect(throws: Never.self) { try tokens.readRefresh(refresh, now: clock.now(), expiry: .ignored) }
    }

    @Test func oneKindIsNotTheOther() throws {
        let (tokens, family) = (try tokens(), try family())
        let badScope = SessionError.invalidToken(reason: .badScope)
        #expect(throws: badScope) { try tokens.readAccess(tokens.refresh(family), now: clock.now()) }
        #expect(throws: badScope) {
            try tokens.readRefresh(tokens.access(family, now: clock.now()), now: clock.now())
        }
    }

    @Test func anotherServersTokensAreRefused() throws {
        let family = try family()
        let foreign = try tokens("did:web:elsewhere.example").access(family, now: clock.now())
        #expect(throws: SessionError.invalidToken(reason: .wrongAudience)) {
            try tokens().readAccess(foreign, now: clock.now())
        }
    }

    @Test func headersAreNotNegotiable() throws {
        let payload = try part(try tokens().access(try family(), now: clock.now()), 1)
        let headers: [DataValue] = [
            ["typ": "at+jwt", "alg": "none"], ["typ": "at+jwt", "alg": "HS512"], ["alg": "HS256"], ["typ": "at+jwt"],
            ["typ": "JWT", "alg": "HS256"], [:], "at+jwt", ["typ": "at+jwt", "alg": "HS256", "crit": []],
        ]
        for header in headers {
            let token = forged(header, payload)
            #expect(throws: SessionError.invalidToken(reason: .malformed), "\(header)") {
                try tokens().readAccess(token, now: clock.now())
            }
        }
    }

    @Test func claimsThatBelongToOtherTokensAreRefused() throws {
        let header: DataValue = ["typ": "at+jwt", "alg": "HS256"]
        let good = try #require(try part(try tokens().access(try family(), now: clock.now()), 1).mapValue)
        // Written by hand, a header's keys come in another order; ours is looked for byte by byte.
        let text = SessionTokens.accessHeader
        #expect(try DataValue(json: Array(text.utf8)) == header)
        for (key, value) in [
            ("lxm", DataValue.string("com.atproto.repo.createRecord")), ("cnf", ["jkt": "x"]),
            ("scope", "com.atproto.refresh"), ("scope", "com.atproto.unknown"), ("scope", 1), ("sub", "nobody"),
            ("exp", "tomorrow"), ("sid", 5), ("aud", ["did:web:localhost%3A8080"]),
        ] {
            var claims = good
            claims[key] = value
            let signed = Base64URL.encode(Array(text.utf8)) + "." + Base64URL.encode(DataValue.map(claims).json())
            let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret))
            #expect(throws: SessionError.self, "\(key)") {
                try tokens().readAccess(signed + "." + Base64URL.encode(Array(code)), now: clock.now())
            }
        }
    }

    @Test func everyFlippedCharacterIsNoticed() throws {
        let tokens = try tokens()
        let token = Array(tokens.access(try family(), now: clock.now()).utf8)
        for index in token.indices {
            var changed = token
            changed[index] = changed[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let text = String(decoding: changed, as: UTF8.self)
            #expect(throws: SessionError.self, "character \(index)") { try tokens.readAccess(text, now: clock.now()) }
        }
    }

    @Test func anyBytesAreAnAnswer() throws {
        let tokens = try tokens()
        let random = SeededRandomness(seed: 11)
        let good = Array(tokens.access(try family(), now: clock.now()).utf8)
        let alphabet = Array("abcXYZ019-_.=+/ \u{0}é".utf8)
        for turn in 0..<20_000 {
            var bytes = random.oneIn(2) ? good : []
            for _ in 0..<random.below(12) {
                let byte = alphabet[random.below(alphabet.count)]
                bytes.insert(byte, at: random.below(bytes.count + 1))
            }
            guard bytes != good else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(throws: SessionError.self, "seed 11, turn \(turn)") {
                try tokens.readAccess(text, now: clock.now())
            }
        }
        let long = String(repeating: "a", count: 300_000)
        for text in ["", ".", "..", "...", long, long + "." + long + "." + long] {
            #expect(throws: SessionError.self) { try tokens.readAccess(text, now: clock.now()) }
        }
    }
}
