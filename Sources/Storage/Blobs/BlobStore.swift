package import ATProtocol
package import Base

/// Keeps the bytes of blobs; which of them are referenced, temporary or permanent is the room's knowledge, in SQL.
///
/// `put` gives every upload a place of its own and returns once it is on disk; the room then writes its row. Turning
/// temporary into permanent moves nothing. A crash leaves at worst bytes without a row, which `list` finds.
package protocol BlobStore: Sendable {
    /// Stores the bytes of `chunks`, hashing them on the way.
    /// - Parameter sizeBytesMax: the most bytes to be taken; one more ends with `.tooLarge`.
    /// - Throws: `BlobStoreError`; what `chunks` throws. Nothing is left behind then.
    func put<Chunks: AsyncSequence & Sendable>(
        _ chunks: Chunks, for did: DID, sizeBytesMax: Int64
    ) async throws -> StoredBlob where Chunks.Element == [UInt8]

    /// Opens the blob at `location` for reading.
    /// - Parameter range: the bytes wanted; nil is all. Clamped to the blob.
    /// - Throws: `.notFound`, also while it is in quarantine.
    func read(_ location: BlobLocation, range: Range<Int64>?) async throws(BlobStoreError) -> BlobContents

    /// Removes the bytes, in quarantine too. Removing what isn't there succeeds.
    func delete(_ location: BlobLocation) async throws(BlobStoreError)

    /// Removes all bytes of an account, in quarantine too. Can be repeated.
    func deleteAll(of did: DID) async throws(BlobStoreError)

    /// Puts the blob out of reach of `read`, keeping its bytes. Can be repeated.
    func quarantine(_ location: BlobLocation) async throws(BlobStoreError)

    /// Takes the blob out of quarantine. Can be repeated.
    func release(_ location: BlobLocation) async throws(BlobStoreError)

    /// Stored blobs in the order of their locations, those in quarantine not included, for comparing with the rows.
    /// - Parameter after: the last location of the page before; nil starts.
    func list(after: BlobLocation?, limit: Int) async throws(BlobStoreError) -> [ListedBlob]

    /// Removes what is left of uploads that began before `moment` and never ended.
    /// - Returns: the number of uploads removed.
    func removeAbandoned(before moment: Timestamp) async throws(BlobStoreError) -> Int

    /// An address elsewhere at which anybody finds the stored bytes for a while, so that they needn't pass through here;
    /// nil where the store has none to give. Nothing is asked: the bytes may be gone.
    /// - Parameters:
    ///   - contentType: what the answer there shall call the bytes.
    ///   - disposition: its Content-Disposition. Neither can be changed by whoever holds the address.
    func temporaryAddress(
        of location: BlobLocation, contentType: String, disposition: String, lifetime: Duration
    ) -> String?

    /// Waits for what is under way and lets go of threads and connections.
    func close() async
}

extension BlobStore {
    package func temporaryAddress(
        of location: BlobLocation, contentType: String, disposition: String, lifetime: Duration
    ) -> String? { nil }
}

/// A blob that is on disk.
package struct StoredBlob: Sendable, Hashable {
    package let location: BlobLocation
    /// CIDv1, raw, sha-256 of the bytes.
    package let cid: CID
    package let sizeBytes: Int64
    /// The first bytes, at most 512, for sniffing the type.
    package let head: [UInt8]
}

/// A blob found by `BlobStore.list`.
package struct ListedBlob: Sendable, Hashable {
    package let location: BlobLocation
    package let sizeBytes: Int64
    /// When its upload ended.
    package let storedAt: Timestamp
}

/// Why the bytes of a blob can't be stored or had.
package enum BlobStoreError: Error, Sendable, Hashable {
    /// More bytes than allowed.
    case tooLarge(sizeBytesMax: Int64)
    /// No room is left.
    case full
    /// There is no such blob, or it is in quarantine.
    case notFound
    /// The bytes are not those that were stored: the disk lost some, or the bucket gave others.
    case damaged
    /// Not a location made by a store.
    case invalidLocation
    /// Too much is waiting for the disk or the bucket.
    case overloaded
    /// The store can't be read or written.
    case unavailable(reason: String)
    /// The store answers, and refuses until somebody changes its address, its keys or their rights.
    case refused(reason: String)
}

extension BlobStoreError: CustomStringConvertible {
    /// For the operator.
    package var description: String {
        switch self {
        case .tooLarge(let sizeBytesMax): "more than \(sizeBytesMax) bytes"
        case .full: "no room is left"
        case .notFound: "there is no such blob"
        case .damaged: "the bytes are not those that were stored"
        case .invalidLocation: "not a location"
        case .overloaded: "too much is waiting"
        case .unavailable(let reason), .refused(let reason): reason
        }
    }
}

extension BlobStoreError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .tooLarge(let sizeBytesMax):
            WireFailure(
                status: 413, error: "PayloadTooLarge", message: "The blob is larger than \(sizeBytesMax) bytes.")
        case .full:
            WireFailure(
                status: 507, error: "InsufficientStorage", message: "The server has no room left. Nothing was changed.")
        case .notFound:
            WireFailure(status: 400, error: "BlobNotFound", message: "There is no such blob.")
        // Bytes that aren't what was stored are the store's fault, and may be right again: never the caller's.
        case .overloaded, .unavailable, .refused, .damaged:
            WireFailure(
                status: 503, error: "ServiceUnavailable", message: "The server is busy. Please try again shortly.",
                headers: [.init(name: "Retry-After", value: "1")])
        case .invalidLocation:
            WireFailure(status: 500, error: "InternalServerError", message: "Internal Server Error")
        }
    }
}

/// An opened blob: chunks of bytes in order, to be iterated once.
package struct BlobContents: AsyncSequence, Sendable {
    package typealias Element = [UInt8]

    /// The size of the whole blob.
    package let sizeBytes: Int64
    /// What the chunks cover.
    package let range: Range<Int64>
    private let source: any BlobChunkSource

    init(sizeBytes: Int64, range: Range<Int64>, source: any BlobChunkSource) {
        self.sizeBytes = sizeBytes
        self.range = range
        self.source = source
    }

    package func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Gives the chunks, each 1 byte to 256 KiB, read when asked for.
    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: any BlobChunkSource

        package mutating func next() async throws -> [UInt8]? {
            try await source.next()
        }
    }
}

/// Where an opened blob's chunks come from. Releases what it holds when it is dropped.
protocol BlobChunkSource: Sendable {
    /// The next chunk, or nil at the end.
    func next() async throws(BlobStoreError) -> [UInt8]?
}
