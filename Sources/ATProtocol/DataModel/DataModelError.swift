package import Base

/// Why bytes or text are not a value of the AT Protocol data model.
///
/// Spec: https://atproto.com/specs/data-model
package enum DataModelError: Error, Sendable, Hashable {
    /// The input ends inside a value; `offset` in bytes.
    case truncated(offset: Int)
    /// Bytes remain after the value; `offset` is the first of them.
    case trailingBytes(offset: Int)
    /// A construct that DAG-CBOR or JSON allows but the canonical form or the data model does not.
    case invalid(reason: Reason, offset: Int)
    /// A named limit was exceeded.
    case limitExceeded(limit: Limit)
    /// The text or bytes are not a CID of the blessed kinds.
    case invalidCID(String)
    /// A value stands where the data model does not allow it; `path` such as `embed.images[0]`.
    case invalidShape(path: String, message: String)

    /// What is wrong with the construct at the offset.
    package enum Reason: String, Sendable, Hashable {
        case nonMinimalInteger = "an integer is not in its shortest form"
        case integerOutOfRange = "an integer is outside the signed 64-bit range"
        case indefiniteLength = "indefinite lengths are not allowed"
        case float = "floating-point numbers are not allowed"
        case unsupportedTag = "only tag 42 (a link) is allowed"
        case unsupportedSimpleValue = "only false, true and null are allowed"
        case invalidLink = "a link is not a CID of the allowed kinds"
        case mapKeyNotText = "a map key is not text"
        case duplicateKey = "a map key appears twice"
        case mapKeyOrder = "map keys are not in canonical order"
        case invalidUTF8 = "text is not valid UTF-8"
        case unexpectedType = "a value has another type than expected here"
        case malformedJSON = "not valid JSON"
        case malformedLink = "$link must be the only key and hold a CID"
        case malformedBytes = "$bytes must be the only key and hold base64"
        case reservedBreak = "a break or reserved code is not allowed"
    }

    /// Which limit.
    package enum Limit: String, Sendable, Hashable {
        case depth = "nesting is too deep"
        case size = "the value is too large"
        case valueCount = "too many values"
    }
}

extension DataModelError {
    /// Longest path told, in characters.
    private static let pathLengthMax = 200

    /// The same error of JSON text, told one field further out: what is wrong with a value names the field that holds
    /// it. Where the text itself ends or breaks off, its place is told by bytes.
    func inside(_ step: String) -> DataModelError {
        let (path, message): (String, String)
        switch self {
        case .invalid(.malformedJSON, _), .truncated, .trailingBytes, .invalidCID: return self
        case .invalid(let reason, _): (path, message) = ("", reason.rawValue)
        case .limitExceeded(let limit): (path, message) = ("", limit.rawValue)
        case .invalidShape(let inner, let text): (path, message) = (inner, text)
        }
        let joint = path.isEmpty || path.hasPrefix("[") ? "" : "."
        let whole = step.prefix(Self.pathLengthMax) + joint + path
        return .invalidShape(path: String(whole.prefix(Self.pathLengthMax)), message: message)
    }
}

extension DataModelError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .truncated(let offset): "input ends inside a value at byte \(offset)"
        case .trailingBytes(let offset): "bytes after the value, from byte \(offset)"
        case .invalid(let reason, let offset): "\(reason.rawValue), at byte \(offset)"
        case .limitExceeded(let limit): limit.rawValue
        case .invalidCID(let text): "not a valid CID: \(text.prefix(80))"
        case .invalidShape(let path, let message): path.isEmpty ? message : "\(path): \(message)"
        }
    }
}

extension DataModelError: WireConvertible {
    package var wire: WireFailure {
        WireFailure(status: 400, error: "InvalidRequest", message: description)
    }
}

/// Bounds on decoding, so that any bytes cost bounded time and memory.
package struct DataLimits: Sendable, Hashable {
    /// Longest input, in bytes.
    package var sizeBytesMax: Int
    /// Deepest nesting of arrays and maps.
    package var depthMax: Int
    /// Most values (scalars and containers together).
    package var valueCountMax: Int

    package init(sizeBytesMax: Int, depthMax: Int = 64, valueCountMax: Int = 200_000) {
        self.sizeBytesMax = sizeBytesMax
        self.depthMax = depthMax
        self.valueCountMax = valueCountMax
    }

    /// A record: 1 MiB encoded (https://atproto.com/specs/record-key, repository limits).
    package static let record = DataLimits(sizeBytesMax: 1_048_576)
    /// A block of a repository that is not a record: tree nodes and commits.
    package static let block = DataLimits(sizeBytesMax: 2_097_152)
    /// A firehose frame: 5 MB (subscribeRepos).
    package static let frame = DataLimits(sizeBytesMax: 5_000_000)
}
