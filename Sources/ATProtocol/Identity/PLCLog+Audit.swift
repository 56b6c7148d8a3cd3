import Base

// The forms in which a directory shows its logs (https://web.plc.directory/api/redoc), and how to check those of others.

extension PLCLog {
    /// `/:did/data`: what the identity says. Nil when it is not registered or was ended.
    package var dataValue: DataValue? {
        guard let state else { return nil }
        return [
            "did": .string(did.string),
            "verificationMethods": .map(state.verificationMethodMap),
            "rotationKeys": .array(state.rotationKeys.map { .string($0) }),
            "alsoKnownAs": .array(state.alsoKnownAs.map { .string($0) }),
            "services": .map(state.serviceMap),
        ]
    }

    /// `/:did`: the DID document. Nil when the identity is not registered or was ended.
    package var document: DIDDocument? {
        state.map { DIDDocument(did: did, state: $0) }
    }

    /// `/:did/log`: the operations in force.
    package var logValue: DataValue { .array(active.map(\.value)) }

    /// `/:did/log/audit`: all operations, also those undone.
    package var auditValue: DataValue { .array(entries.map { $0.auditValue(did: did) }) }

    /// Checks an audit log from another directory, operation by operation.
    ///
    /// - Throws: what is wrong with the first operation that does not hold, or with the flags.
    package init(verifyingAudit audit: DataValue, of did: DID) throws(PLCError) {
        guard case .array(let list) = audit else { throw .malformed("not a list") }
        guard !list.isEmpty, list.count <= Self.entryCountMax else { throw .badLength(list.count) }
        self.init(did: did)
        var claims: [Bool] = []
        for value in list {
            guard value["did"]?.stringValue == did.string else { throw .malformed("did") }
            guard let operation = value["operation"] else { throw .malformed("operation") }
            guard let cid = value["cid"]?.stringValue else { throw .malformed("cid") }
            guard let isNullified = value["nullified"]?.booleanValue else { throw .malformed("nullified") }
            guard let time = value["createdAt"]?.stringValue, let receivedAt = try? Datetime(parsing: time) else {
                throw .malformed("createdAt")
            }
            let parsed = try PLCOperation(operation)
            guard parsed.cid.string == cid else { throw .cidMismatch(claimed: cid) }
            try apply(parsed, at: receivedAt.timestamp)
            claims.append(isNullified)
        }
        for (entry, claim) in zip(entries, claims) where entry.isNullified != claim {
            throw .nullifiedMismatch(entry.operation.cid)
        }
    }

    /// Checks a plain log from another directory: each operation must follow the one before. Times are not known, so
    /// the log's are meaningless.
    ///
    /// - Throws: what is wrong with the first operation that does not hold.
    package init(verifyingLog log: DataValue, of did: DID) throws(PLCError) {
        guard case .array(let list) = log else { throw .malformed("not a list") }
        guard !list.isEmpty, list.count <= Self.entryCountMax else { throw .badLength(list.count) }
        self.init(did: did)
        for (index, value) in list.enumerated() {
            let operation = try PLCOperation(value)
            guard try apply(operation, at: Timestamp(seconds: Int64(index))).isEmpty else { throw .prevNullified }
        }
    }
}

extension PLCLog.Entry {
    /// An entry of the audit log, and a line of `/export` by time.
    package func auditValue(did: DID) -> DataValue {
        [
            "did": .string(did.string),
            "operation": operation.value,
            "cid": .string(operation.cid.string),
            "nullified": .boolean(isNullified),
            "createdAt": .string(Datetime(receivedAt).string),
        ]
    }

    /// A line of `/export` by sequence number, and a message of `/export/stream`.
    package func sequencedValue(did: DID, seq: Int64) -> DataValue {
        [
            "type": "sequenced_op",
            "seq": .integer(seq),
            "did": .string(did.string),
            "operation": operation.value,
            "cid": .string(operation.cid.string),
            "createdAt": .string(Datetime(receivedAt).string),
        ]
    }
}
