import ATProtocol
import Base
import Testing

@testable import Web

/// Token buckets under a clock that the test moves, and what they do to requests.
@Suite(.timeLimit(.minutes(10)))
struct RateLimitTests {
    private static let three = RateLimit(name: "three", points: 3, window: .seconds(30))

    @Test func aBucketEmptiesAndRefills() throws {
        let clock = ManualClock()
        let limiter = RateLimiter(clock: clock)
        for left in [2, 1, 0] {
            #expect(try limiter.charge(Self.three, key: "a").remaining == left)
        }
        let refused = #expect(throws: RateLimitExceeded.self) { try limiter.charge(Self.three, key: "a") }
        #expect(refused?.retryAfterSeconds == 10)
        #expect(refused?.status.resetSeconds == 30)
        #expect(refused?.wire.status == 429)
        #expect(try limiter.charge(Self.three, key: "b").remaining == 2)
        clock.advance(by: .seconds(9))
        #expect(throws: RateLimitExceeded.self) { try limiter.charge(Self.three, key: "a") }
        clock.advance(by: .seconds(1))
        #expect(try limiter.charge(Self.three, key: "a").remaining == 0)
        clock.advance(by: .seconds(300))
        #expect(try limiter.charge(Self.three, key: "a").remaining == 2)
    }

    @Test func pointsAndPeeking() throws {
        let clock = ManualClock()
        let limiter = RateLimiter(clock: clock)
        #expect(try limiter.charge(Self.three, key: "a", points: 0).remaining == 3)
        #expect(try limiter.charge(Self.three, key: "a", points: 2).remaining == 1)
        #expect(throws: RateLimitExceeded.self) { try limiter.charge(Self.three, key: "a", points: 2) }
        // What is refused takes nothing.
        #expect(try limiter.charge(Self.three, key: "a", points: 0).remaining == 1)
        #expect(throws: RateLimitExceeded.self) { try limiter.charge(Self.three, key: "b", points: 4) }
        #expect(throws: RateLimitExceeded.self) { try limiter.charge(Self.three, key: "b", points: .max) }
        #expect(try limiter.charge(Self.three, key: "b", points: 3).remaining == 0)
    }

    @Test func aClockThatStepsBackLocksNobodyOut() throws {
        let clock = ManualClock()
        let limiter = RateLimiter(clock: clock)
        try limiter.charge(Self.three, key: "a", points: 3)
        clock.advance(by: .seconds(-86400))
        clock.advance(by: .seconds(30))
        #expect(try limiter.charge(Self.three, key: "a", points: 0).remaining == 0)
        clock.advance(by: .seconds(30))
        #expect(try limiter.charge(Self.three, key: "a", points: 0).remaining >= 0)
    }

    @Test func memoryIsBounded() throws {
        let limiter = RateLimiter(clock: ManualClock(), bucketCountMax: 100)
        for index in 0..<10_000 { try limiter.charge(Self.three, key: "k\(index)") }
        #expect(limiter.bucketCount == 100)
        #expect(try limiter.charge(Self.three, key: "k9999", points: 0).remaining == 2)
        #expect(try limiter.charge(Self.three, key: "k0", points: 0).remaining == 3)
    }

    /// Any order of charges gives what a bucket written in the plainest way gives.
    @Test(arguments: 0..<50)
    func bucketsFollowTheModel(seed: UInt64) throws {
        let random = SeededRandomness(seed: seed)
        let limit = RateLimit(
            name: "l", points: 1 + random.below(50), window: .seconds(1 + random.below(100)))
        let clock = ManualClock()
        let limiter = RateLimiter(clock: clock)
        var tokens = Double(limit.points)
        for _ in 0..<500 {
            let step = Duration.milliseconds(random.below(2000))
            clock.advance(by: step)
            tokens = min(
                Double(limit.points), tokens + step.inSeconds * Double(limit.points) / limit.window.inSeconds)
            let points = random.below(4)
            // Where the model is on the edge, rounding may decide either way.
            guard abs(tokens - Double(points)) > 1e-3 else { continue }
            let passes = (try? limiter.charge(limit, key: "k", points: points)) != nil
            #expect(passes == (tokens >= Double(points)), "seed \(seed)")
            if passes { tokens -= Double(points) }
        }
    }

