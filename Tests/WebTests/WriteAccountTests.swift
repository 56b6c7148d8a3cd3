import Base
import Dispatch
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import Web

/// What is made of an answer ahead of its reader: little, however late the event loop is.
@Suite(.timeLimit(.minutes(10)))
struct WriteAccountTests {
    /// Answers everything with an endless stream.
    private struct Endless: HTTPResponder {
        let begin: @Sendable () -> Void
        let made: @Sendable (Int) throws -> Void

        func respond(to request: IncomingRequest) async -> OutgoingResponse {
            begin()
            let stream = ByteStream { take in
                while true {
                    try made(16 * 1024)
                    try await take([UInt8](repeating: 1, count: 16 * 1024))
                }
            }
            let failure = OutgoingResponse(status: .internalServerError, fields: HTTPHeaders(), body: .none)
            return OutgoingResponse(
                status: .ok, fields: HTTPHeaders(),
                body: .stream(
                    OutgoingStream(
                        stream: stream, isCompressed: false, failure: { _ in failure }, abandoned: { _ in })))
        }

        func admit(_ request: IncomingRequest) async -> UpgradeDecision { .refuse(await respond(to: request)) }
    }

    struct Overrun: Error {}

    @Test func nothingIsMadeWhileTheLoopIsBusy() async throws {
        let made = Atomic<Int>(0)
        let limits = ServerLimits()
        let account = WriteAccount()
        let requestIDs = RequestIDs(randomness: SystemRandomness())
        let channel = NIOAsyncTestingChannel()
        let (held, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let responder = Endless {
            // From here on nothing turns the loop.
            channel.testingEventLoop.execute {
                held.signal()
                release.wait()
            }
            held.wait()
        } made: { count in
            // Without a bound it would go on for ever.
            guard made.wrappingAdd(count, ordering: .relaxed).newValue < 1 << 20 else { throw Overrun() }
        }
        let wrapped = try await channel.testingEventLoop.executeInContext {
            let connectionGuard = ConnectionGuard(limits: limits, requestIDs: requestIDs, account: account)
            try channel.pipeline.syncOperations.addHandler(connectionGuard)
            return try HTTPConnection.Channel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
        try await channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1))
        let connection = HTTPConnection(
            responder: responder, limits: limits, requestIDs: requestIDs, dates: DateHeader(clock: SystemClock()),
            peer: nil, account: account, streams: AddressShares(countMax: 1))
        let serving = Task { try await connection.serve(wrapped, refusal: nil) }
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/", headers: ["host": "x"])
        try await channel.writeInbound(HTTPServerRequestPart.head(head))
        while !account.isWaited, made.load(ordering: .relaxed) < 1 << 20 { await Task.yield() }
        #expect(made.load(ordering: .relaxed) <= WriteAccount.byteCountMax + 2 * 16 * 1024)
        #expect(account.pendingByteCount <= WriteAccount.byteCountMax + 16 * 1024)
        release.signal()
        _ = try? await channel.finish(acceptAlreadyClosed: true)
        _ = await serving.result
    }

    @Test func oneAddressTakesItsShareOfAnswers() async throws {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        var options = TestServerOptions { routes in
            routes.get("/held", access: .anyone) { _ in
                .stream(
                    ByteStream { take in
                        try await take([1])
                        begin.yield()
                        while true { try await take([UInt8](repeating: 1, count: 100_000)) }
                    }, contentType: "application/octet-stream")
            }
            routes.get("/short", access: .anyone) { _ in
                .stream(ByteStream { take in try await take([1]) }, contentType: "application/octet-stream")
            }
        }
        options.limits.streamCountPerAddressMax = 1
        let bounded = options
        try await TestServer.run(bounded) { server in
            try await RawClient.withConnection(to: server.port) { client in
                try await client.setReading(false)
                try await client.send(RawRequest("GET", "/held"))
                for await _ in begun { break }
                let second = try await server.get("/short")
                #expect(second.status == 429 && second.header("retry-after") != nil)
                let other = [("x-forwarded-for", "203.0.113.9")]
                #expect(try await server.get("/short", headers: other).status == 200)
            }
            // Once it has gone there is room again; how soon it's noticed is the kernel's matter.
            while try await server.get("/short").status != 200 { await Task.yield() }
        }
    }
}
