import ATProtocol
package import Base
package import Contracts
import Crypto
package import Storage

/// Lays a backup down in an empty database and an empty blob store.
package struct BackupRestoration: Sendable {
    private let reader: BackupReader
    private let manifest: BackupManifest
    private let key: RecoveryKey
    private let progress: @Sendable (BackupProgress) -> Void

    /// Blobs asked for at once.
    private static let pageCount = 200

    /// - Parameter progress: called often.
    package init(
        _ reader: BackupReader, _ manifest: BackupManifest, _ key: RecoveryKey,
        progress: @escaping @Sendable (BackupProgress) -> Void
    ) {
        self.reader = reader
        self.manifest = manifest
        self.key = key
        self.progress = progress
    }

    /// Makes sure that there is no table in a database, changing nothing.
    ///
    /// - Throws: `.notEmpty` with the first table, whoever's it is; storage errors.
    package static func confirmEmpty(_ database: any Database) async throws {
        let dialect = database.dialect
        let first: String?
        do {
            first = try await database.read { try TableCatalog.tables(in: $0, dialect).first?.name }
        } catch TransferError.unsuitable(let table, _) {
            first = table
        }
        if let first { throw BackupError.notEmpty("the database (it has the table \(first))") }
    }

    /// Fills an empty database, making the schema the backup was made with, and compares every table with what was saved.
    ///
    /// - Parameter migrations: those of all rooms of this program.
    /// - Throws: `.notEmpty`, `.newer`, `.damaged`, `.mismatch`; storage errors. The database is to be thrown away then.
    package func loadTables(
        into database: any Database, migrations: [Migration], clock: any WallClock
    ) async throws {
        try await Self.confirmEmpty(database)
        do throws(MigrationError) {
            _ = try await Migrator(migrations, clock: clock).limited(to: manifest.steps).migrate(database)
        } catch {
            if case .newer(let room, let number) = error { throw BackupError.newer("step \(number) of \(room)") }
            throw error
        }
        let loader = TransferLoader(database)
        try await loader.prepare()
        do {
            _ = try await loader.load(reader.tables(manifest, key, progress: progress))
        } catch let error as TransferError {
            throw BackupError.damaged(.inconsistent("\(error)"))
        }
        try await compare(database)
    }

    /// Reads back what was laid down.
    private func compare(_ database: any Database) async throws {
        let dialect = database.dialect
        let stream = try await database.stream { scope, sink in
            for table in try TableCatalog.tables(in: scope, dialect) {
                let summary = try TransferWriter.summary(of: table, in: scope)
                try sink.write(Array("\(summary)\n".utf8))
            }
        }
        var bytes: [UInt8] = []
        for try await chunk in stream { bytes += chunk }
        let found = Set(String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { String($0) })
        for table in manifest.tables where !found.contains(table.summary.description) {
            throw BackupError.mismatch(table: table.summary.table)
        }
        guard found.count == manifest.tables.count else { throw BackupError.mismatch(table: "a table too many") }
    }

    /// Puts the bytes of every blob into the store and notes where they lie now.
    ///
    /// - Returns: how many were laid down.
    /// - Throws: `.damaged` for the first that isn't whole, unless it was missing when the backup was made.
    package func loadBlobs(
        into store: any BlobStore, database: any Database, holdings: any BlobHoldings
    ) async throws -> Int {
        var count = 0
        try await forEachBlob(in: database, holdings) { blob in
            let stored = try await store.put(
                reader.blob(blob, key), for: blob.did, sizeBytesMax: max(blob.sizeBytes, 1))
            guard stored.cid.digest == blob.cid.digest, stored.sizeBytes == blob.sizeBytes else {
                throw BackupError.damaged(.blob(blob.cid.string))
            }
            try await database.write { try holdings.relocate(blob, to: stored.location, in: $0) }
            count += 1
        }
        return count
    }

    /// Hashes the bytes of every blob without keeping them.
    ///
    /// - Returns: how many there are, and which aren't whole.
    package func checkBlobs(
        database: any Database, holdings: any BlobHoldings
    ) async throws -> (count: Int, faults: [BackupFault]) {
        var count = 0
        var faults: [BackupFault] = []
        try await forEachBlob(in: database, holdings) { blob in
            count += 1
            do {
                var hash = SHA256()
                for try await chunk in reader.blob(blob, key) {
                    chunk.withUnsafeBytes { hash.update(bufferPointer: $0) }
                }
                if Array(hash.finalize()) != blob.cid.digest { faults.append(.blob(blob.cid.string)) }
            } catch BackupError.damaged(let fault) {
                faults.append(fault)
            }
        }
        return (count, faults)
    }

    private func forEachBlob(
        in database: any Database, _ holdings: any BlobHoldings, _ body: (HeldBlob) async throws -> Void
    ) async throws {
        let missing = Set(manifest.missingBlobs)
        var last: HeldBlob?
        var done: Int64 = 0
        while true {
            let cursor = last
            let page = try await database.read { try holdings.blobs(after: cursor, limit: Self.pageCount, in: $0) }
            for blob in page where !missing.contains(blob.location.string) {
                try Task.checkCancellation()
                try await body(blob)
                done += blob.sizeBytes
                progress(BackupProgress(.blobs, done: done, total: max(done, manifest.blobSizeBytes)))
            }
            guard page.count == Self.pageCount else { return }
            last = page.last
        }
    }

    /// As `settle(_:holdings:since:now:skipping:)`, since the backup was made.
    package func settle(
        _ database: any Database, holdings: any BlobHoldings, now: Timestamp, skipping: Int64?
    ) async throws -> Int64 {
        try await Self.settle(database, holdings: holdings, since: manifest.madeAt, now: now, skipping: skipping)
    }

    /// Makes a database that was brought back one that may be served: no hold is left, and the numbers that may have been
    /// given after `moment` are left out.
    ///
    /// - Parameter skipping: how many numbers to leave out; nil is `EventLog.skipCount`.
    /// - Returns: the newest number that is used up.
    package static func settle(
        _ database: any Database, holdings: any BlobHoldings, since moment: Timestamp, now: Timestamp, skipping: Int64?
    ) async throws -> Int64 {
        let count = skipping ?? EventLog.skipCount(backup: moment, now: now)
        return try await database.write { scope in
            try holdings.releaseAll(in: scope)
            return count > 0 ? try EventLog.skip(count, in: scope) : try EventLog.newest(in: scope)
        }
    }
}
