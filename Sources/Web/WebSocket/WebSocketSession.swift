import Base
import Logging
import NIOCore
import NIOWebSocket
import Synchronization

/// The state of one WebSocket, shared by the tasks that send and receive and by the event loop that owns the socket.
///
/// Senders append to `queue` and wake the loop once; the loop writes what is queued with one flush. Bytes count from
/// `send` until the socket has taken them; senders wait while more than `outboundByteCountMax` do.
final class WebSocketSession: WebSocketOutlet {
    enum Phase {
        case open
        /// We have sent or will send a close frame; nothing more is taken.
        case closing
        case closed
    }

    struct State {
        var phase = Phase.open
        var queue: [ByteBuffer] = []
        var isDrainScheduled = false
        /// Queued bytes and bytes on their way to the socket.
        var backlog = 0
        var lastProgress = NIODeadline.now()
        var senders: [(id: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        var messages: [WebSocketMessage] = []
        var reader: CheckedContinuation<WebSocketMessage?, any Error>?
        var readFailure: WebSocketFailure?
        var nextID = 0
        var isCloseQueued = false
    }

    let limits: WebSocketLimits
    let channel: any Channel
    let state = Mutex(State())
    private let socket: NIOLoopBound<WebSocketSocket>

    private init(channel: any Channel, socket: WebSocketSocket, limits: WebSocketLimits) {
        self.channel = channel
        self.limits = limits
        self.socket = NIOLoopBound(socket, eventLoop: channel.eventLoop)
    }

    /// Puts the WebSocket's handlers into the pipeline, behind swift-nio's codec. On the event loop.
    static func install(in channel: any Channel, limits: WebSocketLimits) throws -> WebSocketSession {
        // Frames go out ready made, so they enter the pipeline in front of NIO's encoder, not behind it.
        let socket = WebSocketSocket()
        let session = WebSocketSession(channel: channel, socket: socket, limits: limits)
        try channel.pipeline.syncOperations.addHandler(socket, position: .first)
        try channel.pipeline.syncOperations.addHandler(WebSocketHandler(session: session))
        return session
    }

    /// Runs a subscription until it returns or the socket is gone, and closes.
    func serve(_ subscription: Subscription, logger: Logger) async {
        let connection = WebSocketConnection(outlet: self)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { await self.run(subscription, connection, logger: logger) }
            group.addTask {
                try? await self.channel.closeFuture.get()
                return false
            }
            // Whichever ends first ends the other: a closed socket cancels its handler.
            let isHandlerDone = await group.next() ?? true
            group.cancelAll()
            if isHandlerDone { channel.close(promise: nil) }
            await group.waitForAll()
        }
    }

    private func run(_ subscription: Subscription, _ connection: WebSocketConnection, logger: Logger) async -> Bool {
        do {
            try await subscription.run(connection)
            await finish(nil, code: 1000, reason: "")
        } catch is WebSocketFailure {
            await finish(nil, code: 1000, reason: "")
        } catch is CancellationError {
            await finish(nil, code: 1001, reason: "")
        } catch {
            logger.error("A subscription failed", metadata: ["error": .string(String(reflecting: error))])
            await finish(nil, code: 1011, reason: "")
        }
        return true
    }

    // MARK: Sending

    func send(_ frames: WebSocketFrames) async throws(WebSocketFailure) {
        while true {
            let isQueued = try state.withLock { state throws(WebSocketFailure) in
                guard state.phase == .open else { throw .closed }
                guard state.backlog < limits.outboundByteCountMax else { return false }
                enqueue(frames.buffer, &state)
                return true
            }
            if isQueued { return }
            try await waitForRoom()
        }
    }

    func waitUntilReady() async throws(WebSocketFailure) {
        while true {
            let isReady = try state.withLock { state throws(WebSocketFailure) in
                guard state.phase == .open else { throw .closed }
                return state.backlog < limits.outboundByteCountMax
            }
            if isReady { return }
            try await waitForRoom()
        }
    }

    /// Queues without regard to the bound: for close frames and the last message before them.
    private func enqueue(_ buffer: ByteBuffer, _ state: inout State) {
        if state.backlog == 0 { state.lastProgress = .now() }
        state.queue.append(buffer)
        state.backlog += buffer.readableBytes
        guard !state.isDrainScheduled else { return }
        state.isDrainScheduled = true
        channel.eventLoop.execute { self.drain() }
    }

