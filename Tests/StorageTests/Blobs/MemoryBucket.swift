import ATProtocol
import Base
import Synchronization
import TestDatabases
import Testing

@testable import Storage

/// A bucket in memory that speaks S3 as far as the store does, with tiny pages; a test can make it misbehave.
final class MemoryBucket: ObjectTransport {
    static let prefix = "some/where/"

    /// What a test does to a request instead of answering it, or to its answer. The number counts requests from 0.
    typealias Mischief = @Sendable (_ request: ObjectRequest, _ number: Int) async throws -> Outcome

    enum Outcome {
        /// Answers as it should.
        case honest
        /// Does as it should and answers something else.
        case answering(@Sendable (ObjectReply) -> ObjectReply)
        /// Does nothing and answers that.
        case only(ObjectReply)
    }

    private struct Upload {
        var key: String
        var parts: [Int: [UInt8]] = [:]
    }

    private struct State {
        var objects: [String: [UInt8]] = [:]
        var uploads: [String: Upload] = [:]
        var lastUpload = 0
        var requests: [ObjectRequest] = []
        var running = 0
        var runningMax = 0
    }

    private let state = Mutex(State())
    private let mischief: Mischief
    let sleeper = PauseClock()
    let clock = ManualClock()

    init(_ mischief: @escaping Mischief = { _, _ in .honest }) {
        self.mischief = mischief
    }

    var keys: [String] { state.withLock { $0.objects.keys.sorted() } }
    var openUploads: [String] { state.withLock { $0.uploads.keys.sorted() } }
    var requests: [ObjectRequest] { state.withLock { $0.requests } }
    /// The most requests that were under way at once.
    var runningMax: Int { state.withLock { $0.runningMax } }

    /// The same bucket, honest from now on.
    func healed() -> MemoryBucket {
        let other = MemoryBucket()
        let copy = state.withLock { $0 }
        other.state.withLock { $0 = copy }
        return other
    }

    func change(_ key: String, _ body: (inout [UInt8]) -> Void) {
        state.withLock { body(&$0.objects[key, default: []]) }
    }

    static var limits: S3Limits {
        var limits = S3Limits()
        limits.partSizeBytes = 100_000
        return limits
    }

    func store(
        spool: ScratchDirectory, handsOutAddresses: Bool = false, limits: S3Limits = MemoryBucket.limits,
        randomness: any Randomness = SeededRandomness(seed: 9)
    ) throws -> S3BlobStore {
        S3BlobStore(
            try S3Location(parsing: "s3://bucket/\(Self.prefix)?endpoint=http://10.0.0.1:9000&region=here"),
            credentials: S3Credentials(accessKey: "AKID", secretKey: "never-to-be-seen"), transport: self,
            spoolDirectory: spool.path, handsOutAddresses: handsOutAddresses, limits: limits, clock: clock,
            sleeper: sleeper, randomness: randomness)
    }

    func close() async {}

    func send(_ request: ObjectRequest) async throws -> ObjectReply {
        let number = state.withLock { state in
            state.requests.append(request)
            state.running += 1
            state.runningMax = max(state.runningMax, state.running)
            return state.requests.count - 1
        }
        defer { state.withLock { $0.running -= 1 } }
        var body: [UInt8] = []
        for try await chunk in request.body { body += chunk }
        await Task.yield()
        switch try await mischief(request, number) {
        case .honest: return answer(request, body)
        case .answering(let change): return change(answer(request, body))
        case .only(let reply): return reply
        }
    }