    @Test func theTableIsWellFormed() {
        #expect(Set(RateLimit.all.map(\.name)).count == RateLimit.all.count)
        #expect(RateLimit.global.policy == "3000;w=300")
    }

    private func options(_ clock: ManualClock) -> TestServerOptions {
        var options = TestServerOptions { routes in
            routes.query("test.kith.global", access: .anyone) { _ in .json("ok") }
            routes.query("test.kith.own", access: .anyone, limits: [.perAddressInsteadOfGlobal(Self.three)]) { _ in
                .json("ok")
            }
            routes.procedure(
                "test.kith.signIn", access: .anyone,
                limits: [
                    .per(RateLimit(name: "sign-in", points: 1, window: .seconds(60))) { call in
                        call.input["identifier"]?.stringValue.map { "\($0) \(call.remoteAddress)" }
                    }
                ]
            ) { _ in .json("ok") }
            routes.query("test.kith.inside", access: .session) { call in
                try call.charge(Self.three, key: call.caller.name ?? "", points: 2)
                return .json("ok")
            }
        }
        options.rateLimiter = RateLimiter(clock: clock)
        options.schemas = [
            "test.kith.global": HandwrittenSchema(kind: .query), "test.kith.own": HandwrittenSchema(kind: .query),
            "test.kith.inside": HandwrittenSchema(kind: .query),
            "test.kith.signIn": HandwrittenSchema(kind: .procedure, inputEncoding: "application/json"),
        ]
        return options
    }

    @Test func requestsAreLimitedByAddress() async throws {
        let clock = ManualClock()
        try await TestServer.run(options(clock)) { server in
            let first = try await server.get("/xrpc/test.kith.global")
            #expect(first.header("ratelimit-limit") == "3000")
            #expect(first.header("ratelimit-remaining") == "2999")
            #expect(first.header("ratelimit-policy") == "3000;w=300")
            for left in ["2", "1", "0"] {
                let own = try await server.get("/xrpc/test.kith.own")
                #expect(own.header("ratelimit-remaining") == left)
            }
            let refused = try await server.get("/xrpc/test.kith.own")
            #expect(refused.status == 429)
            #expect(try DataValue(json: refused.body)["error"]?.stringValue == "RateLimitExceeded")
            #expect(refused.header("retry-after") == "10")
            #expect(refused.header("ratelimit-remaining") == "0")
            // Another client behind the same proxy has its own bucket.
            let other = try await server.get("/xrpc/test.kith.own", headers: [("x-forwarded-for", "203.0.113.5")])
            #expect(other.status == 200)
            clock.advance(by: .seconds(10))
            #expect(try await server.get("/xrpc/test.kith.own").status == 200)
        }
    }

    @Test func requestsAreLimitedByWhatTheyCarry() async throws {
        try await TestServer.run(options(ManualClock())) { server in
            let alice = #"{"identifier":"alice"}"#
            #expect(try await server.post("/xrpc/test.kith.signIn", json: alice).status == 200)
            #expect(try await server.post("/xrpc/test.kith.signIn", json: alice).status == 429)
            #expect(try await server.post("/xrpc/test.kith.signIn", json: #"{"identifier":"bob"}"#).status == 200)
            #expect(try await server.post("/xrpc/test.kith.signIn", json: "{}").status == 200)
            let carol = [("authorization", "carol")]
            let inside = try await server.get("/xrpc/test.kith.inside", headers: carol)
            #expect(inside.header("ratelimit-limit") == "3")
            #expect(inside.header("ratelimit-remaining") == "1")
            #expect(try await server.get("/xrpc/test.kith.inside", headers: carol).status == 429)
        }
    }

    @Test func switchedOffTheyAreNotThere() async throws {
        var options = options(ManualClock())
        options.rateLimiter = nil
        let off = options
        try await TestServer.run(off) { server in
            for _ in 0..<10 {
                let response = try await server.get("/xrpc/test.kith.own")
                #expect(response.status == 200)
                #expect(response.header("ratelimit-limit") == nil)
            }
        }
    }
}
