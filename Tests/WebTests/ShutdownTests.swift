import ATProtocol
import Base
import ServiceLifecycle
import Testing

@testable import Web

/// How a server ends: nothing new, what was accepted finishes, nobody waits for ever.
@Suite(.timeLimit(.minutes(10)))
struct ShutdownTests {
    @Test func acceptedRequestsFinish() async throws {
        let (started, start) = AsyncStream<Void>.makeStream()
        let (released, release) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.get("/slow", access: .anyone) { _ in
                start.yield()
                for await _ in released { break }
                return .text("done")
            }
            routes.get("/quick", access: .anyone) { _ in .text("quick") }
        }
        options.limits.shutdownTimeout = .seconds(20)
        try await TestServer.run(options) { server in
            try await RawClient.withConnection(to: server.port) { idle in
                try await idle.send(RawRequest("GET", "/quick"))
                #expect(try await idle.response().status == 200)
                try await RawClient.withConnection(to: server.port) { busy in
                    try await busy.send(RawRequest("GET", "/slow"))
                    for await _ in started { break }
                    await server.group.triggerGracefulShutdown()
                    // The idle connection is closed at once, the busy one only after its answer.
                    #expect(try await idle.readToEnd().isEmpty)
                    release.yield()
                    let response = try await busy.response()
                    #expect(response.text == "done")
                    #expect(try await busy.readToEnd().isEmpty)
                }
            }
            await #expect(throws: (any Error).self) { try await server.get("/quick") }
        }
    }

    @Test func whatTakesTooLongIsCut() async throws {
        let (started, start) = AsyncStream<Void>.makeStream()
        let (never, release) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.get("/stuck", access: .anyone) { _ in
                .stream(
                    ByteStream { take in
                        try await take([1, 2, 3])
                        start.yield()
                        for await _ in never { break }
                        // What is written now finds the connection cut.
                        try await take([4])
                    }, contentType: "application/octet-stream")
            }
        }
        options.limits.shutdownTimeout = .milliseconds(200)
        try await TestServer.run(options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("GET", "/stuck"))
                for await _ in started { break }
                await server.group.triggerGracefulShutdown()
                _ = try await client.readToEnd()
                release.yield()
            }
        }
    }

    @Test func handlersThatNeverEndAreCancelled() async throws {
        let (started, start) = AsyncStream<Void>.makeStream()
        let (never, _) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.get("/never", access: .anyone) { _ in
                start.yield()
                for await _ in never {}
                return .text("late")
            }
        }
        options.limits.shutdownTimeout = .milliseconds(200)
        try await TestServer.run(options) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.send(RawRequest("GET", "/never"))
                for await _ in started { break }
                await server.group.triggerGracefulShutdown()
                let rest = try await client.readToEnd()
                #expect(rest.isEmpty)
            }
        }
    }

    /// A peer that answers, however long it takes, and one that doesn't and is cut.
    @Test(arguments: [(true, Duration.seconds(30)), (false, .milliseconds(200))])
    func webSocketsAreClosedWith1001(answers: Bool, closeTimeout: Duration) async throws {
        let (joined, join) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.subscription("test.kith.subscribe", access: .anyone) { _, socket in
                join.yield()
                await socket.waitUntilClosed()
            }
        }
        options.schemas = ["test.kith.subscribe": HandwrittenSchema(kind: .subscription)]
        options.limits.webSocket.closeTimeout = closeTimeout
        options.limits.shutdownTimeout = .seconds(40)
        try await TestServer.run(options) { server in
            try await WebSocketPeer.run(server, "/xrpc/test.kith.subscribe") { peer in
                for await _ in joined { break }
                await server.group.triggerGracefulShutdown()
                #expect(try await peer.next().closeCode == 1001)
                if answers { try await peer.send(8, [3, 233]) }
                #expect(try await peer.client.readToEnd().isEmpty)
            }
        }
    }
}
