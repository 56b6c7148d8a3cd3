import Base
import Logging
import NIOCore
import NIOHTTP1

/// One connection that speaks HTTP: takes its requests in turn and writes the answers.
struct HTTPConnection: Sendable {
    typealias Channel = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let responder: any HTTPResponder
    let limits: ServerLimits
    let requestIDs: RequestIDs
    let dates: DateHeader
    let peer: IPAddress?
    /// Shared with the connection's `ConnectionGuard`.
    let account: WriteAccount
    /// Streamed answers of each client, over all connections.
    let streams: AddressShares

    /// Serves until either side ends the connection.
    ///
    /// - Parameter refusal: the first request and its answer, when it was a handshake that was refused.
    func serve(_ channel: Channel, refusal: (head: HTTPRequestHead, response: OutgoingResponse)?) async throws {
        try await channel.executeThenClose { inbound, outbound in
            let parts = RequestParts(inbound)
            if let (head, response) = refusal {
                try await answer(head, response, remainder: .none, outbound: outbound)
            }
            while let part = try await parts.next() {
                // The end of a request without body, which nobody had to read.
                guard case .head(let head) = part else { continue }
                let goesOn = try await exchange(head, parts: parts, outbound: outbound)
                if !goesOn { return try await end(channel, parts: parts, outbound: outbound) }
            }
        }
    }

    /// One request and its answer.
    ///
    /// - Returns: whether another request may follow.
    private func exchange(
        _ head: HTTPRequestHead,
        parts: RequestParts,
        outbound: Writer
    ) async throws -> Bool {
        let body = Self.body(of: head, parts: parts, outbound: outbound)
        let request = IncomingRequest(
            head: RequestHead(
                method: head.method.rawValue, target: head.uri, fields: head.headers,
                remoteAddress: RequestOrigin.address(peer: peer, fields: head.headers), requestID: requestIDs.next()),
            body: body)
        let response = await responder.respond(to: request)
        if case .stream(let stream) = response.body, head.method != .HEAD {
            let key = request.head.addressKey
            guard streams.enter(key) else {
                let failure = stream.failure(WebFailure.tooManyAnswers)
                return try await answer(head, failure, remainder: .unknown, outbound: outbound)
            }
            defer { streams.leave(key) }
            let state = StreamState(head: head, response: response)
            return try await write(stream, state: state, body: body, parts: parts, outbound: outbound)
        }
        let remainder = body.endReading()
        let goesOn = try await answer(head, response, remainder: remainder, outbound: outbound)
        return goesOn ? try await drain(parts, remainder) : false
    }

    /// Writes an answer that is at hand.
    ///
    /// - Returns: whether another request may follow.
    @discardableResult
    private func answer(
        _ head: HTTPRequestHead,
        _ response: OutgoingResponse,
        remainder: IncomingBody.Remainder,
        outbound: Writer
    ) async throws -> Bool {
        var response = response
        // The encoder would end an answer to HEAD of unknown length with a last chunk, as if it were one to GET.
        let isOpenEnded =
            head.method == .HEAD && response.status.mayHaveResponseBody
            && !response.fields.contains(name: "content-length")
        let goesOn = head.isKeepAlive && head.version == .http1_1 && canDrain(remainder) && !isOpenEnded
        var answer = responseHead(&response, for: head, goesOn: goesOn)
        if isOpenEnded { answer.version = .http1_0 }
        if case .bytes(let bytes) = response.body, head.method != .HEAD {
            account.add(bytes.readableBytes)
            try await outbound.write(contentsOf: [.head(answer), .body(.byteBuffer(bytes)), .end(nil)])
            // Before the next of pipelined requests is answered.
            try await account.waitForRoom()
        } else {
            try await outbound.write(contentsOf: [.head(answer), .end(nil)])
        }
        return goesOn
    }

    private struct StreamState {
        let head: HTTPRequestHead
        var response: OutgoingResponse
    }

