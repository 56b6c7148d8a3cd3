import Base
import Dispatch
import Synchronization

/// Where the body of `Database.stream` puts its bytes.
package protocol ByteSink: AnyObject {
    /// Appends bytes. Waits while the buffer is full.
    /// - Throws: `.closed` when the consumer is gone; `.stalled` when it has taken nothing for too long, or the
    ///   stream was ended for the sake of the database. The body should let the error through.
    func write(_ bytes: [UInt8]) throws(StorageError)
}

/// The consumer's end of a stream: chunks of bytes, in order. To be iterated once.
///
/// Dropping it, or cancelling the task that iterates it, ends the producer.
package struct ByteStream: AsyncSequence, Sendable {
    package typealias Element = [UInt8]

    private let lease: Lease

    init(_ buffer: ByteBuffer) {
        lease = Lease(buffer)
    }

    package func makeAsyncIterator() -> Iterator { Iterator(lease: lease) }

    /// Gives the chunks, each 1 byte to about 64 KiB.
    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let lease: Lease

        package mutating func next() async throws -> [UInt8]? {
            try await lease.buffer.next()
        }
    }

    /// Tells the producer when the last holder of the consumer's end is gone.
    fileprivate final class Lease: Sendable {
        let buffer: ByteBuffer

        init(_ buffer: ByteBuffer) {
            self.buffer = buffer
        }

        deinit {
            buffer.abandon()
        }
    }
}

/// A bounded buffer between one producing thread, which blocks, and one consuming task, which suspends.
final class ByteBuffer: Sendable {
    private struct State {
        var chunks = FIFO<[UInt8]>()
        var sizeBytes = 0
        /// Set when the producer has ended; nil inside means success.
        var end: Result<Void, any Error>?
        var isAbandoned = false
        var isProducerWaiting = false
        /// How long the producer waited in the present window, and what was taken meanwhile.
        var waited = Duration.zero
        var takenBytes = 0
        /// Whether the consumer took less than it has to in the window before.
        var isSlow = false
        var consumer: CheckedContinuation<[UInt8]?, any Error>?
    }

    /// What is demanded of the consumer while others wait.
    struct Pace: Sendable {
        var least: StreamLeastRate
        /// Whether others wait for this stream to end.
        var isContended: @Sendable () -> Bool
    }

    private let sizeBytesMax: Int
    private let stallTimeout: Duration
    private let pace: Pace
    private let state = Mutex(State())
    private let space = DispatchSemaphore(value: 0)

    /// How often the pace is looked at in a window.
    private static let looksPerWindow = 16

    init(sizeBytesMax: Int, stallTimeout: Duration, pace: Pace) {
        self.sizeBytesMax = sizeBytesMax
        self.stallTimeout = stallTimeout
        self.pace = pace
    }

    /// Whether nobody wants what would come: the consumer is gone, or the stream has ended.
    var isOver: Bool { state.withLock { $0.isAbandoned || $0.end != nil } }

    /// Appends a chunk; waits on the calling thread while the buffer is full.
    func put(_ chunk: [UInt8]) throws(StorageError) {
        enum Next { case done, hand(CheckedContinuation<[UInt8]?, any Error>), wait, refuse(StorageError) }
        while true {
            let next: Next = state.withLock { state in
                if state.isAbandoned { return .refuse(.closed) }
                if state.end != nil { return .refuse(.stalled) }
                if let consumer = state.consumer {
                    state.consumer = nil
                    return .hand(consumer)
                }
                if state.sizeBytes > 0, state.sizeBytes + chunk.count > sizeBytesMax {
                    state.isProducerWaiting = true
                    return .wait
                }
                state.chunks.append(chunk)
                state.sizeBytes += chunk.count
                return .done
            }
            switch next {
            case .done: return
            case .hand(let consumer): return consumer.resume(returning: chunk)
            case .refuse(let error): throw error
            case .wait: waitForSpace()
            }
        }
    }