    private func answer(_ request: ObjectRequest, _ body: [UInt8]) -> ObjectReply {
        let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.name, $0.value) })
        guard request.body.byteCount == body.count, headers["x-amz-content-sha256"] == S3Signature.hash(body),
            headers["authorization"]?.contains("Credential=AKID/") == true
        else { return .error(400, "XAmzContentSHA256Mismatch") }
        let parts = request.url.dropFirst("http://10.0.0.1:9000/bucket".count)
            .split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var query: [String: String] = [:]
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let halves = pair.split(separator: "=", omittingEmptySubsequences: false)
            query[String(halves[0])] = PercentEncoding.decode(halves[1])
        }
        let key = String(parts[0].dropFirst())
        return state.withLock { state in
            if key.isEmpty { return query["uploads"] == nil ? list(query, state) : listUploads(query, state) }
            if query["uploads"] != nil || query["uploadId"] != nil {
                return upload(request.method, key, query, body, &state)
            }
            if let source = headers["x-amz-copy-source"] {
                guard let bytes = state.objects[String(source.dropFirst("/bucket/".count))] else {
                    return .error(404, "NoSuchKey")
                }
                state.objects[key] = bytes
                return .xml("<CopyObjectResult><ETag>\(Self.tag(bytes))</ETag></CopyObjectResult>")
            }
            return object(request.method, key, headers, body, &state)
        }
    }

    private func object(
        _ method: String, _ key: String, _ headers: [String: String], _ body: [UInt8], _ state: inout State
    ) -> ObjectReply {
        switch method {
        case "PUT":
            state.objects[key] = body
            return .bytes(200, [], [("ETag", Self.tag(body))])
        case "DELETE":
            state.objects[key] = nil
            return .bytes(204, [])
        default:
            guard let bytes = state.objects[key] else { return .error(404, "NoSuchKey") }
            let tag = Self.tag(bytes)
            if let wanted = headers["if-match"], wanted != tag { return .error(412, "PreconditionFailed") }
            guard let range = headers["range"]?.dropFirst(6).split(separator: "-").compactMap({ Int($0) }) else {
                return .bytes(200, method == "HEAD" ? [] : bytes, [("ETag", tag)], length: bytes.count)
            }
            guard range[0] < bytes.count else { return .error(416, "InvalidRange") }
            let last = min(range[1], bytes.count - 1)
            return .bytes(
                206, Array(bytes[range[0]...last]),
                [("ETag", tag), ("Content-Range", "bytes \(range[0])-\(last)/\(bytes.count)")])
        }
    }

    private func upload(
        _ method: String, _ key: String, _ query: [String: String], _ body: [UInt8], _ state: inout State
    ) -> ObjectReply {
        guard let id = query["uploadId"] else {
            state.lastUpload += 1
            let id = "upload+\(state.lastUpload)/="
            state.uploads[id] = Upload(key: key)
            return .xml(
                "<InitiateMultipartUploadResult><UploadId>\(id)</UploadId></InitiateMultipartUploadResult>")
        }
        guard var upload = state.uploads[id], upload.key == key else { return .error(404, "NoSuchUpload") }
        switch method {
        case "PUT":
            upload.parts[Int(query["partNumber"] ?? "") ?? 0] = body
            state.uploads[id] = upload
            return .bytes(200, [], [("ETag", Self.tag(body))])
        case "DELETE":
            state.uploads[id] = nil
            return .bytes(204, [])
        default:
            guard let asked = try? XMLElement(parsing: body) else { return .error(400, "MalformedXML") }
            var whole: [UInt8] = []
            for (index, part) in asked.children.enumerated() {
                guard let bytes = upload.parts[index + 1], part["ETag"] == Self.tag(bytes),
                    part["PartNumber"] == String(index + 1)
                else { return .error(400, "InvalidPart") }
                whole += bytes
            }
            state.uploads[id] = nil
            state.objects[key] = whole
            let tag = Self.tag(whole).replacing("\"", with: "&quot;")
            return .xml(
                "<CompleteMultipartUploadResult><ETag>\(tag)</ETag></CompleteMultipartUploadResult>")
        }
    }

    /// Three keys a page.
    private func list(_ query: [String: String], _ state: State) -> ObjectReply {
        let start = query["continuation-token"] ?? query["start-after"] ?? ""
        let found = state.objects.keys.filter { $0 > start && $0.hasPrefix(query["prefix"] ?? "") }.sorted()
        let page = found.prefix(min(3, Int(query["max-keys"] ?? "") ?? 0))
        let entries = page.map { key in
            "<Contents><Key>\(key)</Key><Size>\(state.objects[key]?.count ?? 0)</Size>"
                + "<LastModified>\(Datetime(clock.now()).string)</LastModified></Contents>"
        }
        let next =
            page.count < found.count ? "<NextContinuationToken>\(page.last ?? "")</NextContinuationToken>" : ""
        return .xml(
            "<ListBucketResult><IsTruncated>\(!next.isEmpty)</IsTruncated>\(entries.joined())\(next)</ListBucketResult>"
        )
    }

    /// Two a page. Their age is in their number: the first began an hour ago, the next a minute later, and so on.
    private func listUploads(_ query: [String: String], _ state: State) -> ObjectReply {
        let start = query["upload-id-marker"] ?? ""
        let found = state.uploads.filter { $0.key > start && $0.value.key.hasPrefix(query["prefix"] ?? "") }
            .sorted { $0.key < $1.key }
        let page = found.prefix(2)
        let entries = page.map { id, upload in
            let minutes = Int64(id.dropFirst(7).prefix { $0.isNumber }) ?? 0
            let began = clock.now().advanced(by: .seconds(60 * minutes - 3600))
            return "<Upload><Key>\(upload.key)</Key><UploadId>\(id)</UploadId>"
                + "<Initiated>\(Datetime(began).string)</Initiated></Upload>"
        }
        let next =
            page.count < found.count
            ? "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>\(page.last?.key ?? "")</NextUploadIdMarker>" : ""
        return .xml(
            "<ListMultipartUploadsResult><IsTruncated>\(!next.isEmpty)</IsTruncated>\(entries.joined())\(next)"
                + "</ListMultipartUploadsResult>")
    }

    private static func tag(_ bytes: [UInt8]) -> String { "\"\(S3Signature.hash(bytes).prefix(32))\"" }
}

