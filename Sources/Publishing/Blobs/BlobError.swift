package import Base

/// Why a blob is not taken or not given.
package enum BlobError: Error, Sendable, Hashable, WireConvertible {
    /// Not uploaded, or not mentioned by any record.
    case notFound
    /// These bytes were taken down.
    case takendown
    /// More bytes than the server takes.
    case tooLarge(sizeBytesMax: Int)
    /// Nothing was sent.
    case empty
    /// What the client calls the bytes is no media type.
    case invalidType
    /// The account would hold more than its share.
    case overQuota(sizeBytesMax: Int64)

    package var wire: WireFailure {
        switch self {
        case .notFound: WireFailure(status: 400, error: "BlobNotFound", message: "Blob not found.")
        case .takendown:
            WireFailure(status: 400, error: "BlobTakedown", message: "This blob was taken down and can't be uploaded.")
        case .tooLarge(let sizeBytesMax):
            WireFailure(
                status: 413, error: "PayloadTooLarge", message: "A blob may have at most \(sizeBytesMax) bytes.")
        case .empty: WireFailure(status: 400, error: "InvalidRequest", message: "The body is empty.")
        case .invalidType:
            WireFailure(
                status: 400, error: "InvalidRequest", message: "The Content-Type must be one media type: type/subtype.")
        case .overQuota(let sizeBytesMax):
            WireFailure(
                status: 413, error: "QuotaExceeded",
                message: "The blobs of an account may hold \(sizeBytesMax) bytes in all; there is no room for this one."
            )
        }
    }
}