    private func waitForRoom() async throws(WebSocketFailure) {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        do {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                    let result: Result<Void, any Error>? = state.withLock { state in
                        if state.phase != .open || Task.isCancelled { return .failure(WebSocketFailure.closed) }
                        if state.backlog < limits.outboundByteCountMax { return .success(()) }
                        state.senders.append((id, continuation))
                        return nil
                    }
                    if let result { continuation.resume(with: result) }
                }
            } onCancel: {
                let sender = state.withLock { state in
                    state.senders.firstIndex { $0.id == id }.map { state.senders.remove(at: $0).continuation }
                }
                sender?.resume(throwing: WebSocketFailure.closed)
            }
        } catch {
            throw error as? WebSocketFailure ?? .closed
        }
    }

    /// On the event loop: hands what is queued to the socket.
    private func drain() {
        let buffers = state.withLock { state in
            state.isDrainScheduled = false
            defer { state.queue = [] }
            return state.queue
        }
        guard channel.isActive else { return }
        for var buffer in buffers {
            // In slices, so that a slow peer's progress shows before a whole batch is through.
            while buffer.readableBytes > Self.sliceByteCount, let slice = buffer.readSlice(length: Self.sliceByteCount)
            {
                write(slice)
            }
            write(buffer)
        }
        socket.value.flush()
    }

    private static let sliceByteCount = 64 * 1024

    private func write(_ buffer: ByteBuffer) {
        let count = buffer.readableBytes
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { self.wrote(count) }
        socket.value.write(buffer, promise: promise)
    }

    private func wrote(_ count: Int) {
        let waiting = state.withLock { state in
            state.backlog -= count
            state.lastProgress = .now()
            guard state.backlog < limits.outboundByteCountMax / 2, !state.senders.isEmpty else {
                return [CheckedContinuation<Void, any Error>]()
            }
            defer { state.senders = [] }
            return state.senders.map(\.continuation)
        }
        for sender in waiting { sender.resume() }
    }

    // MARK: Receiving

    func next() async throws(WebSocketFailure) -> WebSocketMessage? {
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let result: Result<WebSocketMessage?, any Error>? = state.withLock { state in
                        if !state.messages.isEmpty { return .success(state.messages.removeFirst()) }
                        if let failure = state.readFailure { return .failure(failure) }
                        if state.phase != .open || Task.isCancelled { return .success(nil) }
                        if state.reader != nil { return .failure(WebSocketFailure.closed) }
                        state.reader = continuation
                        return nil
                    }
                    if let result { continuation.resume(with: result) }
                }
            } onCancel: {
                let reader = state.withLock { state in
                    defer { state.reader = nil }
                    return state.reader
                }
                reader?.resume(returning: nil)
            }
        } catch {
            throw error as? WebSocketFailure ?? .closed
        }
    }

    /// On the event loop: a message has come. Without a reader the oldest make room.
    func received(_ message: WebSocketMessage) {
        let reader = state.withLock { state in
            guard let reader = state.reader else {
                if state.messages.count >= limits.inboundMessageCountMax { state.messages.removeFirst() }
                state.messages.append(message)
                return CheckedContinuation<WebSocketMessage?, any Error>?.none
            }
            state.reader = nil
            return reader
        }
        reader?.resume(returning: message)
    }

    // MARK: Closing

    func finish(_ last: WebSocketFrames?, code: UInt16, reason: String) async {
        queueClose(last, code: code, reason: reason)
        try? await channel.closeFuture.get()
    }

    /// Queues the close frame once; nothing is sent behind it. The handler ends the connection when it takes too long.
    func queueClose(_ last: WebSocketFrames? = nil, code: UInt16, reason: String) {
        let waiting = state.withLock { state in
            guard state.phase != .closed, !state.isCloseQueued else { return State() }
            state.isCloseQueued = true
            // The time to close counts from here: a peer that had stalled gets it in full, to learn why it is ended.
            state.lastProgress = .now()
            if let last { enqueue(last.buffer, &state) }
            enqueue(WebSocketFrames.close(code: code, reason: reason), &state)
            return Self.end(&state, phase: .closing)
        }
        Self.resume(waiting, with: .closed)
    }

    /// Queues a control frame, unless the connection is ending.
    func queueControl(opcode: UInt8, _ data: ByteBuffer) {
        var frame = ByteBuffer()
        WebSocketFrames.writeHead(opcode: opcode, byteCount: data.readableBytes, to: &frame)
        frame.writeImmutableBuffer(data)
        state.withLock { state in
            if state.phase == .open { enqueue(frame, &state) }
        }
    }

    /// On the event loop: does `action` once everything queued so far is written or lost.
    func afterQueued(_ action: @escaping @Sendable () -> Void) {
        drain()
        let promise = channel.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { _ in action() }
        socket.value.write(ByteBuffer(), promise: promise)
        socket.value.flush()
    }

    /// On the event loop: the socket is gone, or must go.
    func ended(_ failure: WebSocketFailure?) {
        let waiting = state.withLock { state in
            if let failure { state.readFailure = failure }
            return Self.end(&state, phase: .closed)
        }
        Self.resume(waiting, with: failure ?? .closed)
    }

    /// On the event loop: senders have waited for too long.
    func stalled() {
        let senders = state.withLock { state in
            defer { state.senders = [] }
            return state.senders
        }
        for sender in senders { sender.continuation.resume(throwing: WebSocketFailure.stalled) }
    }

    /// Moves everyone who waits out of the state; they are resumed outside the lock.
    private static func end(_ state: inout State, phase: Phase) -> State {
        var waiting = State()
        waiting.senders = state.senders
        waiting.reader = state.reader
        waiting.readFailure = state.readFailure
        state.senders = []
        state.reader = nil
        state.phase = phase
        return waiting
    }

    private static func resume(_ waiting: State, with failure: WebSocketFailure) {
        for sender in waiting.senders { sender.continuation.resume(throwing: failure) }
        if let readFailure = waiting.readFailure {
            waiting.reader?.resume(throwing: readFailure)
        } else {
            waiting.reader?.resume(returning: nil)
        }
    }

    // MARK: Looking

    var backlogByteCount: Int { state.withLock { $0.backlog } }

    var isBacklogged: Bool { backlogByteCount >= limits.outboundByteCountMax }

    var timeSinceProgress: Duration {
        state.withLock { state in
            state.backlog == 0 ? .zero : .nanoseconds((NIODeadline.now() - state.lastProgress).nanoseconds)
        }
    }

    var isOpen: Bool { state.withLock { $0.phase == .open } }
}

/// The place nearest to the socket, through which ready frames go out.
final class WebSocketSocket: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func write(_ buffer: ByteBuffer, promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
        context.write(Self.wrapOutboundOut(buffer), promise: promise)
    }

    func flush() { context?.flush() }
}