    /// Returns when there is space again, or the stream has ended: by the consumer, or here, because it stalls.
    private func waitForSpace() {
        let clock = ContinuousClock()
        let deadline = clock.now + stallTimeout
        var last = clock.now
        while true {
            let look = min(pace.least.window / Self.looksPerWindow, deadline - last)
            let isWoken =
                space.wait(timeout: .now() + .microseconds(Int(clamping: max(look, .zero).wholeMicroseconds)))
                == .success
            let now = clock.now
            let isTooSlow = isTooSlow(afterWaiting: now - last)
            last = now
            if isWoken { return }
            if now >= deadline || isTooSlow { return finish(.failure(StorageError.stalled)) }
        }
    }

    /// Counts the time the producer waited. A consumer is judged by it alone: it may be slow, too, because little comes.
    private func isTooSlow(afterWaiting duration: Duration) -> Bool {
        let isSlow = state.withLock { state in
            state.waited += duration
            if state.waited >= pace.least.window {
                state.isSlow = state.takenBytes < pace.least.bytes
                state.waited = .zero
                state.takenBytes = 0
            }
            return state.isSlow
        }
        return isSlow && pace.isContended()
    }

    /// Ends the stream; the first end counts. A failure overtakes the chunks that are waiting.
    func finish(_ end: Result<Void, any Error>) {
        let (consumer, mustWake) = state.withLock { state in
            guard state.end == nil else { return (CheckedContinuation<[UInt8]?, any Error>?.none, false) }
            state.end = end
            if case .failure = end { state.chunks = FIFO() }
            defer {
                state.consumer = nil
                state.isProducerWaiting = false
            }
            return (state.consumer, state.isProducerWaiting)
        }
        consumer?.resume(with: end.map { nil })
        if mustWake { space.signal() }
    }

    /// The consumer wants no more.
    func abandon() {
        let (consumer, mustWake) = state.withLock { state in
            state.isAbandoned = true
            state.chunks = FIFO()
            defer {
                state.consumer = nil
                state.isProducerWaiting = false
            }
            return (state.consumer, state.isProducerWaiting)
        }
        consumer?.resume(throwing: CancellationError())
        if mustWake { space.signal() }
    }

    /// The next chunk, or nil at the end.
    func next() async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { take($0) }
        } onCancel: {
            abandon()
        }
    }

    private func take(_ consumer: CheckedContinuation<[UInt8]?, any Error>) {
        let (result, mustWake): (Result<[UInt8]?, any Error>?, Bool) = state.withLock { state in
            if state.isAbandoned { return (.failure(CancellationError()), false) }
            if let chunk = state.chunks.popFirst() {
                state.sizeBytes -= chunk.count
                if state.isProducerWaiting { state.takenBytes += chunk.count }
                let mustWake = state.isProducerWaiting && state.sizeBytes <= sizeBytesMax / 2
                if mustWake { state.isProducerWaiting = false }
                return (.success(chunk), mustWake)
            }
            if let end = state.end { return (end.map { nil }, false) }
            state.consumer = consumer
            return (nil, false)
        }
        if let result { consumer.resume(with: result) }
        if mustWake { space.signal() }
    }
}

/// Gathers small writes into chunks before they enter the buffer.
final class ChunkingSink: ByteSink {
    private static let chunkSizeBytes = 64 * 1024
    private let buffer: ByteBuffer
    private var chunk: [UInt8] = []

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
    }

    func write(_ bytes: [UInt8]) throws(StorageError) {
        if chunk.isEmpty, bytes.count >= Self.chunkSizeBytes {
            return try buffer.put(bytes)
        }
        if chunk.isEmpty { chunk.reserveCapacity(Self.chunkSizeBytes + 4096) }
        chunk.append(contentsOf: bytes)
        if chunk.count >= Self.chunkSizeBytes { try flush() }
    }

    func flush() throws(StorageError) {
        guard !chunk.isEmpty else { return }
        let full = chunk
        chunk = []
        try buffer.put(full)
    }
}
