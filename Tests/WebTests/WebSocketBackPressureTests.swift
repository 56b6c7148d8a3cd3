import ATProtocol
import Base
import Logging
import Synchronization
import Testing

@testable import Web

/// What happens when a subscriber doesn't read: the sender waits, memory stays bounded, others go on.
@Suite(.timeLimit(.minutes(10)))
struct WebSocketBackPressureTests {
    private static func options(
        _ handler: @escaping TestRouter.SubscriptionHandler
    ) -> TestServerOptions {
        var options = TestServerOptions { routes in
            routes.subscription("test.kith.subscribe", access: .anyone, handler: handler)
        }
        options.schemas = ["test.kith.subscribe": HandwrittenSchema(kind: .subscription)]
        options.limits.webSocket.outboundByteCountMax = 256 * 1024
        return options
    }

    @Test func aSlowReaderIsToldAndEnded() async throws {
        let highest = Atomic<Int>(0)
        let sent = Atomic<Int>(0)
        let batch = WebSocketFrames(binary: [UInt8](repeating: 1, count: 32 * 1024))
        let (stalled, stall) = AsyncStream<Void>.makeStream()
        let (deaf, deafen) = AsyncStream<Void>.makeStream()
        var impatient = Self.options { _, socket in
            for await _ in deaf { break }
            do {
                while true {
                    try await socket.send(batch)
                    sent.wrappingAdd(1, ordering: .relaxed)
                    highest.store(max(highest.load(ordering: .relaxed), socket.backlogByteCount), ordering: .relaxed)
                }
            } catch WebSocketFailure.stalled {
                stall.yield()
                #expect(socket.timeSinceProgress >= .milliseconds(300))
                await socket.close(sending: WebSocketFrames(text: "ConsumerTooSlow"), code: 1008)
            }
        }
        impatient.limits.webSocket.stallTimeout = .milliseconds(300)
        impatient.limits.webSocket.closeTimeout = .seconds(20)
        let options = impatient
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                try await peer.client.setReading(false)
                deafen.yield()
                for await _ in stalled { break }
                let count = sent.load(ordering: .relaxed)
                try await peer.client.setReading(true)
                for _ in 0..<count { #expect(try await peer.nextButPings().payload.count == 32 * 1024) }
                let last = try await peer.nextButPings()
                #expect(String(decoding: last.payload, as: UTF8.self) == "ConsumerTooSlow")
                #expect(try await peer.nextButPings().closeCode == 1008)
            }
        }
        // One batch may pass the bound, never two.
        #expect(highest.load(ordering: .relaxed) <= 256 * 1024 + batch.byteCount)
    }

    @Test func aSlowButSteadyReaderGetsEverything() async throws {
        let options = Self.options { _, socket in
            for index in 0..<200 {
                try await socket.send(binary: [UInt8](repeating: UInt8(index), count: 20_000))
            }
        }
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                for index in 0..<200 {
                    let frame = try await peer.nextButPings()
                    #expect(frame.payload.count == 20_000)
                    #expect(frame.payload.first == UInt8(index))
                }
                #expect(try await peer.nextButPings().closeCode == 1000)
            }
        }
    }

    @Test func oneBatchServesManyAndAStuckOneHurtsNobody() async throws {
        let sockets = Mutex<[WebSocketConnection]>([])
        let (joined, join) = AsyncStream<Void>.makeStream()
        var quick = Self.options { _, socket in
            sockets.withLock { $0.append(socket) }
            join.yield()
            await socket.waitUntilClosed()
        }
        quick.limits.webSocket.closeTimeout = .seconds(50)
        quick.limits.webSocket.stallTimeout = .seconds(50)
        let options = quick
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { stuck in
                try await stuck.client.setReading(false)
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                                var count = 0
                                while try await peer.nextButPings().payload.count == 1000 { count += 1 }
                                return count
                            }
                        }
                    }
                    var iterator = joined.makeAsyncIterator()
                    for _ in 0..<11 { _ = await iterator.next() }
                    let all = sockets.withLock { $0 }
                    try await withThrowingTaskGroup(of: Void.self) { senders in
                        for socket in all {
                            senders.addTask {
                                for _ in 0..<300 {
                                    let batch = WebSocketFrames(
                                        binary: [[UInt8]](repeating: [UInt8](repeating: 3, count: 1000), count: 10))
                                    guard (try? await socket.send(batch)) != nil else { break }
                                }
                                await socket.close()
                            }
                        }
                        var total = 0
                        for try await count in group { total += count }
                        #expect(total == 30_000)
                        // The others have everything; only the stuck one's sender may still wait.
                        try await stuck.client.disconnect()
                        try await senders.waitForAll()
                    }
                }
            }
        }
    }
}
