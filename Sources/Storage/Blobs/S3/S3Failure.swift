import Base

/// Why an object store did not do what it was asked.
enum S3Failure: Error, Sendable, Hashable, CustomStringConvertible {
    /// Nobody there.
    case unreachable(String)
    /// The exchange broke, or the answer can't be read.
    case broken(String)
    case timedOut(String)
    /// An answer other than success.
    case refused(S3Refusal)
    /// Something that can't be true, and won't be when asked again.
    case lied(String)
    /// Too many requests are waiting already.
    case overloaded

    /// Whether the same request may well succeed a moment later.
    var isTransient: Bool {
        switch self {
        case .unreachable, .broken, .timedOut: true
        case .refused(let refusal): refusal.isTransient
        case .lied, .overloaded: false
        }
    }

    /// Whether it stays until somebody changes the address, the keys or what they may do.
    var isLasting: Bool {
        if case .refused(let refusal) = self { refusal.isLasting } else { false }
    }

    /// How long the store asks to be left alone.
    var retryAfter: Duration? {
        if case .refused(let refusal) = self { refusal.retryAfter } else { nil }
    }

    /// Whether there is no such object, as opposed to no such bucket.
    var isNotFound: Bool {
        if case .refused(let refusal) = self { refusal.isNotFound } else { false }
    }

    /// For the operator; never holds a credential or a signature.
    var description: String {
        switch self {
        case .unreachable(let reason): "the object store can't be reached: \(reason)"
        case .broken(let reason): "the object store broke off: \(reason)"
        case .timedOut(let what): "the object store took too long: \(what)"
        case .refused(let refusal): refusal.description
        case .lied(let what): "the object store answered what can't be: \(what)"
        case .overloaded: "too many requests wait for the object store"
        }
    }

    /// The failure as the store's callers know it.
    var asBlobStoreError: BlobStoreError {
        switch self {
        case .refused(let refusal) where refusal.isNotFound: .notFound
        case .refused(let refusal) where refusal.isFull: .full
        case .overloaded: .overloaded
        default: .unavailable(reason: description)
        }
    }
}

/// An answer that is no success.
struct S3Refusal: Error, Sendable, Hashable, CustomStringConvertible {
    let status: Int
    /// The store's own word, e.g. `NoSuchKey`; empty when it gave none.
    let code: String
    var retryAfter: Duration?

    private static let transientCodes: Set<String> = [
        "InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "Busy",
    ]

    var isTransient: Bool {
        status >= 500 && !isFull && status != 501 || status == 429 || status == 408
            || Self.transientCodes.contains(code)
    }

    var isNotFound: Bool { status == 404 && (code.isEmpty || code == "NoSuchKey") }

    /// A clock that is wrong is set right by itself, commonly soon after a machine has started.
    var isLasting: Bool {
        (300..<500).contains(status) && !isTransient && !isFull && code != "RequestTimeTooSkewed"
    }

    var isFull: Bool { status == 507 || code == "XMinioStorageFull" || code == "QuotaExceeded" }

    var description: String {
        switch code {
        case "NoSuchBucket": "the object store has no such bucket"
        case "AccessDenied": "the object store denies access: the key lacks a right on the bucket"
        case "InvalidAccessKeyId": "the object store doesn't know the access key"
        case "SignatureDoesNotMatch": "the object store refuses the signature: the secret key is wrong"
        case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
            "the object store refuses the region or the endpoint: the bucket is elsewhere"
        case "RequestTimeTooSkewed": "the object store refuses the time: this machine's clock is wrong"
        default:
            (300..<400).contains(status)
                ? "the object store sends us elsewhere (\(status)), where we don't follow"
                : "the object store answered \(status)\(code.isEmpty ? "" : " \(code)")"
        }
    }
}
