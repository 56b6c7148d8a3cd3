package import ATProtocol
import AsyncHTTPClient
import Base
import Foundation
import NIOCore
import NIOHTTP1

/// The server's answer to a command is a refusal, or there is none.
package enum AdministrationError: Error, Sendable, CustomStringConvertible {
    /// The server said no.
    case refused(status: Int, error: String, message: String)
    /// The server that holds the data directory can't be spoken to.
    case unreachable(String)
    /// A file of this machine can't be read or written.
    case file(path: String, reason: String)
    /// What was asked for is damaged; how.
    case unsound(CommandOutput)

    package var description: String {
        switch self {
        case .refused(_, let error, let message): "\(message) (\(error))"
        case .unreachable(let reason): "the server that holds the data can't be reached: \(reason)"
        case .file(let path, let reason): "\(path): \(reason)"
        case .unsound: "the repository is damaged"
        }
    }
}

/// Speaks XRPC to a server as its operator.
package struct AdministrationClient: Sendable {
    private let ticket: OperatorTicket

    /// How long an answer may take: rebuilding a large repository takes minutes.
    private static let timeout = TimeAmount.hours(6)
    /// Bytes of a JSON answer.
    private static let answerByteCountMax = 16 << 20
    /// Bytes read of a file at once.
    private static let pieceByteCount = 256 << 10

    package init(_ ticket: OperatorTicket) {
        self.ticket = ticket
    }

    /// Asks a query.
    ///
    /// - Throws: `AdministrationError`.
    package func query(_ nsid: String, _ parameters: [(String, String)] = []) async throws -> DataValue {
        try await value(of: request(nsid, parameters))
    }

    /// Calls a procedure with a JSON body.
    ///
    /// - Throws: `AdministrationError`.
    package func call(_ nsid: String, _ input: DataMap) async throws -> DataValue {
        var request = request(nsid, [])
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: DataValue.map(input).json()))
        return try await value(of: request)
    }

    /// Calls a procedure with a file as its body.
    ///
    /// - Parameter progress: receives the bytes sent so far and in all.
    package func upload(
        _ nsid: String, _ parameters: [(String, String)], file path: String, type: String,
        progress: @escaping @Sendable (Int, Int) -> Void
    ) async throws -> DataValue {
        let (file, size) = try InputFile.open(path)
        var request = request(nsid, parameters)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: type)
        let pieces = FilePieces(file: file, path: path, pieceByteCount: Self.pieceByteCount) { progress($0, size) }
        request.body = .stream(pieces, length: .known(Int64(size)))
        return try await value(of: request)
    }

    /// Asks a query and hands out the answer's bytes as they come.
    package func download(
        _ nsid: String, _ parameters: [(String, String)], _ take: ([UInt8]) throws -> Void
    ) async throws {
        let response = try await execute(request(nsid, parameters))
        guard response.status == .ok else { throw try await Self.refusal(response) }
        for try await piece in response.body { try take(Array(piece.readableBytesView)) }
    }

    /// Calls a procedure with a JSON body that answers with lines of JSON, and hands them out as they come.
    package func follow(_ nsid: String, _ input: DataMap, _ take: (DataValue) throws -> Void) async throws {
        var request = request(nsid, [])
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: DataValue.map(input).json()))
        let response = try await execute(request)
        guard response.status == .ok else { throw try await Self.refusal(response) }
        var rest: [UInt8] = []
        do {
            for try await piece in response.body {
                rest += piece.readableBytesView
                while let end = rest.firstIndex(of: 0x0a) {
                    try take(try DataValue(json: Array(rest[..<end])))
                    rest.removeFirst(end + 1)
                }
                guard rest.count <= Self.answerByteCountMax else {
                    throw AdministrationError.unreachable("a long line")
                }
            }
        } catch let error as HTTPClientError {
            throw AdministrationError.unreachable("\(ticket.address): \(error)")
        }
    }

    private func request(_ nsid: String, _ parameters: [(String, String)]) -> HTTPClientRequest {
        let query = parameters.map { "\($0.0)=\(Self.escaped($0.1))" }.joined(separator: "&")
        var request = HTTPClientRequest(
            url: "\(ticket.address)/xrpc/\(nsid)\(query.isEmpty ? "" : "?" + query)")
        let credentials = Base64.encode(Array("admin:\(ticket.password.value)".utf8))
        request.headers.add(name: "Authorization", value: "Basic \(credentials)")
        return request
    }

    private func execute(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        do {
            return try await HTTPClient.shared.execute(request, timeout: Self.timeout)
        } catch let error as CancellationError {
            throw error
        } catch let error as AdministrationError {
            throw error
        } catch {
            throw AdministrationError.unreachable("\(ticket.address): \(error)")
        }
    }

    private func value(of request: HTTPClientRequest) async throws -> DataValue {
        let response = try await execute(request)
        guard (200..<300).contains(response.status.code) else { throw try await Self.refusal(response) }
        let body = try await response.body.collect(upTo: Self.answerByteCountMax)
        guard body.readableBytes > 0 else { return [:] }
        return try DataValue(json: Array(body.readableBytesView))
    }

    private static func refusal(_ response: HTTPClientResponse) async throws -> AdministrationError {
        let body = try await response.body.collect(upTo: answerByteCountMax)
        let value = try? DataValue(json: Array(body.readableBytesView))
        return .refused(
            status: Int(response.status.code), error: value?["error"]?.stringValue ?? "\(response.status.code)",
            message: value?["message"]?.stringValue ?? response.status.reasonPhrase)
    }

    private static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x7e
            return isPlain ? String(UnicodeScalar(byte)) : "%" + Hex.encode([byte])
        }.joined()
    }
}

/// A file in pieces, read when they are asked for.
private struct FilePieces: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let file: FileHandle
    let path: String
    let pieceByteCount: Int
    let progress: @Sendable (Int) -> Void

    struct Iterator: AsyncIteratorProtocol {
        let pieces: FilePieces
        var count = 0

        mutating func next() async throws -> ByteBuffer? {
            let data = try InputFile.read(pieces.file, upToCount: pieces.pieceByteCount, path: pieces.path)
            guard !data.isEmpty else { return nil }
            count += data.count
            pieces.progress(count)
            return ByteBuffer(bytes: data)
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(pieces: self) }
}
