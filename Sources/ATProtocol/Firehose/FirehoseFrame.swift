/// One frame of `com.atproto.sync.subscribeRepos`: two DAG-CBOR maps, header and payload, in one WebSocket message.
///
/// ```
/// {op: 1, t: "#commit"} {seq, repo, commit, rev, since, blocks, ops, …}
/// {op: -1}              {error, message?}
/// ```
/// - Spec: https://atproto.com/specs/event-stream
package enum FirehoseFrame: Sendable, Hashable {
    /// An event and its place in the stream.
    case event(seq: Int64, FirehoseEvent)
    case info(FirehoseInfo)
    /// An error; the server closes the connection after it.
    case failure(FirehoseFailure)
    /// A frame of a later version: to be passed over.
    case unknown(op: Int64, type: String?)
}

/// An `#info`: something the reader should know, such as that its cursor was older than the window.
package struct FirehoseInfo: Sendable, Hashable {
    package var name: String
    package var message: String?

    package init(name: String, message: String?) {
        self.name = name
        self.message = message
    }

    /// The cursor is older than the oldest event kept; the stream goes on from that one.
    package static let outdatedCursor = FirehoseInfo(
        name: "OutdatedCursor", message: "The cursor is older than the oldest event kept here")
}

/// An error frame.
package struct FirehoseFailure: Sendable, Hashable {
    package var error: String
    package var message: String?

    package init(error: String, message: String?) {
        self.error = error
        self.message = message
    }

    /// The cursor is beyond the newest event.
    package static let futureCursor = FirehoseFailure(
        error: "FutureCursor", message: "The cursor is ahead of this server")
    /// The reader fell too far behind the newest event.
    package static let consumerTooSlow = FirehoseFailure(
        error: "ConsumerTooSlow", message: "The stream is read more slowly than events arrive")
}

/// Why bytes are not a frame, or a frame not one of a well-behaved server.
package enum FirehoseError: Error, Sendable, Hashable {
    /// Not two canonical DAG-CBOR values, or longer than `FirehoseLimit.frameSizeBytesMax`.
    case notDAGCBOR(DataModelError)
    /// A value that is not a map stands where the header or the payload belongs, or `op` or `t` is missing.
    case badHeader
    /// A field is missing, of another type or not in its format.
    case badField(String)
    /// A field is longer than the lexicon allows.
    case tooLarge(String)
}

extension FirehoseFrame {
    /// Decodes a frame. Fields it does not know are passed over, as the specification asks.
    package init(bytes: [UInt8]) throws(FirehoseError) {
        guard bytes.count <= FirehoseLimit.frameSizeBytesMax else {
            throw .notDAGCBOR(.limitExceeded(limit: .size))
        }
        let header: DataValue
        let payload: DataValue
        do throws(DataModelError) {
            var reader = CBORReader(bytes)
            header = try reader.value(limits: Self.limits)
            payload = try reader.value(limits: Self.limits)
            try reader.finish()
        } catch {
            throw .notDAGCBOR(error)
        }
        guard let op = header["op"]?.integerValue, case .map(let fields) = payload else { throw .badHeader }
        if op == -1 {
            self = .failure(try FirehoseFailure(payload: fields))
            return
        }
        let type = header["t"]?.stringValue
        guard op == 1 else {
            self = .unknown(op: op, type: type)
            return
        }
        guard let type else { throw .badHeader }
        self = try Self.message(type: type, payload: fields)
    }

    /// What a frame of the right size can hold at most: 200 operations of a few fields, and as many blobs as fit.
    private static let limits = DataLimits(
        sizeBytesMax: FirehoseLimit.frameSizeBytesMax, depthMax: 16, valueCountMax: 20_000)

    /// The frame that a payload makes up under a header of `op: 1` and this `t`.
    package static func message(type: String, payload: DataMap) throws(FirehoseError) -> FirehoseFrame {
        let event: FirehoseEvent
        switch type {
        case FirehoseType.commit: event = .commit(try FirehoseCommit(payload: payload))
        case FirehoseType.sync: event = .sync(try FirehoseSync(payload: payload))
        case FirehoseType.identity: event = .identity(try FirehoseIdentity(payload: payload))
        case FirehoseType.account: event = .account(try FirehoseAccount(payload: payload))
        case FirehoseType.info: return .info(try FirehoseInfo(payload: payload))
        default: return .unknown(op: 1, type: type)
        }
        return .event(seq: try payload.firehoseSequence(), event)
    }

    /// The frame's bytes, or nil for one of an unknown kind.
    package func bytes() -> [UInt8]? {
        switch self {
        case .event(let seq, let event): event.prepared().frame(seq: seq)
        case .info(let info): info.frame()
        case .failure(let failure): failure.frame()
        case .unknown: nil
        }
    }
}
