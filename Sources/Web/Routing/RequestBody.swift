import Synchronization

/// Where the bytes of a body come from: the socket, or a decoder in front of it.
protocol BodySource: Sendable {
    /// The next bytes, never empty; nil at the end.
    func next() async throws -> [UInt8]?
}

/// The body of a request as chunks, read once, by one reader, at the reader's pace.
///
/// What is not read yet stays with the client: the socket is read only when a chunk is asked for (besides a small
/// read-ahead). Bytes are counted after decompression; more than `byteCountMax` throw `WebFailure.payloadTooLarge`.
package final class RequestBody: AsyncSequence, Sendable {
    package typealias Element = [UInt8]

    /// The most bytes this body may have, decoded.
    package let byteCountMax: Int
    /// The Content-Length when the body came with one and is not compressed; a promise of the client, not a fact.
    package let declaredByteCount: Int?

    private let source: any BodySource
    private let state: Mutex<State>

    private struct State {
        var isReading = false
        var byteCount = 0
        var ended = false
    }

    init(source: any BodySource, byteCountMax: Int, declaredByteCount: Int?) {
        self.source = source
        self.byteCountMax = byteCountMax
        self.declaredByteCount = declaredByteCount
        state = Mutex(State())
    }

    /// A body held in memory.
    package convenience init(_ bytes: [UInt8] = []) {
        self.init(source: HeldBytes(bytes), byteCountMax: bytes.count, declaredByteCount: bytes.count)
    }

    /// The next chunk, never empty; nil at the end.
    ///
    /// - Throws: `WebFailure.payloadTooLarge`, `.invalidRequest` (broken compression or a cut body).
    package func next() async throws -> [UInt8]? {
        let ended = try state.withLock { state throws(WebFailure) in
            guard !state.isReading else { throw .invalidRequest("The body is read twice at the same time") }
            state.isReading = !state.ended
            return state.ended
        }
        if ended { return nil }
        do {
            let chunk = try await source.next()
            return try finishRead(chunk)
        } catch {
            state.withLock { state in
                state.isReading = false
                state.ended = true
            }
            throw error
        }
    }

    /// The whole rest of the body.
    ///
    /// - Throws: as `next()`.
    package func collect() async throws -> [UInt8] {
        guard let first = try await next() else { return [] }
        guard let second = try await next() else { return first }
        var all = first
        all.reserveCapacity(Swift.min(declaredByteCount ?? 0, byteCountMax))
        all.append(contentsOf: second)
        while let chunk = try await next() { all.append(contentsOf: chunk) }
        return all
    }

    private func finishRead(_ chunk: [UInt8]?) throws(WebFailure) -> [UInt8]? {
        try state.withLock { state throws(WebFailure) in
            state.isReading = false
            guard let chunk else {
                state.ended = true
                return nil
            }
            state.byteCount += chunk.count
            guard state.byteCount <= byteCountMax else {
                state.ended = true
                throw .payloadTooLarge(byteCountMax: byteCountMax)
            }
            return chunk
        }
    }

    /// Iterates over `next()`.
    package struct AsyncIterator: AsyncIteratorProtocol {
        let body: RequestBody

        package mutating func next() async throws -> [UInt8]? { try await body.next() }
    }

    package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }
}

/// Bytes already in memory, as one chunk.
private final class HeldBytes: BodySource {
    private let rest: Mutex<[UInt8]>

    init(_ bytes: [UInt8]) { rest = Mutex(bytes) }

    func next() -> [UInt8]? {
        rest.withLock { rest in
            defer { rest = [] }
            return rest.isEmpty ? nil : rest
        }
    }
}
