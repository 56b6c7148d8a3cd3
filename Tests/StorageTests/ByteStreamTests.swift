import Base
import Storage
import TestDatabases
import Testing

@Suite struct ByteStreamTests {
    private func store(
        _ engine: Engine, _ change: (inout TestOptions) -> Void = { _ in }
    ) async throws -> TestStore {
        var options = TestOptions()
        options.streams.bufferBytes = 256 << 10
        change(&options)
        return try await TestStore(engine, options: options)
    }

    @Test(arguments: Engine.all) func theProducerWaitsForTheConsumer(_ engine: Engine) async throws {
        let store = try await store(engine)
        let produced = Ran()
        let stream = try await store.database.stream { _, sink in
            for index in 0..<100 {
                try sink.write([UInt8](repeating: UInt8(index), count: 64 << 10))
                produced.add(index)
            }
        }
        var count = 0
        for try await chunk in stream {
            #expect(chunk.allSatisfy { Int($0) == count })
            count += 1
            // The buffer's four, the one in the consumer's hand, and one on its way.
            #expect(produced.all.count <= count + 6)
        }
        #expect(count == 100)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func oneStateIsSeenWhileWritersGoOn(_ engine: Engine) async throws {
        let store = try await store(engine)
        for id in 1...500 { try await store.insert(Int64(id), "\(id) " + String(repeating: "x", count: 2000)) }
        let expected = try await store.bodies().joined()
        let stream = try await store.database.stream { scope, sink in
            for id in 1...500 {
                guard let row = try scope.first("SELECT body FROM note WHERE id = $1", [.integer(id)]) else { continue }
                try sink.write(Array(try row.text(0).utf8))
            }
        }
        var bytes: [UInt8] = []
        var isFirst = true
        for try await chunk in stream {
            if isFirst { try await store.database.write { try $0.execute("DELETE FROM note WHERE id % 2 = 0") } }
            isFirst = false
            bytes += chunk
        }
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aConsumerThatTakesNothingIsLeft(_ engine: Engine) async throws {
        let store = try await store(engine) { $0.streams.stallTimeout = .milliseconds(20) }
        let ended = Ran()
        let stream = try await store.database.stream { _, sink in
            do {
                while true { try sink.write([UInt8](repeating: 0, count: 64 << 10)) }
            } catch StorageError.stalled {
                ended.add(1)
                throw StorageError.stalled
            }
        }
        while ended.all.isEmpty { await Task.yield() }
        await #expect(throws: StorageError.stalled) { for try await _ in stream {} }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func droppingOrCancellingEndsTheProducer(_ engine: Engine) async throws {
        let store = try await store(engine)
        let ended = Ran()
        let forever: @Sendable (any ReadScope, any ByteSink) throws -> Void = { _, sink in
            do {
                while true { try sink.write([UInt8](repeating: 0, count: 64 << 10)) }
            } catch {
                ended.add(1)
                throw error
            }
        }
        do {
            let stream = try await store.database.stream(forever)
            for try await _ in stream { break }
        }
        while ended.all.count < 1 { await Task.yield() }
        let second = try await store.database.stream(forever)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { do { for try await _ in second {} } catch {} }
            group.cancelAll()
        }
        while ended.all.count < 2 { await Task.yield() }
        while store.database.statistics().streams > 0 { await Task.yield() }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aFailureReachesTheConsumer(_ engine: Engine) async throws {
        let store = try await store(engine)
        let stream = try await store.database.stream { _, sink in
            try sink.write([1, 2, 3])
            throw Refusal(reason: 3)
        }
        await #expect(throws: Refusal(reason: 3)) { for try await _ in stream {} }
        await store.database.close()
    }

    @Test(arguments: Engine.all) func tooManyAreRefused(_ engine: Engine) async throws {
        let store = try await store(engine) {
            $0.streams.runningMax = 1
            $0.streams.waitingMax = 1
        }
        let gate = Ran()
        let body: @Sendable (any ReadScope, any ByteSink) throws -> Void = { _, sink in
            gate.add(1)
            for _ in 0..<20 { try sink.write([UInt8](repeating: 0, count: 64 << 10)) }
        }
        let first = try await store.database.stream(body)
        while gate.all.isEmpty { await Task.yield() }
        let second = try await store.database.stream(body)
        await #expect(throws: StorageError.overloaded) { try await store.database.stream(body) }
        for stream in [first, second] {
            var count = 0
            for try await chunk in stream { count += chunk.count }
            #expect(count == 20 * 64 << 10)
        }
        await store.database.close()
    }

    /// A snapshot that is kept open must not let the log of changes grow without end.
    @Test func aStreamThatHoldsUpTheLogIsEnded() async throws {
        let store = try await store(.sqlite) {
            $0.sqlite.checkpointSizeBytes = 256 << 10
            $0.sqlite.logSizeBytesMax = 2 << 20
        }
        try await store.insert(1, "first")
        let stream = try await store.database.stream { scope, sink in
            _ = try scope.first("SELECT body FROM note")
            while true { try sink.write([UInt8](repeating: 0, count: 64 << 10)) }
        }
        var iterator = stream.makeAsyncIterator()
        _ = try await iterator.next()
        var largest = 0
        for id in 2...2000 {
            try await store.insert(Int64(id), "\(id) " + String(repeating: "y", count: 4000))
            largest = max(largest, store.database.statistics().logSizeBytes)
        }
        await #expect(throws: StorageError.stalled) {
            while try await iterator.next() != nil {}
        }
        #expect(largest < 4 << 20)
        #expect(store.database.statistics().checkpoints > 0)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aReadThatTakesTooLongIsInterrupted(_ engine: Engine) async throws {
        let store = try await store(engine) { $0.readDurationMax = .milliseconds(30) }
        await #expect(throws: StorageError.timedOut) {
            try await store.database.read { scope in
                try scope.first(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
            }
        }
        #expect(try await store.database.read { try $0.first("SELECT 1")?.integer(0) } == 1)
        await store.database.close()
    }

    @Test(arguments: Engine.all) func aReadingScopeCannotWrite(_ engine: Engine) async throws {
        let store = try await store(engine)
        await #expect(throws: StorageError.self) {
            try await store.database.read { try $0.query("DELETE FROM note RETURNING id") }
        }
        await store.database.close()
    }
}
