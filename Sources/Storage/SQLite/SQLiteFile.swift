import Base
import Foundation
import GRDB
import GRDBSQLite

/// Opens connections to one SQLite file.
struct SQLiteFile: Sendable {
    static let pageSizeBytes = 4096

    let path: String
    let options: SQLiteOptions

    /// Opens the writing connection, creating the file (mode 0600) if it isn't there.
    func openWriter() throws(StorageError) -> DatabaseQueue {
        try createFile()
        let cacheKiB = options.writerCacheBytes / 1024
        let pages = options.sizeBytesMax.map { max(1, $0 / Int64(Self.pageSizeBytes)) }
        return try open(isReadOnly: false) { db in
            try db.execute(sql: "PRAGMA page_size = \(Self.pageSizeBytes)")
            guard try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL") == "wal" else {
                throw DatabaseError(resultCode: .SQLITE_CANTOPEN, message: "this file system can't keep a shared log")
            }
            // FULL: the log is flushed once by every commit. The committer alone decides when it is checkpointed.
            try db.execute(sql: "PRAGMA synchronous = FULL")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try db.execute(sql: "PRAGMA journal_size_limit = \(2 * options.checkpointSizeBytes)")
            // FAST: what was deleted is overwritten where that costs no further page.
            try db.execute(sql: "PRAGMA secure_delete = FAST")
            try db.execute(sql: "PRAGMA cache_size = -\(cacheKiB)")
            if let pages { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
    }

    /// Opens a second connection that can write, for checkpoints.
    func openCheckpointer() throws(StorageError) -> DatabaseQueue {
        try open(isReadOnly: false) { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try db.execute(sql: "PRAGMA cache_size = -64")
        }
    }

    /// Opens a connection that can only read.
    func openReader() throws(StorageError) -> DatabaseQueue {
        let cacheKiB = options.readerCacheBytes / 1024
        return try open(isReadOnly: true) { db in
            try db.execute(sql: "PRAGMA cache_size = -\(cacheKiB)")
        }
    }

    /// Opens a reading connection and hands it to `loop` on the calling thread; closes it afterwards.
    func withReader(_ loop: (SQLiteConnection) -> Void) throws {
        let queue = try openReader()
        try queue.inDatabase { db in
            guard let handle = db.sqliteConnection else { throw StorageError.closed }
            let connection = SQLiteConnection(handle: handle)
            defer { connection.finalizeStatements() }
            loop(connection)
        }
        try? queue.close()
    }

    private func open(
        isReadOnly: Bool, _ prepare: @escaping @Sendable (GRDB.Database) throws -> Void
    ) throws(StorageError) -> DatabaseQueue {
        var configuration = Configuration()
        configuration.readonly = isReadOnly
        configuration.foreignKeysEnabled = true
        configuration.allowsUnsafeTransactions = true
        configuration.busyMode = .timeout(options.busyTimeout.inSeconds)
        configuration.label = "kith"
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA trusted_schema = OFF")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            // Mapped pages would turn an I/O error into a crash of the process.
            try db.execute(sql: "PRAGMA mmap_size = 0")
            try prepare(db)
        }
        do {
            return try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as DatabaseError {
            throw StorageError(
                sqlite: error.extendedResultCode.rawValue, message: "\(path): \(error.message ?? "can't be opened")")
        } catch {
            throw .unavailable(detail: "\(path): \(error)")
        }
    }

    /// Whether the file can't be opened for want of rights, or because its path can't be one. A folder that is missing may
    /// be mounted yet.
    static func isLasting(_ error: StorageError) -> Bool {
        guard case .unavailable(let detail) = error else { return false }
        return [EACCES, EPERM, EROFS, ENOTDIR, EISDIR].contains {
            detail.hasSuffix(": " + String(cString: strerror($0)))
        }
    }

    /// Creates an empty file readable by its owner alone; SQLite gives the log the same mode.
    private func createFile() throws(StorageError) {
        let descriptor = Glibc.open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw .unavailable(detail: "\(path): \(String(cString: strerror(errno)))")
        }
        Glibc.close(descriptor)
        let directory = Glibc.open(URL(fileURLWithPath: path).deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
        guard directory >= 0 else { return }
        fsync(directory)
        Glibc.close(directory)
    }
}
