package import ATProtocol
import Base
import Foundation
import Publishing

/// Checks an archive from untrusted bytes: every block's hash, the commit, the tree's shape, the records, the signature.
package struct ArchiveCheck: Sendable {
    private let spool: ArchiveSpool
    private let report: ProgressReport

    /// Bytes read of a file at once.
    private static let pieceByteCount = 1 << 20
    /// How often progress is told, in records.
    private static let stride = 500

    /// - Throws: when no file for the blocks can be made.
    package init(report: @escaping ProgressReport) throws {
        spool = try ArchiveSpool(directory: FileManager.default.temporaryDirectory.path)
        self.report = report
    }

    /// Removes what it keeps.
    package func remove() { spool.remove() }

    /// Takes the next piece of the archive; every block is hashed on the way.
    func append(_ piece: [UInt8]) throws { try spool.append(piece) }

    /// Takes a whole file.
    ///
    /// - Throws: `AdministrationError.file`; `RepositoryError` for the first fault.
    package func read(file path: String) throws {
        let (file, size) = try InputFile.open(path)
        var done = 0
        while true {
            let data = try InputFile.read(file, upToCount: Self.pieceByteCount, path: path)
            guard !data.isEmpty else { return }
            try append([UInt8](data))
            done += data.count
            report(WorkProgress("reading", done: done, total: size, unit: .bytes))
        }
    }

    /// Whose repository it says it is, for finding the key.
    package func owner() throws -> DID {
        let root = try spool.finish()
        return try RepositoryVerification(source: spool).commit(root, did: nil, key: nil).did
    }

    /// Checks everything.
    ///
    /// - Parameters:
    ///   - did: whose it must be; nil accepts any.
    ///   - key: what must have signed it; nil leaves the signature open.
    /// - Throws: `RepositoryError` for the first fault.
    package func verify(did: DID?, key: PublicKey?) throws -> ArchiveVerdict {
        let root = try spool.finish()
        let verification = RepositoryVerification(source: spool)
        let commit = try verification.commit(root, did: did, key: key)
        var (nodeCount, recordCount) = (0, 0)
        try verification.tree(root: commit.data) { _ in
            nodeCount += 1
        } records: { path, _, bytes in
            _ = try verifyRecord(bytes, path: path)
            recordCount += 1
            if recordCount % Self.stride == 0 {
                report(WorkProgress("checking", done: recordCount, unit: .items("records")))
            }
        }
        return ArchiveVerdict(
            did: commit.did, commit: root, version: commit.version, rev: commit.rev, data: commit.data,
            nodeCount: nodeCount, recordCount: recordCount, key: key)
    }
}

/// What was verified of an archive that is sound.
package struct ArchiveVerdict: Sendable, Hashable {
    package let did: DID
    package let commit: CID
    package let version: Int64
    package let rev: TID?
    package let data: CID
    package let nodeCount: Int
    package let recordCount: Int
    /// The key under which the signature verified; nil when it was left open.
    package let key: PublicKey?

    /// What a command prints.
    package var output: CommandOutput {
        var value: DataMap = [
            "did": .string(did.string), "cid": .string(commit.string), "version": .integer(version),
            "data": .string(data.string), "nodes": .integer(Int64(nodeCount)),
            "records": .integer(Int64(recordCount)), "signature": .string(key == nil ? "not checked" : "valid"),
        ]
        value["rev"] = rev.map { .string($0.string) }
        value["key"] = key.map { .string($0.didKey) }
        let rows = [
            ["repository", did.string],
            ["commit", "\(commit)" + (rev.map { " at \($0)" } ?? "") + ", version \(version)"],
            ["signature", key.map { "valid, by \($0.didKey)" } ?? "not checked: no key is known, see --key"],
            ["tree", "canonical, \(nodeCount) \(nodeCount == 1 ? "node" : "nodes") under \(data)"],
            ["records", "\(recordCount), each a canonical map whose hash is right"],
        ]
        return CommandOutput(.map(value), text: TextTable(nil, rows).text)
    }
}
