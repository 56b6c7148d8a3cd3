import NIOCore
import NIOHTTP1
import Synchronization

/// The parts of one connection's requests, read in order by one reader at a time.
///
/// NOTE: unchecked because the iterator isn't Sendable. The connection's loop reads heads; between two heads only the
/// `IncomingBody` of the present request reads, guarded by its own state.
final class RequestParts: @unchecked Sendable {
    private var iterator: NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator

    init(_ stream: NIOAsyncChannelInboundStream<HTTPServerRequestPart>) {
        iterator = stream.makeAsyncIterator()
    }

    /// The next part; nil when the client has closed its side.
    func next() async throws -> HTTPServerRequestPart? {
        try await iterator.next()
    }
}

/// The body of the request a connection is at.
package final class IncomingBody: BodySource {
    private enum Phase {
        /// Nothing was asked for yet.
        case unread
        case idle
        case reading
        /// Read ahead of its reader by `hasBytes`.
        case held([UInt8])
        case ended
        /// The answer is on its way; a reader that is left over gets nothing any more.
        case revoked
    }

    /// The Content-Length, or nil for a chunked body; 0 when there is no body.
    let declaredByteCount: Int?

    private let parts: RequestParts?
    private let sendContinue: (@Sendable () async throws -> Void)?
    private let phase: Mutex<Phase>
    private let receivedByteCount = Atomic<Int>(0)

    /// - Parameter sendContinue: called before the first read when the client waits for `100 Continue`.
    init(
        parts: RequestParts?,
        declaredByteCount: Int?,
        sendContinue: (@Sendable () async throws -> Void)? = nil
    ) {
        self.parts = parts
        self.declaredByteCount = declaredByteCount
        self.sendContinue = sendContinue
        phase = Mutex(declaredByteCount == 0 ? .ended : .unread)
    }

    /// A body held in memory.
    init(_ bytes: [UInt8]) {
        parts = nil
        sendContinue = nil
        declaredByteCount = bytes.count
        phase = Mutex(bytes.isEmpty ? .ended : .held(bytes))
    }

    /// Whether the header leaves room for a body.
    var mayHaveBytes: Bool { declaredByteCount != 0 }

    /// Whether there is at least one byte; waits for it when only the body itself can tell.
    func hasBytes() async throws -> Bool {
        if let declaredByteCount { return declaredByteCount > 0 }
        guard let chunk = try await next() else { return false }
        phase.withLock { phase in
            if case .idle = phase { phase = .held(chunk) }
        }
        return true
    }

    package func next() async throws -> [UInt8]? {
        enum Action {
            case read(isFirst: Bool)
            case give([UInt8]?)
        }
        let action = try phase.withLock { phase throws(WebFailure) in
            switch phase {
            case .held(let bytes):
                phase = parts == nil ? .ended : .idle
                return Action.give(bytes)
            case .ended: return .give(nil)
            case .revoked, .reading: throw .invalidRequest("The body is no longer there to be read")
            case .unread:
                phase = .reading
                return .read(isFirst: true)
            case .idle:
                phase = .reading
                return .read(isFirst: false)
            }
        }
        switch action {
        case .give(let bytes): return bytes
        case .read(let isFirst): return try await read(isFirst: isFirst)
        }
    }

    private func read(isFirst: Bool) async throws -> [UInt8]? {
        var chunk: [UInt8]?
        do {
            if isFirst { try await sendContinue?() }
            while let part = try await parts?.next() {
                if case .body(let buffer) = part {
                    guard buffer.readableBytes > 0 else { continue }
                    chunk = Array(buffer.readableBytesView)
                }
                if case .head = part { throw WebFailure.invalidRequest("The body ended early") }
                return finishRead(chunk)
            }
        } catch let error as HTTPParserError {
            revoke()
            let isCut = error == .invalidEOFState
            throw WebFailure.invalidRequest(isCut ? "The body ended early" : "The body breaks HTTP")
        } catch {
            revoke()
            throw error
        }
        revoke()
        throw WebFailure.invalidRequest("The body ended early")
    }

    private func finishRead(_ chunk: [UInt8]?) -> [UInt8]? {
        receivedByteCount.wrappingAdd(chunk?.count ?? 0, ordering: .relaxed)
        phase.withLock { phase in
            if case .reading = phase { phase = chunk == nil ? .ended : .idle }
        }
        return chunk
    }

    private func revoke() { phase.withLock { $0 = .revoked } }

    /// What is left of the body once the handler has answered.
    enum Remainder {
        /// Nothing: the next request may follow.
        case none
        /// About this many bytes, not more.
        case bytes(Int)
        /// Unknown or broken: the connection can't go on.
        case unknown
    }

    /// As `endReading()`, but leaves a body that is being read to the stream that answers from it.
    func endReadingIfUnread() -> Remainder {
        let isInUse = phase.withLock { phase in
            switch phase {
            case .unread, .ended: false
            case .idle, .reading, .held, .revoked: true
            }
        }
        return isInUse ? .unknown : endReading()
    }

    /// Takes the body away from its reader and tells what is left.
    func endReading() -> Remainder {
        let wasEnded: Bool? = phase.withLock { phase in
            defer { if case .ended = phase {} else { phase = .revoked } }
            switch phase {
            case .ended: return true
            case .unread, .idle, .held: return false
            case .reading, .revoked: return nil
            }
        }
        guard let wasEnded else { return .unknown }
        if wasEnded { return .none }
        guard let declaredByteCount else { return .unknown }
        return .bytes(declaredByteCount - receivedByteCount.load(ordering: .relaxed))
    }
}
