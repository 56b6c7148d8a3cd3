package import ATProtocol
package import Base
package import Storage

/// A did:plc directory of one's own, in the instance's database.
///
/// It takes operations of anybody, also of identities whose accounts live elsewhere: what counts is the signature.
///
/// - Spec: https://web.plc.directory/spec/v0.1/did-plc
package struct EmbeddedDirectory: Sendable {
    private let database: any Database
    private let clock: any WallClock

    /// Lines of one answer to `/export`.
    package static let exportCountMax = 1_000
    package static let exportCountDefault = 10

    package init(database: any Database, clock: any WallClock) {
        self.database = database
        self.clock = clock
    }

    /// The log of `did`; without operations when it isn't registered here.
    package func log(of did: DID) async throws -> PLCLog {
        try await database.read { try PLCStore.log(of: did, in: $0) }
    }

    /// Takes an operation in the caller's transaction.
    ///
    /// - Returns: the log with it.
    /// - Throws: `PLCError`; storage errors. Nothing was changed then.
    @discardableResult
    static func submit(
        _ operation: PLCOperation, for did: DID, now: Timestamp, in scope: any WriteScope
    ) throws -> PLCLog {
        try PLCSubmission.check(operation)
        var log = try PLCStore.log(of: did, in: scope)
        var moment = log.receiptTime(now: now)
        if let newest = try PLCStore.newest(in: scope), newest >= moment {
            moment = newest.advanced(by: .milliseconds(1))
        }
        let undone = try log.apply(operation, at: moment)
        try PLCStore.append(log, undone: undone, in: scope)
        return log
    }

    /// From where an export goes on.
    package enum Cursor: Sendable, Hashable {
        case time(Timestamp?)
        case seq(Int64)
    }

    /// Operations of all identities after `cursor`, at most `count`, one JSON value each.
    package func export(after cursor: Cursor, count: Int) async throws -> [DataValue] {
        let limit = min(max(1, count), Self.exportCountMax)
        switch cursor {
        case .time(let time):
            return try await database.read { try PLCStore.export(after: time, limit: limit, in: $0) }
                .map { $0.entry.auditValue(did: $0.did) }
        case .seq(let seq):
            return try await database.read { try PLCStore.export(afterSeq: seq, limit: limit, in: $0) }
                .map { $0.entry.sequencedValue(did: $0.did, seq: $0.seq) }
        }
    }
}
