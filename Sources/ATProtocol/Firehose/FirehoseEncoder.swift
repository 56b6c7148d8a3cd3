/// A frame that lacks only its sequence number, which is known once it is written to the log.
///
/// The frame is `prefix ‖ CBOR integer ‖ suffix`; it is canonical DAG-CBOR for every number from 0.
package struct PreparedFrame: Sendable, Hashable {
    /// The header and the payload up to and including the key `seq`.
    package let prefix: [UInt8]
    /// The rest of the payload.
    package let suffix: [UInt8]

    package init(prefix: [UInt8], suffix: [UInt8]) {
        self.prefix = prefix
        self.suffix = suffix
    }

    /// The frame's greatest length, in bytes.
    package var sizeBytesMax: Int { prefix.count + 9 + suffix.count }

    /// The whole frame. `seq` is 1…`FirehoseLimit.sequenceMax`.
    package func frame(seq: Int64) -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: sizeBytesMax)
        writer.bytes.append(contentsOf: prefix)
        writer.integer(seq)
        writer.bytes.append(contentsOf: suffix)
        return writer.bytes
    }
}

// The payloads' keys stand in the order of DAG-CBOR: by length, then by bytes.

extension FirehoseEvent {
    /// The frame without its sequence number. Linear in its size; limits are the caller's to keep.
    package func prepared() -> PreparedFrame {
        switch self {
        case .commit(let commit): commit.prepared()
        case .sync(let sync): sync.prepared()
        case .identity(let identity): identity.prepared()
        case .account(let account): account.prepared()
        }
    }
}

extension FirehoseCommit {
    fileprivate func prepared() -> PreparedFrame {
        var head = CBORWriter(reservingCapacity: 64 + operations.count * 192)
        head.frameHeader(FirehoseType.commit)
        head.map(count: previousData == nil ? 11 : 12)
        head.text("ops")
        head.array(count: operations.count)
        for operation in operations { head.operation(operation) }
        head.text("rev")
        head.text(rev.string)
        head.text("seq")

        var tail = CBORWriter(reservingCapacity: 384 + blobs.count * 41 + blocks.count)
        tail.text("repo")
        tail.text(repository.string)
        tail.text("time")
        tail.text(time.string)
        tail.text("blobs")
        tail.array(count: blobs.count)
        for blob in blobs { tail.link(blob) }
        tail.text("since")
        if let since { tail.text(since.string) } else { tail.null() }
        tail.text("blocks")
        tail.byteString(blocks)
        tail.text("commit")
        tail.link(commit)
        tail.text("rebase")
        tail.boolean(false)
        tail.text("tooBig")
        tail.boolean(false)
        if let previousData {
            tail.text("prevData")
            tail.link(previousData)
        }
        return PreparedFrame(prefix: head.bytes, suffix: tail.bytes)
    }
}

extension FirehoseSync {
    fileprivate func prepared() -> PreparedFrame {
        var head = CBORWriter(reservingCapacity: 128)
        head.frameHeader(FirehoseType.sync)
        head.map(count: 5)
        head.text("did")
        head.text(did.string)
        head.text("rev")
        head.text(rev.string)
        head.text("seq")

        var tail = CBORWriter(reservingCapacity: 64 + blocks.count)
        tail.text("time")
        tail.text(time.string)
        tail.text("blocks")
        tail.byteString(blocks)
        return PreparedFrame(prefix: head.bytes, suffix: tail.bytes)
    }
}

extension FirehoseIdentity {
    fileprivate func prepared() -> PreparedFrame {
        var head = CBORWriter(reservingCapacity: 128)
        head.frameHeader(FirehoseType.identity)
        head.map(count: handle == nil ? 3 : 4)
        head.text("did")
        head.text(did.string)
        head.text("seq")

        var tail = CBORWriter(reservingCapacity: 128)
        tail.text("time")
        tail.text(time.string)
        if let handle {
            tail.text("handle")
            tail.text(handle.string)
        }
        return PreparedFrame(prefix: head.bytes, suffix: tail.bytes)
    }
}

extension FirehoseAccount {
    fileprivate func prepared() -> PreparedFrame {
        var head = CBORWriter(reservingCapacity: 128)
        head.frameHeader(FirehoseType.account)
        head.map(count: status == nil ? 4 : 5)
        head.text("did")
        head.text(did.string)
        head.text("seq")

        var tail = CBORWriter(reservingCapacity: 128)
        tail.text("time")
        tail.text(time.string)
        tail.text("active")
        tail.boolean(isActive)
        if let status {
            tail.text("status")
            tail.text(status.name)
        }
        return PreparedFrame(prefix: head.bytes, suffix: tail.bytes)
    }
}

extension FirehoseInfo {
    /// The whole frame; it carries no sequence number.
    package func frame() -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: 128)
        writer.frameHeader(FirehoseType.info)
        writer.map(count: message == nil ? 1 : 2)
        writer.text("name")
        writer.text(name)
        if let message {
            writer.text("message")
            writer.text(message)
        }
        return writer.bytes
    }
}

extension FirehoseFailure {
    /// The whole frame, after which the server closes the connection.
    package func frame() -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: 128)
        writer.map(count: 1)
        writer.text("op")
        writer.integer(-1)
        writer.map(count: message == nil ? 1 : 2)
        writer.text("error")
        writer.text(error)
        if let message {
            writer.text("message")
            writer.text(message)
        }
        return writer.bytes
    }
}

extension CBORWriter {
    fileprivate mutating func frameHeader(_ type: String) {
        map(count: 2)
        text("t")
        text(type)
        text("op")
        integer(1)
    }

    fileprivate mutating func operation(_ operation: FirehoseOperation) {
        let previous = operation.previous
        map(count: previous == nil ? 3 : 4)
        text("cid")
        link(operation.cid)
        text("path")
        path(operation.path)
        if let previous {
            text("prev")
            link(previous)
        }
        text("action")
        text(operation.actionName)
    }

    /// As `text(path.string)`, without making that string.
    private mutating func path(_ path: RepositoryPath) {
        let collection = path.collection.string.utf8
        let key = path.key.string.utf8
        head(.text, UInt64(collection.count + 1 + key.count))
        bytes.append(contentsOf: collection)
        bytes.append(UInt8(ascii: "/"))
        bytes.append(contentsOf: key)
    }
}
