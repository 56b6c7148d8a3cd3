import CZlib
import Synchronization

/// Compression of answers (RFC 1952), by zlib.
///
/// Not for use from two tasks at once; each answer has its own.
final class GzipEncoder: @unchecked Sendable {
    /// Fast rather than small: an export must not wait for its compression.
    private static let level: Int32 = 3
    /// Encoders kept for the next answer; each holds about 256 kB.
    private static let spareCountMax = 4
    private static let spares = Mutex<[GzipEncoder]>([])

    /// At a fixed address, because zlib keeps a pointer to it. Touched only by the task that holds the encoder.
    private let stream: UnsafeMutablePointer<z_stream>

    private init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let windowBitsForGzip: Int32 = 15 + 16
        let result = deflateInit2_(
            stream, Self.level, Z_DEFLATED, windowBitsForGzip, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        guard result == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// An encoder for one answer; nil when memory is short.
    static func take() -> GzipEncoder? {
        spares.withLock { $0.popLast() } ?? GzipEncoder()
    }

    /// Gives the encoder back once its answer is complete or given up.
    func giveBack() {
        guard deflateReset(stream) == Z_OK else { return }
        Self.spares.withLock { spares in
            if spares.count < Self.spareCountMax { spares.append(self) }
        }
    }

    /// All of `bytes` compressed at once; nil when memory is short.
    static func compress(_ bytes: [UInt8]) -> [UInt8]? {
        guard let encoder = take() else { return nil }
        defer { encoder.giveBack() }
        return encoder.encode(bytes, isLast: true)
    }

    /// The compressed bytes that are ready after `input`; often none before the last chunk.
    func encode(_ input: [UInt8], isLast: Bool) -> [UInt8] {
        var output: [UInt8] = []
        input.withUnsafeBufferPointer { source in
            stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            stream.pointee.avail_in = UInt32(source.count)
            let bound = Int(deflateBound(stream, UInt(source.count)))
            output = Self.run(stream, capacity: max(bound, 512), isLast: isLast)
            stream.pointee.next_in = nil
        }
        return output
    }

    private static func run(_ stream: UnsafeMutablePointer<z_stream>, capacity: Int, isLast: Bool) -> [UInt8] {
        var output: [UInt8] = []
        var isDone = false
        while !isDone {
            output += [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                stream.pointee.next_out = buffer.baseAddress
                stream.pointee.avail_out = UInt32(buffer.count)
                let result = deflate(stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                count = buffer.count - Int(stream.pointee.avail_out)
                isDone = result == Z_STREAM_END || stream.pointee.avail_out > 0 || result < 0
            }
        }
        return output
    }
}

/// A request body that arrives compressed (gzip or zlib's form of deflate), decoded at the reader's pace.
///
/// Chunks have at most 64 kB, so a small body that inflates to gigabytes costs its reader's limit and no more.
final class InflatingBody: BodySource, @unchecked Sendable {
    private static let chunkByteCountMax = 64 * 1024

    private let source: any BodySource
    /// One reader at a time is RequestBody's promise; the mutex makes it so for the compiler and for mistakes.
    private let state: Mutex<State>

    private struct State: ~Copyable {
        let stream: UnsafeMutablePointer<z_stream>
        var input: [UInt8] = []
        var position = 0
        var isComplete = false
        var isStarted = false

        init?() {
            stream = .allocate(capacity: 1)
            stream.initialize(to: z_stream())
            let windowBitsForEither: Int32 = 15 + 32
            let size = Int32(MemoryLayout<z_stream>.size)
            guard inflateInit2_(stream, windowBitsForEither, ZLIB_VERSION, size) == Z_OK else {
                stream.deallocate()
                return nil
            }
        }

        deinit {
            inflateEnd(stream)
            stream.deallocate()
        }
    }

    /// - Throws: `.unavailable` when memory is short.
    init(_ source: any BodySource) throws(WebFailure) {
        self.source = source
        guard let state = State() else { throw .unavailable("No memory to decompress the body") }
        self.state = Mutex(state)
    }

    func next() async throws -> [UInt8]? {
        while true {
            switch try state.withLock({ state throws(WebFailure) in try Self.step(&state) }) {
            case .output(let bytes): return bytes
            case .needsInput:
                guard let chunk = try await source.next() else {
                    let isWhole = state.withLock { $0.isComplete || !$0.isStarted }
                    guard isWhole else { throw WebFailure.invalidRequest("The compressed body ends early") }
                    return nil
                }
                state.withLock { state in
                    state.input = chunk
                    state.position = 0
                    state.isStarted = true
                }
            }
        }
    }

    private enum Step {
        case output([UInt8])
        case needsInput
    }

    private static func step(_ state: inout State) throws(WebFailure) -> Step {
        while state.position < state.input.count {
            if state.isComplete {
                // Another member follows, as gzip allows; anything else fails at its header.
                guard inflateReset(state.stream) == Z_OK else { throw .invalidRequest("Broken compression") }
                state.isComplete = false
            }
            var result = Z_OK
            var consumed = 0
            let stream = state.stream
            let position = state.position
            let output = state.input.withUnsafeBufferPointer { source in
                [UInt8](unsafeUninitializedCapacity: chunkByteCountMax) { buffer, count in
                    let rest = UnsafeBufferPointer(rebasing: source[position...])
                    stream.pointee.next_in = UnsafeMutablePointer(mutating: rest.baseAddress)
                    stream.pointee.avail_in = UInt32(rest.count)
                    stream.pointee.next_out = buffer.baseAddress
                    stream.pointee.avail_out = UInt32(buffer.count)
                    result = inflate(stream, Z_NO_FLUSH)
                    consumed = rest.count - Int(stream.pointee.avail_in)
                    count = buffer.count - Int(stream.pointee.avail_out)
                }
            }
            state.position += consumed
            guard result == Z_OK || result == Z_STREAM_END || (result == Z_BUF_ERROR && consumed > 0) else {
                throw .invalidRequest("The body isn't compressed as its Content-Encoding says")
            }
            state.isComplete = result == Z_STREAM_END
            if !output.isEmpty { return .output(output) }
            if consumed == 0, !state.isComplete { throw .invalidRequest("Broken compression") }
        }
        return .needsInput
    }
}
