import ATProtocol
import Base
import Identity
import Synchronization
import Web

/// The world outside: pages, TXT records and a did:plc directory that a test writes.
final class World: RemoteLookup, OutboundHTTP {
    struct Unreachable: Error {}

    private struct State {
        var pages: [String: RemoteReply] = [:]
        var records: [String: [String]] = [:]
        var logs: [String: [DataValue]] = [:]
        var asked: [String] = []
        /// What the directory does with the next operations.
        var directory = DirectoryMood.willing
    }

    /// How the did:plc directory at `https://plc.test` behaves.
    enum DirectoryMood: Sendable {
        case willing
        case refusing
        /// Takes the operation, but its answer is lost.
        case silent
        case dead
    }

    static let directory = "https://plc.test"

    private let state = Mutex(State())

    /// What was asked for, in order.
    var asked: [String] { state.withLock { $0.asked } }

    func page(_ url: String, status: Int = 200, _ body: String) {
        state.withLock { $0.pages[url] = RemoteReply(status: status, body: Array(body.utf8)) }
    }

    func records(of name: String, _ values: [String]) { state.withLock { $0.records[name] = values } }

    func directory(is mood: DirectoryMood) { state.withLock { $0.directory = mood } }

    /// The operations that the directory took for a DID.
    func operations(of did: DID) -> [DataValue] { state.withLock { $0.logs[did.string] ?? [] } }

    func send(_ request: OutboundRequest) throws(OutboundFailure) -> OutboundResponse {
        let page = state.withLock { state in
            state.asked.append("\(request.method) \(request.url)")
            return state.pages[request.url]
        }
        guard let page else { throw .timeout }
        return OutboundResponse(status: page.status, body: page.body)
    }

    func get(_ url: String, sizeBytesMax: Int) async throws -> RemoteReply {
        try state.withLock { state in
            state.asked.append(url)
            if let page = state.pages[url] { return page }
            guard url.hasPrefix(Self.directory + "/") else { throw Unreachable() }
            if case .dead = state.directory { throw Unreachable() }
            return Self.directoryAnswer(String(url.dropFirst(Self.directory.count + 1)), state.logs)
        }
    }

    func post(_ url: String, json: [UInt8]) async throws -> RemoteReply {
        let operation = try DataValue(json: json)
        return try state.withLock { state in
            state.asked.append(url)
            let did = String(url.dropFirst(Self.directory.count + 1))
            switch state.directory {
            case .dead: throw Unreachable()
            case .refusing: return RemoteReply(status: 400, body: Array(#"{"message":"no"}"#.utf8))
            case .silent:
                state.logs[did, default: []].append(operation)
                throw Unreachable()
            case .willing:
                state.logs[did, default: []].append(operation)
                return RemoteReply(status: 200, body: [])
            }
        }
    }

    func textRecords(of name: String) async throws -> [String] {
        state.withLock { state in
            state.asked.append(name)
            return state.records[name] ?? []
        }
    }

    private static func directoryAnswer(_ path: String, _ logs: [String: [DataValue]]) -> RemoteReply {
        let parts = path.split(separator: "/", maxSplits: 1)
        guard let text = parts.first.map({ String($0) }), let did = try? DID(parsing: text),
            let operations = logs[text],
            let log = try? PLCLog(verifyingLog: .array(operations), of: did)
        else { return RemoteReply(status: 404, body: []) }
        let value: DataValue? =
            switch parts.count == 2 ? parts[1] : "" {
            case "": log.document?.value
            case "data": log.dataValue
            case "log/last": operations.last
            default: nil
            }
        return value.map { RemoteReply(status: 200, body: $0.json()) } ?? RemoteReply(status: 404, body: [])
    }
}
