import Base
import Synchronization

/// What carries requests to an object store; this floor speaks S3 but no HTTP.
///
/// Implemented over the server's one HTTP client, by a stand-in in tests. It judges no status, follows no redirect, tries
/// nothing again, and ends soon when its task is cancelled; time is measured by the one who calls.
package protocol ObjectTransport: Sendable {
    /// Sends a request with all of its body and returns once the head of the answer is there.
    /// - Throws: `ObjectTransportFailure`, `CancellationError`; what the body throws.
    func send(_ request: ObjectRequest) async throws -> ObjectReply

    /// Closes all connections.
    func close() async
}

/// Why there is no answer, or no more of it.
package enum ObjectTransportFailure: Error, Sendable, Hashable {
    /// Nobody could be asked: no address, no connection, a wrong certificate. For the operator.
    case unreachable(String)
    /// The exchange broke.
    case broken(String)
}

/// A signed request.
package struct ObjectRequest: Sendable {
    package let method: String
    /// Absolute; path and query percent-encoded as they were signed.
    package let url: String
    /// All but Host and Content-Length.
    package let headers: [(name: String, value: String)]
    package let body: ObjectBody

    package init(method: String, url: String, headers: [(name: String, value: String)], body: ObjectBody) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// The head of an answer, and its body as it comes.
package struct ObjectReply: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: any ObjectChunks

    package init(status: Int, headers: [(name: String, value: String)], body: any ObjectChunks) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first value of the header `name`, in any case.
    func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name }?.value
    }
}

/// The body of an answer. Whoever drops it before its end ends the exchange.
package protocol ObjectChunks: Sendable {
    /// The next bytes, or nil at the end. For one caller at a time.
    /// - Throws: `ObjectTransportFailure`, also when the body ends before its announced length; `CancellationError`.
    func next() async throws -> [UInt8]?
}

/// The body of a request: `byteCount` bytes that can be read again from the start, for the next attempt.
package struct ObjectBody: AsyncSequence, Sendable {
    package typealias Element = [UInt8]

    package let byteCount: Int64
    private let open: @Sendable () -> any BlobChunkSource

    init(byteCount: Int64, open: @escaping @Sendable () -> any BlobChunkSource) {
        self.byteCount = byteCount
        self.open = open
    }

    init(_ bytes: [UInt8]) {
        self.init(byteCount: Int64(bytes.count)) { ByteSource(bytes) }
    }

    package func makeAsyncIterator() -> Iterator { Iterator(source: open()) }

    /// Gives the body in pieces.
    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let source: any BlobChunkSource

        package mutating func next() async throws -> [UInt8]? { try await source.next() }
    }
}

/// Bytes in memory, given at once.
final class ByteSource: BlobChunkSource {
    private let bytes: Mutex<[UInt8]>

    init(_ bytes: [UInt8]) {
        self.bytes = Mutex(bytes)
    }

    func next() async throws(BlobStoreError) -> [UInt8]? {
        bytes.withLock { bytes in
            defer { bytes = [] }
            return bytes.isEmpty ? nil : bytes
        }
    }
}
