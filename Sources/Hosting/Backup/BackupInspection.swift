import Base
import Crypto

/// Looks for anything in a folder that isn't as it was written.
package struct BackupInspection: Sendable {
    /// What was found.
    package struct Report: Sendable, Hashable {
        /// Pieces looked at, and their bytes.
        package var pieceCount = 0
        package var sizeBytes: Int64 = 0
        /// Everything wrong, in the order in which it was found; at most `faultsMax`.
        package var faults: [BackupFault] = []
    }

    /// Faults that are told one by one.
    package static let faultsMax = 1000

    private let reader: BackupReader

    package init(_ reader: BackupReader) {
        self.reader = reader
    }

    /// Checks every file of the folder: presence, size and outer hash, and that there is no other file. With the key also
    /// every seal, every manifest, and that each piece is one that some manifest or blob can name.
    ///
    /// - Parameters:
    ///   - newest: the number that the newest backup has to have, as `create` told it.
    ///   - progress: called often.
    package func run(
        key: RecoveryKey?, newest: Int? = nil, progress: @escaping @Sendable (BackupProgress) -> Void
    ) async throws -> Report {
        var report = Report(faults: reader.faults)
        if let newest, let last = reader.files.last?.number, last != newest {
            report.faults.append(.rolledBack(expected: newest, found: last))
        }
        if let fingerprint = reader.files.last?.keyFingerprint {
            report.faults += try await reader.place.checkHeader(fingerprint)
        }
        let loose = try await reader.place.looseFiles()
        let strangers = try await reader.place.strangers(Set(reader.pieces.keys.map(\.path)))
        report.faults += (loose + strangers.map(\.path)).map { .additional($0) }
        if let key {
            report.faults += try await checkMark(key)
            for file in reader.files {
                do {
                    _ = try await reader.manifest(file.number, key)
                } catch {
                    guard case .damaged(let fault) = error else { throw error }
                    report.faults.append(fault)
                }
            }
        }
        try await checkPieces(key, &report, progress)
        return report
    }

    /// Whether it was somebody with the key who removed backups.
    private func checkMark(_ key: RecoveryKey) async throws -> [BackupFault] {
        guard let mark = reader.chain.mark else { return [] }
        let bytes = try await reader.place.read(BackupNames.pruned, sizeBytesMax: BackupNames.headerSizeBytesMax)
        return bytes == mark.encoded(key.sealing) ? [] : [.unsealable(BackupNames.pruned)]
    }

    private func checkPieces(
        _ key: RecoveryKey?, _ report: inout Report, _ progress: @Sendable (BackupProgress) -> Void
    ) async throws {
        let total = reader.pieces.values.reduce(0) { $0 + $1.sizeBytes }
        for (name, piece) in reader.pieces.sorted(by: { $0.key < $1.key }) {
            try Task.checkCancellation()
            guard report.faults.count < Self.faultsMax else { return }
            do {
                let sealed = try await reader.sealed(name)
                if let key { _ = try PieceSeal.open(sealed, for: name.bytes, with: key, path: name.path) }
            } catch {
                guard case .damaged(let fault) = error else { throw error }
                report.faults.append(fault)
            }
            report.pieceCount += 1
            report.sizeBytes += piece.sizeBytes
            progress(BackupProgress(.pieces, done: report.sizeBytes, total: total))
        }
    }
}
