import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Refresh tokens: rotation, the grace for racing tabs, and what a stolen token leads to.
struct RefreshRotationTests {
    /// The rules as issue and specification say them, over tokens that know their successors.
    private final class Model {
        final class Token {
            let number: Int64
            var successor: Token?
            var rotatedAt: Timestamp?

            init(_ number: Int64) { self.number = number }
        }

        var tokens = [Token(0)]
        var isAlive = true

        /// The number of the token that showing `token` leads to; nil when the session is over.
        func show(_ token: Token, now: Timestamp) -> Int64? {
            guard isAlive else { return nil }
            guard let successor = token.successor, let rotatedAt = token.rotatedAt else {
                let made = Token(token.number + 1)
                token.successor = made
                token.rotatedAt = now
                tokens.append(made)
                return made.number
            }
            let wasUsed = successor.successor != nil
            if wasUsed || now.since(rotatedAt) > .seconds(7200) {
                isAlive = false
                return nil
            }
            return successor.number
        }
    }

    private func family() throws -> SessionFamily {
        let now = ManualClock().now()
        return SessionFamily(
            id: [UInt8](repeating: 7, count: 16), did: try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"),
            scope: .full,
            appPassword: nil, generation: 0, rotatedAt: now, createdAt: now)
    }

    /// A step of time: mostly short, sometimes past the grace, sometimes backwards, sometimes exactly the grace.
    private func step(_ random: SeededRandomness) -> Duration {
        switch random.below(6) {
        case 0: .zero
        case 1: .seconds(7200)
        case 2: .seconds(7200) + .microseconds(1)
        case 3: .seconds(-Int64(random.below(5000)))
        default: .seconds(Int64(random.below(4000)))
        }
    }

    @Test func rotationAgreesWithItsModel() throws {
        for seed in UInt64(1)...3000 {
            let random = SeededRandomness(seed: seed)
            let (model, clock) = (Model(), ManualClock())
            var family: SessionFamily? = try family()
            for turn in 0..<24 {
                clock.advance(by: step(random))
                let last = model.tokens.count - 1
                let token = model.tokens[random.oneIn(3) ? random.below(last + 1) : max(0, last - random.below(2))]
                let expected = model.show(token, now: clock.now())
                var shown: Int64?
                switch family?.showing(token.number, now: clock.now()) {
                case .rotated(let next)?: (family, shown) = (next, next.generation)
                case .repeated(let same)?: shown = same.generation
                case .ended?: family = nil
                case nil: break
                }
                #expect(shown == expected, "seed \(seed), turn \(turn)")
                #expect((family != nil) == model.isAlive, "seed \(seed), turn \(turn)")
                guard shown == expected else { return }
            }
        }
    }

    @Test func theServiceAgreesWithTheModel() async throws {
        let home = try await Home()
        let made = try await home.account("rita")
        for seed in UInt64(1)...40 {
            let random = SeededRandomness(seed: seed)
            let model = Model()
            let first = try await home.sessions.signIn(
                .init(identifier: "rita", password: Home.password), origin: "192.0.2.1")
            var texts: [Int64: String] = [0: first.refreshToken]
            for turn in 0..<14 {
                home.clock.advance(by: step(random))
                let last = model.tokens.count - 1
                let token = model.tokens[random.oneIn(3) ? random.below(last + 1) : max(0, last - random.below(2))]
                let expected = model.show(token, now: home.clock.now())
                let text = try #require(texts[token.number])
                let answer = try? await home.sessions.refresh(text, origin: "192.0.2.1").refreshToken
                #expect((answer != nil) == (expected != nil), "seed \(seed), turn \(turn)")
                guard let expected, let answer else { continue }
                // The same successor is the same text.
                if let known = texts[expected] { #expect(known == answer, "seed \(seed), turn \(turn)") }
                texts[expected] = answer
            }
        }
        #expect(made.account.status == .approved)
        await home.discard()
    }

    @Test func racingTabsConverge() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("rita").grant)
        let successors = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<32 {
                group.addTask { try await home.sessions.refresh(grant.refreshToken, origin: "").refreshToken }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(successors.count == 1)
        await home.discard()
    }

    @Test func theGraceEndsAfterTwoHours() async throws {
        let home = try await Home()
        let first = try #require(try await home.account("rita").grant)
        let second = try await home.sessions.refresh(first.refreshToken, origin: "")
        home.clock.advance(by: .seconds(7200))
        #expect(try await home.sessions.refresh(first.refreshToken, origin: "").refreshToken == second.refreshToken)
        home.clock.advance(by: .microseconds(1))
        await #expect(throws: SessionError.revokedToken) {
            try await home.sessions.refresh(first.refreshToken, origin: "")
        }
        await #expect(throws: SessionError.revokedToken) {
            try await home.sessions.refresh(second.refreshToken, origin: "")
        }
        #expect(try await home.audit(.sessionReuse).count == 1)
        await home.discard()
    }

    @Test func aStolenTokenEndsTheSessionAndItsAccessTokensButNoOther() async throws {
        let home = try await Home()
        let first = try #require(try await home.account("rita").grant)
        let other = try await home.sessions.signIn(.init(identifier: "rita", password: Home.password), origin: "")
        let second = try await home.sessions.refresh(first.refreshToken, origin: "")
        let third = try await home.sessions.refresh(second.refreshToken, origin: "")
        #expect(try await home.get("com.atproto.server.getSession", token: third.accessToken).status == 200)
        let stolen = try await home.post("com.atproto.server.refreshSession", token: first.refreshToken)
        #expect(stolen.status == 400 && stolen.error == "ExpiredToken")
        let after = try await home.get("com.atproto.server.getSession", token: third.accessToken)
        #expect(after.status == 400 && after.error == "ExpiredToken")
        #expect(try await home.get("com.atproto.server.getSession", token: other.accessToken).status == 200)
        await home.discard()
    }

    @Test func refreshTokensExpireAfterNinetyDaysWithoutUse() async throws {
        let home = try await Home()
        let grant = try #require(try await home.account("rita").grant)
        home.clock.advance(by: .seconds(90 * 86_400))
        let late = try await home.post("com.atproto.server.refreshSession", token: grant.refreshToken)
        #expect(late.status == 400 && late.error == "ExpiredToken")
        #expect(try await home.post("com.atproto.server.deleteSession", token: grant.refreshToken).status == 200)
        await home.discard()
    }

    @Test func rotationSurvivesARestart() async throws {
        let home = try await Home()
        let first = try #require(try await home.account("rita").grant)
        let second = try await home.sessions.refresh(first.refreshToken, origin: "")
        await home.close()
        let again = try await Home(existing: home)
        #expect(try await again.sessions.refresh(first.refreshToken, origin: "").refreshToken == second.refreshToken)
        #expect(try await again.get("com.atproto.server.getSession", token: second.accessToken).status == 200)
        await again.discard()
    }
}