    /// Writes a streamed answer. Its header goes out with the first chunk, so that an early failure has its own status.
    private func write(
        _ stream: OutgoingStream,
        state: StreamState,
        body: IncomingBody,
        parts: RequestParts,
        outbound: Writer
    ) async throws -> Bool {
        var response = state.response
        let remainder = body.endReadingIfUnread()
        let goesOn = state.head.isKeepAlive && state.head.version == .http1_1 && canDrain(remainder)
        let answer = responseHead(&response, for: state.head, goesOn: goesOn)
        let encoder = stream.isCompressed ? GzipEncoder.take() : nil
        if stream.isCompressed, encoder == nil { throw WebFailure.unavailable("No memory to compress") }
        defer { encoder?.giveBack() }
        var isBegun = false
        func put(_ bytes: consuming [UInt8]) async throws {
            let byteCount = bytes.count
            guard byteCount > 0 else { return }
            let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes)))
            bytes = []
            account.add(byteCount)
            try await outbound.write(contentsOf: isBegun ? [part] : [.head(answer), part])
            isBegun = true
            try await account.waitForRoom()
        }
        do {
            try await stream.stream.pump { chunk in
                try await put(encoder?.encode(chunk, isLast: false) ?? chunk)
            }
        } catch {
            // Once a part is out only a cut tells the client that it isn't the whole.
            guard !isBegun else {
                stream.abandoned(error)
                throw error
            }
            var failure = stream.failure(error)
            let head = responseHead(&failure, for: state.head, goesOn: false)
            var parts: [HTTPServerResponsePart] = [.head(head)]
            if case .bytes(let bytes) = failure.body {
                account.add(bytes.readableBytes)
                parts.append(.body(.byteBuffer(bytes)))
            }
            try await outbound.write(contentsOf: parts + [.end(nil)])
            return false
        }
        if let encoder { try await put(encoder.encode([], isLast: true)) }
        try await outbound.write(contentsOf: isBegun ? [.end(nil)] : [.head(answer), .end(nil)])
        return goesOn ? try await drain(parts, remainder) : false
    }

    private func responseHead(
        _ response: inout OutgoingResponse,
        for head: HTTPRequestHead,
        goesOn: Bool
    ) -> HTTPResponseHead {
        response.fields.add(name: "date", value: dates.now)
        if !goesOn { response.fields.replaceOrAdd(name: "connection", value: "close") }
        return HTTPResponseHead(version: head.version, status: response.status, headers: response.fields)
    }

    private func canDrain(_ remainder: IncomingBody.Remainder) -> Bool {
        switch remainder {
        case .none: true
        case .bytes(let count): count <= limits.drainByteCountMax
        case .unknown: false
        }
    }

    /// Reads what is left of the body, up to its end.
    ///
    /// - Returns: false when the client went away meanwhile.
    private func drain(_ parts: RequestParts, _ remainder: IncomingBody.Remainder) async throws -> Bool {
        if case .none = remainder { return true }
        while let part = try await parts.next() {
            if case .end = part { return true }
        }
        return false
    }

    /// Closes our side, and the other one once the client has seen the answer or `lingerTimeout` has passed.
    private func end(_ channel: Channel, parts: RequestParts, outbound: Writer) async throws {
        outbound.finish()
        let deadline = channel.channel.eventLoop.scheduleTask(in: TimeAmount(limits.lingerTimeout)) {
            channel.channel.close(promise: nil)
        }
        defer { deadline.cancel() }
        while try await parts.next() != nil {}
    }

    private static func body(of head: HTTPRequestHead, parts: RequestParts, outbound: Writer) -> IncomingBody {
        let byteCount: Int?
        if head.headers.contains(name: "transfer-encoding") {
            byteCount = nil
        } else {
            byteCount = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
        }
        let waits = head.headers.first(name: "expect")?.lowercased() == "100-continue"
        guard byteCount != 0, waits else { return IncomingBody(parts: parts, declaredByteCount: byteCount) }
        return IncomingBody(parts: parts, declaredByteCount: byteCount) {
            try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        }
    }
}
