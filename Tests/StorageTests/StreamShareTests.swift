import Base
import Synchronization
import TestDatabases
import Testing

@testable import Storage

/// Slow readers: what one client may hold, and when it loses it.
@Suite struct StreamShareTests {
    private func store(_ engine: Engine, _ change: (inout TestOptions) -> Void) async throws -> TestStore {
        var options = TestOptions()
        options.streams.bufferBytes = 64 << 10
        options.streams.runningMax = 4
        options.streams.runningPerClientMax = 2
        options.streams.waitingPerClientMax = 1
        change(&options)
        return try await TestStore(engine, options: options)
    }

    private static let endless: @Sendable (any ReadScope, any ByteSink) throws -> Void = { _, sink in
        while true { try sink.write([UInt8](repeating: 0, count: 64 << 10)) }
    }

    private static let short: @Sendable (any ReadScope, any ByteSink) throws -> Void = { _, sink in
        try sink.write([1, 2, 3])
    }

    private func isWhole(_ stream: ByteStream) async throws -> Bool {
        var bytes: [UInt8] = []
        for try await chunk in stream { bytes += chunk }
        return bytes == [1, 2, 3]
    }

    @Test(arguments: Engine.all) func aClientHasItsShareAndNoMore(_ engine: Engine) async throws {
        let store = try await store(engine) { _ in }
        var held: [ByteStream] = []
        for _ in 0..<3 { held.append(try await store.database.stream(for: "a", Self.endless)) }
        await #expect(throws: StorageError.shareExceeded) {
            try await store.database.stream(for: "a", Self.endless)
        }
        let others = try await store.database.stream(for: "b", Self.short)
        #expect(try await isWhole(others), "another client is served at once")
        #expect(try await isWhole(try await store.database.stream(Self.short)), "and so is the server itself")
        // One of its own that goes makes room for the one that waits, and that for another to wait.
        held.removeFirst()
        while store.database.statistics().streams < 2 { await Task.yield() }
        var next: ByteStream?
        while next == nil { next = try? await store.database.stream(for: "a", Self.short) }
        held = []
        if let next { #expect(try await isWhole(next)) }
        let refusal = StorageError.shareExceeded.wire
        #expect(refusal.status == 429 && refusal.headers.contains { $0.name == "Retry-After" })
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aClientThatGoesWhileItWaitsFreesItsPlace(_ engine: Engine) async throws {
        let store = try await store(engine) { _ in }
        let held = [
            try await store.database.stream(for: "a", Self.endless),
            try await store.database.stream(for: "a", Self.endless),
        ]
        for _ in 0..<10 { _ = try await store.database.stream(for: "a", Self.endless) }
        _ = held
        await store.database.close()
    }

    /// Nobody is sent away for being slow alone, only for the sake of somebody who waits.
    @Test(arguments: Engine.all) func aSlowReaderGivesWayToThoseWhoWait(_ engine: Engine) async throws {
        let store = try await store(engine) {
            $0.streams.runningMax = 1
            $0.streams.stallTimeout = .seconds(3600)
            $0.streams.leastRate.window = .milliseconds(20)
        }
        let slow = try await store.database.stream(for: "a", Self.endless)
        let next = try await store.database.stream(for: "b", Self.short)
        #expect(try await isWhole(next))
        await #expect(throws: StorageError.stalled) { for try await _ in slow {} }
        await store.database.close()
    }

    @Test func whoWaitsOnlyForItsOwnShareSendsNobodyElseAway() {
        var limits = StreamLimits()
        (limits.runningMax, limits.waitingMax) = (3, 9)
        (limits.runningPerClientMax, limits.waitingPerClientMax) = (1, 9)
        let shares = StreamShares(limits: limits)
        func enter(_ client: String) {
            let pace = ByteBuffer.Pace(least: StreamLeastRate()) { false }
            let buffer = ByteBuffer(sizeBytesMax: 1, stallTimeout: .seconds(1), pace: pace)
            #expect(throws: Never.self) { try shares.enter(client, buffer) {} }
        }
        for client in ["a", "b", "a"] { enter(client) }
        #expect(shares.isContended(for: "a") && !shares.isContended(for: "b"))
        enter("c")
        #expect(!shares.isContended(for: "b"), "a's second stream could not take b's place")
        enter("d")
        #expect(shares.isContended(for: "b"))
    }

    @Test func aSlowReaderIsLeftAloneWhileNobodyWaits() async throws {
        let asked = Mutex(0)
        var least = StreamLeastRate()
        least.window = .milliseconds(1)
        let pace = ByteBuffer.Pace(least: least) {
            asked.withLock { count in
                count += 1
                return count > 5
            }
        }
        let buffer = ByteBuffer(sizeBytesMax: 1, stallTimeout: .seconds(3600), pace: pace)
        try buffer.put([1])
        #expect(throws: StorageError.stalled) { try buffer.put([2]) }
        #expect(asked.withLock { $0 } == 6)
    }
}
