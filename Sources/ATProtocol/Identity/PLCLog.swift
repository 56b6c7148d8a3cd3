package import Base

/// The operations of one did:plc identity in the order a directory received them, with those undone by a recovery.
///
/// A value that was built by `apply` is valid: every operation was signed by a key that could sign at that moment.
///
/// - Spec: https://web.plc.directory/spec/v0.1/did-plc (section "Key Rotation & Account Recovery")
package struct PLCLog: Sendable, Hashable {
    /// An operation and when it was received.
    package struct Entry: Sendable, Hashable {
        package let operation: PLCOperation
        /// In whole milliseconds, as directories show it.
        package let receivedAt: Timestamp
        /// Undone: a stronger key went on from an operation before it.
        package fileprivate(set) var isNullified: Bool

        package init(operation: PLCOperation, receivedAt: Timestamp, isNullified: Bool) {
            self.operation = operation
            self.receivedAt = receivedAt
            self.isNullified = isNullified
        }
    }

    package let did: DID
    /// In order of receipt, which is also the order of time. The last one is never undone.
    package private(set) var entries: [Entry]

    /// How long after an operation a stronger key may undo it.
    package static let recoveryWindow: Duration = .seconds(72 * 3600)
    /// Most operations of one identity.
    package static let entryCountMax = 5_000

    /// A log without operations: the DID is not registered.
    package init(did: DID) {
        self.did = did
        entries = []
    }

    /// A log that was validated before, e.g. from one's own database. Nothing is checked.
    package init(did: DID, trusted entries: [Entry]) {
        self.did = did
        self.entries = entries
    }

    /// The operation in force, nil for an empty log.
    package var head: Entry? { entries.last }

    /// The operations in force, the first to the latest.
    package var active: [PLCOperation] { entries.filter { !$0.isNullified }.map(\.operation) }

    /// What the identity says, nil when it is not registered or was ended.
    package var state: PLCState? { head?.operation.state }

    /// Whether the identity was ended.
    package var isTombstoned: Bool { head.map { $0.operation.state == nil } ?? false }

    /// The moment to receive the next operation at: `now` in whole milliseconds, but after the latest operation even
    /// when the clock stepped back, since the order of the times is part of what others verify.
    package func receiptTime(now: Timestamp) -> Timestamp {
        guard let head else { return now.wholeMilliseconds }
        return max(now.wholeMilliseconds, head.receivedAt.advanced(by: .milliseconds(1)))
    }

    /// Receives an operation.
    ///
    /// - Parameter moment: cut to whole milliseconds; must be after the latest operation (see `receiptTime`).
    /// - Returns: the CIDs of the operations this one undoes, in order; the log shows them so from now on.
    /// - Throws: why the operation is refused; the log is then as before.
    /// - Complexity: linear in the log; one signature check for each rotation key, twice that for a recovery.
    @discardableResult
    package mutating func apply(_ operation: PLCOperation, at moment: Timestamp) throws(PLCError) -> [CID] {
        guard operation.bytes.count <= PLCOperation.sizeBytesMax else {
            throw .tooLarge(sizeBytes: operation.bytes.count)
        }
        guard entries.count < Self.entryCountMax else { throw .badLength(entries.count + 1) }
        let receivedAt = moment.wholeMilliseconds
        let undone = try positionsUndone(by: operation, at: receivedAt)
        for index in undone { entries[index].isNullified = true }
        entries.append(Entry(operation: operation, receivedAt: receivedAt, isNullified: false))
        return undone.map { entries[$0].operation.cid }
    }

    /// Judges an operation; returns the positions of those it undoes.
    private func positionsUndone(by operation: PLCOperation, at moment: Timestamp) throws(PLCError) -> [Int] {
        guard let head else {
            try validateGenesis(operation)
            return []
        }
        return try validate(operation, at: moment, after: head)
    }

    private func validateGenesis(_ operation: PLCOperation) throws(PLCError) {
        guard operation.prev == nil, let state = operation.state else { throw .notGenesis }
        guard try operation.signerIndex(among: state.rotationKeys) != nil else { throw .badSignature }
        guard operation.genesisDID == did else { throw .wrongDID(expected: operation.genesisDID) }
    }

    private func validate(
        _ operation: PLCOperation, at moment: Timestamp, after head: Entry
    ) throws(PLCError) -> [Int] {
        guard let prev = operation.prev else { throw .genesisExists }
        guard !entries.contains(where: { $0.operation.cid == operation.cid }) else { throw .duplicate }
        guard let position = entries.firstIndex(where: { $0.operation.cid == prev }) else { throw .prevUnknown }
        guard !entries[position].isNullified else { throw .prevNullified }
        guard let keys = entries[position].operation.state?.rotationKeys else { throw .tombstoned }
        let undone = entries.indices.filter { $0 > position && !entries[$0].isNullified }

        let signer = try operation.signerIndex(among: keys)
        guard let signer else { throw .badSignature }
        if let first = undone.first {
            // Keys are named by their first position: one listed twice is no stronger than itself.
            guard let disputed = try entries[first].operation.signerIndex(among: keys), signer < disputed else {
                throw .weakerKey
            }
            let elapsed = moment.since(entries[first].receivedAt)
            guard elapsed <= Self.recoveryWindow else { throw .lateRecovery(elapsed: elapsed) }
        }
        guard moment > head.receivedAt else { throw .timeNotIncreasing }
        return undone
    }
}

extension Timestamp {
    /// Cut to whole milliseconds, towards the past.
    fileprivate var wholeMilliseconds: Timestamp {
        let rest = microseconds % 1000
        return advanced(by: .microseconds(rest < 0 ? -(rest + 1000) : -rest))
    }
}
