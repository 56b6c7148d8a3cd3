import ATProtocol
import Base
import Foundation
import Identity
import Logging
import Storage
import Synchronization
import Testing
import Web

@testable import App

/// Asking relays to crawl: at start, then when there is news, at most every 20 minutes.
struct CrawlTests {
    /// A relay that keeps what it is asked.
    final class Relay: OutboundHTTP {
        let asked: AsyncStream<OutboundRequest>
        private let asking: AsyncStream<OutboundRequest>.Continuation
        private let status: Int

        init(status: Int = 200) {
            self.status = status
            (asked, asking) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(10))
        }

        func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundResponse {
            asking.yield(request)
            return OutboundResponse(status: status)
        }
    }

    /// A clock whose sleeps end when they are let.
    final class Gate: Clock {
        typealias Duration = Swift.Duration
        typealias Instant = ContinuousClock.Instant

        let sleeping: AsyncStream<Duration>
        private let falling: AsyncStream<Duration>.Continuation
        private let waking: AsyncStream<Void>.Continuation
        private let woken: AsyncStream<Void>

        init() {
            (sleeping, falling) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(10))
            (woken, waking) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(10))
        }

        var now: Instant { .now }
        var minimumResolution: Duration { .zero }

        func wake() { waking.yield() }

        func sleep(until deadline: Instant, tolerance: Duration?) async throws {
            falling.yield(deadline - now)
            for await _ in woken { return }
            throw CancellationError()
        }
    }

    @Test func relaysAreAskedAtStartAndWhenThereIsNews() async throws {
        let test = TestInstance()
        let instance = try await test.open()
        let (relay, gate) = (Relay(), Gate())
        let crawl = CrawlRequests(
            crawlers: [try #require(ServiceOrigin("https://relay.example"))],
            name: instance.configuration.name, client: relay, log: instance.store.log,
            logger: instance.surroundings.logger, sleeper: gate)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await crawl.run() }
            var (asked, sleeping) = (relay.asked.makeAsyncIterator(), gate.sleeping.makeAsyncIterator())
            let first = try #require(await asked.next())
            #expect(first.url == "https://relay.example/xrpc/com.atproto.sync.requestCrawl" && first.method == "POST")
            #expect(String(decoding: first.body, as: UTF8.self) == #"{"hostname":"localhost:8080"}"#)
            let pause = try #require(await sleeping.next())
            #expect(pause > .seconds(1199) && pause <= .seconds(1200))
            // News while it sleeps: it asks again once it wakes, and not before.
            _ = try await instance.rooms.identity.accounts.register(
                .init(handle: "ada", email: "ada@mail.test", password: "Seven-Quiet-Rivers-7"))
            gate.wake()
            _ = try #require(await asked.next())
            _ = try #require(await sleeping.next())
            group.cancelAll()
        }
        await instance.close()
    }

    @Test func aRefusalIsLogged() async throws {
        let test = TestInstance()
        let instance = try await test.open()
        let (relay, gate) = (Relay(status: 400), Gate())
        let crawl = CrawlRequests(
            crawlers: [try #require(ServiceOrigin("https://relay.example"))],
            name: instance.configuration.name, client: relay, log: instance.store.log,
            logger: instance.surroundings.logger, sleeper: gate)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await crawl.run() }
            var sleeping = gate.sleeping.makeAsyncIterator()
            _ = try #require(await sleeping.next())
            group.cancelAll()
        }
        #expect(test.log.all.contains { $0.contains("a relay refused to crawl") && $0.contains("status=400") })
        await instance.close()
    }
}

/// Small things that commands print.
struct OutputTests {
    @Test func columnsLineUp() {
        let table = TextTable(["NAME", "N"], [["ada", "1"], ["benedikta", ""], ["a\u{1b}[2J", "3"]])
        #expect(table.text == "NAME       N\nada        1\nbenedikta\na?[2J      3")
    }

    @Test(arguments: [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_000_000_000, "2.0 GB")])
    func bytesAreReadable(_ count: Int, _ expected: String) {
        #expect(ByteCount(count).description == expected)
    }

    @Test func madeUpPasswordsKeepTheRules() {
        for seed in UInt64(1)...200 {
            let password = MadeUpPassword.make(SeededRandomness(seed: seed))
            #expect(password.count == 23, "seed \(seed)")
            #expect(password.contains(where: \.isNumber) && password.contains(where: \.isUppercase), "seed \(seed)")
        }
    }

    @Test(arguments: [(1000, "1 kB"), (5 << 20, "5 MiB"), (100_000_000, "100 MB"), (1001, "1001")])
    func sizesAreReadAsTheyAreWritten(_ bytes: Int, _ text: String) {
        #expect(ByteSize(bytes).description == text)
        #expect(ByteSize(text)?.bytes == bytes)
        #expect(ByteSize("\(bytes)")?.bytes == bytes)
    }

    @Test(arguments: ["", "MB", "1.5 MB", "-1", "9999999999999 GB", "1 XB"]) func notASize(_ text: String) {
        #expect(ByteSize(text) == nil)
    }
}
