import Base
import Foundation
package import Hosting
package import Storage

/// Where backups are, as operators write it: a folder, or `s3://bucket/prefix?endpoint=…&region=…`.
package struct BackupSource: Sendable {
    /// As it was written.
    package let text: String
    private let credentials: S3Credentials?

    /// Pages of a list: some millions of pieces.
    private static let listPagesMax = 14_000

    /// - Parameter credentials: for a bucket; `Configuration.backupCredentials`.
    package init(_ text: String, credentials: S3Credentials? = nil) {
        self.text = text
        self.credentials = credentials
    }

    private var isBucket: Bool { text.hasPrefix("s3:") }

    /// The same wherever it is read: a folder by its absolute path.
    package var absolute: String { isBucket ? text : URL(fileURLWithPath: text).standardizedFileURL.path }

    /// Whether it says the same to every process of this machine.
    var isAbsolute: Bool { isBucket || text.hasPrefix("/") && text.count > 1 }

    /// Runs `body` with the place, and lets go of it whatever happens.
    /// - Throws: `BackupError.place` for a location that can't be; what `body` throws.
    package func open<Result: Sendable>(
        _ body: (BackupPlace) async throws -> Result
    ) async throws -> Result {
        guard isBucket else { return try await body(.folder(text)) }
        let store = try store()
        let place = BackupPlace.bucket(store, clock: SystemClock(), randomness: SystemRandomness())
        // A task of its own: that of a command which was broken off can't ask the bucket any more.
        let end: @Sendable () async -> Void = {
            await Task {
                await place.close()
                await store.close()
            }.value
        }
        do {
            let result = try await body(place)
            await end()
            return result
        } catch {
            await end()
            throw error
        }
    }

    private func store() throws -> S3ObjectStore {
        let location: S3Location
        do throws(S3Location.Mistake) {
            location = try S3Location(parsing: text)
        } catch {
            throw BackupError.place("the place of backups is not \(error.expected)")
        }
        guard let credentials else {
            throw BackupError.place("a bucket needs keys: KITH_BACKUP_ACCESS_KEY and KITH_BACKUP_SECRET_KEY")
        }
        var limits = S3Limits()
        limits.pagesMax = Self.listPagesMax
        return S3ObjectStore(
            location, credentials: credentials,
            transport: try BucketTransport(location, userAgent: "kith/\(KithVersion.number)", limits: limits),
            limits: limits, clock: SystemClock(), randomness: SystemRandomness())
    }
}
