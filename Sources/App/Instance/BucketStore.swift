import Storage

extension BucketTransport {
    /// Opens the store over a bucket and makes sure that it can be used.
    static func openStore(
        _ location: S3Location, _ configuration: Configuration, _ directory: DataDirectory, _ surroundings: Surroundings
    ) async throws(BlobStoreError) -> S3BlobStore {
        let limits = S3Limits()
        let transport: BucketTransport
        do {
            transport = try BucketTransport(location, userAgent: "kith/\(KithVersion.number)", limits: limits)
        } catch {
            throw .unavailable(reason: String(reflecting: error))
        }
        let credentials = S3Credentials(
            accessKey: configuration.bucket.accessKey ?? "", secretKey: configuration.bucket.secretKey?.value ?? "",
            sessionToken: configuration.bucket.sessionToken?.value)
        let store = S3BlobStore(
            location, credentials: credentials, transport: transport, spoolDirectory: directory.temporary,
            handsOutAddresses: configuration.bucket.redirects, limits: limits, clock: surroundings.clock,
            randomness: surroundings.randomness)
        do throws(BlobStoreError) {
            try await store.check()
        } catch {
            await store.close()
            throw error
        }
        return store
    }
}
