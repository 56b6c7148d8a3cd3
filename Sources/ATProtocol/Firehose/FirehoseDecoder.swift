extension FirehoseCommit {
    /// Reads the payload of a `#commit`.
    init(payload: DataMap) throws(FirehoseError) {
        // A commit that is too big is one whose blocks are missing: servers must not make any since sync 1.1.
        guard payload["tooBig"] == .boolean(false) else { throw .badField("tooBig") }
        guard case .array(let list)? = payload["ops"] else { throw .badField("ops") }
        guard list.count <= FirehoseLimit.operationCountMax else { throw .tooLarge("ops") }
        var operations: [FirehoseOperation] = []
        operations.reserveCapacity(list.count)
        for value in list { operations.append(try FirehoseOperation(value)) }
        self.init(
            repository: try payload.parsed("repo"),
            commit: try payload.link("commit"),
            rev: try payload.parsed("rev"),
            since: try payload.optionalParsed("since"),
            previousData: try payload.optionalLink("prevData"),
            blocks: try payload.bytes("blocks", sizeBytesMax: FirehoseLimit.commitBlocksSizeBytesMax),
            operations: operations,
            blobs: try payload.links("blobs"),
            time: try payload.parsed("time"))
    }
}

extension FirehoseOperation {
    fileprivate init(_ value: DataValue) throws(FirehoseError) {
        guard case .map(let fields) = value else { throw .badField("ops") }
        let cid = try fields.optionalLink("cid")
        let previous = try fields.optionalLink("prev")
        let action: Action
        switch (fields["action"]?.stringValue, cid) {
        case ("create", let cid?):
            guard previous == nil else { throw .badField("prev") }
            action = .create(cid)
        case ("update", let cid?): action = .update(cid, previous: previous)
        case ("delete", nil): action = .delete(previous: previous)
        case ("create", nil), ("update", nil), ("delete", _): throw .badField("cid")
        default: throw .badField("action")
        }
        self.init(path: try fields.parsed("path"), action: action)
    }
}

extension FirehoseSync {
    /// Reads the payload of a `#sync`.
    init(payload: DataMap) throws(FirehoseError) {
        self.init(
            did: try payload.parsed("did"),
            rev: try payload.parsed("rev"),
            blocks: try payload.bytes("blocks", sizeBytesMax: FirehoseLimit.syncBlocksSizeBytesMax),
            time: try payload.parsed("time"))
    }
}

extension FirehoseIdentity {
    /// Reads the payload of an `#identity`.
    init(payload: DataMap) throws(FirehoseError) {
        self.init(
            did: try payload.parsed("did"),
            handle: try payload.optionalParsed("handle"),
            time: try payload.parsed("time"))
    }
}

extension FirehoseAccount {
    /// Reads the payload of an `#account`.
    init(payload: DataMap) throws(FirehoseError) {
        guard case .boolean(let isActive)? = payload["active"] else { throw .badField("active") }
        let status = try payload.optionalString("status").map(Status.init)
        let standing: Standing
        switch (isActive, status) {
        case (true, nil): standing = .active
        case (true, let status?): standing = .activeWith(status)
        case (false, let status): standing = .inactive(status)
        }
        self.init(did: try payload.parsed("did"), standing: standing, time: try payload.parsed("time"))
    }
}

extension FirehoseInfo {
    /// Reads the payload of an `#info`.
    init(payload: DataMap) throws(FirehoseError) {
        guard case .string(let name)? = payload["name"] else { throw .badField("name") }
        self.init(name: name, message: try payload.optionalString("message"))
    }
}

extension FirehoseFailure {
    /// Reads the payload of an error frame.
    init(payload: DataMap) throws(FirehoseError) {
        guard case .string(let error)? = payload["error"] else { throw .badField("error") }
        self.init(error: error, message: try payload.optionalString("message"))
    }
}

// MARK: - Fields

extension DataMap {
    /// `seq`: positive and exact in a double.
    func firehoseSequence() throws(FirehoseError) -> Int64 {
        guard case .integer(let seq)? = self["seq"], seq > 0, seq <= FirehoseLimit.sequenceMax else {
            throw .badField("seq")
        }
        return seq
    }

    /// The field, or nil when it is missing or null: servers differ in how they leave a field out.
    private func present(_ key: String) -> DataValue? {
        guard let value = self[key], value != .null else { return nil }
        return value
    }

    fileprivate func optionalString(_ key: String) throws(FirehoseError) -> String? {
        guard let value = present(key) else { return nil }
        guard case .string(let text) = value else { throw .badField(key) }
        return text
    }

    fileprivate func optionalParsed<Value: StringSyntax>(_ key: String) throws(FirehoseError) -> Value? {
        guard let text = try optionalString(key) else { return nil }
        guard let value = try? Value(parsing: text) else { throw .badField(key) }
        return value
    }

    fileprivate func parsed<Value: StringSyntax>(_ key: String) throws(FirehoseError) -> Value {
        guard let value: Value = try optionalParsed(key) else { throw .badField(key) }
        return value
    }

    fileprivate func optionalLink(_ key: String) throws(FirehoseError) -> CID? {
        guard let value = present(key) else { return nil }
        guard case .link(let cid) = value else { throw .badField(key) }
        return cid
    }

    fileprivate func link(_ key: String) throws(FirehoseError) -> CID {
        guard let cid = try optionalLink(key) else { throw .badField(key) }
        return cid
    }

    fileprivate func links(_ key: String) throws(FirehoseError) -> [CID] {
        guard let value = present(key) else { return [] }
        guard case .array(let elements) = value else { throw .badField(key) }
        var links: [CID] = []
        links.reserveCapacity(elements.count)
        for element in elements {
            guard case .link(let cid) = element else { throw .badField(key) }
            links.append(cid)
        }
        return links
    }

    fileprivate func bytes(_ key: String, sizeBytesMax: Int) throws(FirehoseError) -> [UInt8] {
        guard case .bytes(let bytes)? = self[key] else { throw .badField(key) }
        guard bytes.count <= sizeBytesMax else { throw .tooLarge(key) }
        return bytes
    }
}