extension ObjectReply {
    static func bytes(
        _ status: Int, _ bytes: [UInt8], _ headers: [(name: String, value: String)] = [], length: Int? = nil
    ) -> ObjectReply {
        ObjectReply(
            status: status, headers: headers + [("Content-Length", String(length ?? bytes.count))],
            body: ListedChunks(stride(from: 0, to: bytes.count, by: 40_000).map { Array(bytes[$0...].prefix(40_000)) }))
    }

    static func xml(_ text: String, status: Int = 200) -> ObjectReply {
        .bytes(status, Array("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\(text)".utf8))
    }

    static func error(_ status: Int, _ code: String, _ headers: [(name: String, value: String)] = []) -> ObjectReply {
        let reply = ObjectReply.xml("<Error><Code>\(code)</Code><Message>m</Message></Error>", status: status)
        return ObjectReply(status: status, headers: reply.headers + headers, body: reply.body)
    }

    /// The same with another body, whose end may be a failure.
    func with(_ chunks: [[UInt8]], then failure: (any Error & Sendable)? = nil) -> ObjectReply {
        ObjectReply(status: status, headers: headers, body: ListedChunks(chunks, then: failure))
    }

    func with(_ name: String, _ value: String?) -> ObjectReply {
        let others = headers.filter { $0.name.lowercased() != name.lowercased() }
        return ObjectReply(status: status, headers: others + (value.map { [(name, $0)] } ?? []), body: body)
    }
}

/// A body made of given pieces.
final class ListedChunks: ObjectChunks {
    private let rest: Mutex<[[UInt8]]>
    private let failure: (any Error & Sendable)?

    func pop() -> [UInt8]? { rest.withLock { $0.popLast() } }

    init(_ chunks: [[UInt8]], then failure: (any Error & Sendable)? = nil) {
        rest = Mutex(chunks.reversed())
        self.failure = failure
    }

    func next() async throws -> [UInt8]? {
        if let chunk = pop() { return chunk }
        if let failure { throw failure }
        return nil
    }
}

/// A clock on which short pauses are over at once, and long ones, the timeouts, when a test says so.
final class PauseClock: Clock, Sendable {
    private struct State {
        var pauses: [Duration] = []
        var expiries = 0
        var sleepers: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var last: UInt64 = 0
    }

    static let timeoutMin = Duration.seconds(10)
    private let state = Mutex(State())

    var now: ImmediateClock.Instant { .init(offset: .zero) }
    var minimumResolution: Duration { .zero }
    /// The short pauses made, in order.
    var pauses: [Duration] { state.withLock { $0.pauses } }

    /// Lets the next timeout run out, be it measured already or not.
    func expire() {
        let sleepers = state.withLock { state in
            if state.sleepers.isEmpty { state.expiries += 1 }
            defer { state.sleepers = [:] }
            return state.sleepers.values
        }
        for sleeper in sleepers { sleeper.resume() }
    }

    func sleep(until deadline: ImmediateClock.Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        if deadline.offset < Self.timeoutMin {
            state.withLock { $0.pauses.append(deadline.offset) }
            return await Task.yield()
        }
        let id = state.withLock { state in
            state.last += 1
            return state.last
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isOver = state.withLock { state in
                    if Task.isCancelled { return true }
                    if state.expiries > 0 {
                        state.expiries -= 1
                        return true
                    }
                    state.sleepers[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.sleepers.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }
}

/// Values gathered from anywhere.
final class Kept<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])

    var all: [Value] { values.withLock { $0 } }

    func keep(_ value: Value) { values.withLock { $0.append(value) } }
}
